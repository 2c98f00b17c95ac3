package operator

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

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

// listSessions answers with every session of one node.
func (s *Service) listSessions(r *http.Request) (any, error) {
	id := r.PathValue("node")
	known := slices.ContainsFunc(s.member.View().Nodes(), func(n *clusterv1.Node) bool { return n.GetId() == id })
	if !known {
		return nil, refuse(http.StatusNotFound, "there is no node %q", id)
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
