package operator

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/monarch-msn/monarch/internal/cluster"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"github.com/monarch-msn/monarch/services/operator/api"
)

// listNodes answers with every node that holds a lease, by role and age. It
// comes from the local view, so it is there while Redis is away, as of when
// Redis was last read.
func (s *Service) listNodes(*http.Request) (any, error) {
	nodes := slices.Clone(s.member.View().Nodes())
	slices.SortFunc(nodes, func(a, b *clusterv1.Node) int {
		return cmp.Or(
			cmp.Compare(a.GetRole(), b.GetRole()),
			cmp.Compare(a.GetStarted(), b.GetStarted()),
			cmp.Compare(a.GetId(), b.GetId()),
		)
	})
	list := api.NodeList{Nodes: make([]api.Node, 0, len(nodes))}
	for _, n := range nodes {
		list.Nodes = append(list.Nodes, nodeOf(n))
	}
	return list, nil
}

// listSessions answers with every session of one node. Of a node that can have
// none it does not say that nobody is logged in.
func (s *Service) listSessions(r *http.Request) (any, error) {
	id := r.PathValue("node")
	node, err := s.findNode(id)
	if err != nil {
		return nil, err
	}
	if node.GetRole() != clusterv1.Role_ROLE_NOTIFICATION {
		return nil, refuse(http.StatusConflict, "node %q has no sessions: its role is %s, and users are logged in on notification nodes",
			id, word(node.GetRole().String(), "ROLE_"))
	}
	sessions, err := s.cluster.Sessions(r.Context(), id)
	if err != nil {
		return nil, clusterError(err, "list sessions")
	}
	slices.SortFunc(sessions, func(a, b *clusterv1.Session) int { return cmp.Compare(a.GetEmail(), b.GetEmail()) })
	list := api.SessionList{Sessions: make([]api.Session, 0, len(sessions))}
	for _, session := range sessions {
		list.Sessions = append(list.Sessions, sessionOf(session))
	}
	return list, nil
}

// findNode returns a node that holds a lease, or a refusal.
func (s *Service) findNode(id string) (*clusterv1.Node, error) {
	node := s.member.View().Node(id)
	if node == nil {
		return nil, refuse(http.StatusNotFound, "there is no node %q (dispatch servers and directories are none)", id)
	}
	return node, nil
}

// drainNode has a node leave the service, and stay. resumeNode takes that back.
// To ask again changes nothing.
func (s *Service) drainNode(r *http.Request) (any, error)  { return s.tellDrain(r, false) }
func (s *Service) resumeNode(r *http.Request) (any, error) { return s.tellDrain(r, true) }

// drainTimeout is how long a node has to answer, which it does at once.
const drainTimeout = 5 * time.Second

func (s *Service) tellDrain(r *http.Request, resume bool) (any, error) {
	node, err := s.findNode(r.PathValue("node"))
	if err != nil {
		return nil, err
	}
	switch node.GetRole() {
	case clusterv1.Role_ROLE_NOTIFICATION, clusterv1.Role_ROLE_SWITCHBOARD:
	default:
		return nil, refuse(http.StatusConflict, "node %q does not drain: its role is %s, and only notification and switchboard keep clients",
			node.GetId(), word(node.GetRole().String(), "ROLE_"))
	}
	ctx, cancel := context.WithTimeout(r.Context(), drainTimeout)
	defer cancel()
	answer, err := s.member.Ask(ctx, node.GetId(), &clusterv1.Message{Kind: &clusterv1.Message_Drain{
		Drain: &clusterv1.Drain{Resume: resume},
	}})
	switch {
	case errors.Is(err, cluster.ErrNobody):
		return nil, fault(http.StatusServiceUnavailable, err, "node %q cannot be reached: it has just ended, or is cut off from Redis", node.GetId())
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fault(http.StatusGatewayTimeout, err, "node %q did not answer in time", node.GetId())
	case err != nil:
		return nil, clusterError(err, "drain node "+node.GetId())
	}
	state := answer.GetDrain().GetState()
	if resume && state != clusterv1.State_STATE_SERVING {
		return nil, refuse(http.StatusConflict, "node %q cannot resume: its process was told to end", node.GetId())
	}
	// The view learns of it with the node's next heartbeat.
	node = proto.CloneOf(node)
	node.State = state
	return nodeOf(node), nil
}

func nodeOf(n *clusterv1.Node) api.Node {
	node := api.Node{
		ID:        n.GetId(),
		Role:      word(n.GetRole().String(), "ROLE_"),
		State:     word(n.GetState().String(), "STATE_"),
		Addresses: make([]api.Address, 0, len(n.GetAddresses())),
		Sessions:  n.GetSessions(),
		Capacity:  n.GetCapacity(),
		Started:   time.UnixMilli(n.GetStarted()).UTC(),
		Version:   n.GetVersion(),
	}
	for _, a := range n.GetAddresses() {
		node.Addresses = append(node.Addresses, api.Address{Listener: a.GetListener(), Address: a.GetAddress()})
	}
	return node
}

// word makes "notification" of "ROLE_NOTIFICATION".
func word(name, prefix string) string {
	return strings.ToLower(strings.TrimPrefix(name, prefix))
}
