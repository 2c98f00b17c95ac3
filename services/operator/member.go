package operator

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/monarch-msn/monarch/internal/cluster"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/operator/api"
)

const (
	// tellTimeout bounds the word to those whom a committed edit concerns.
	tellTimeout = 5 * time.Second
	// lookupRows bounds one lookup of sessions.
	lookupRows = 500
)

// newMember makes the operator's place in the cluster: it sees the nodes and
// can send to their inboxes. No client is ever sent to it.
func (s *Service) newMember(deps Deps) *cluster.Member {
	return deps.Cluster.Member(cluster.MemberConfig{
		Node: &clusterv1.Node{
			Role:    clusterv1.Role_ROLE_OPERATOR,
			Version: deps.Version,
		},
		Timing: deps.Timing,
		Log:    s.log,
		Meter:  deps.Meter,
	}, &s.inbox)
}

// inbox hears what comes to the operator: nothing that concerns it, as it holds
// no session. It notes what comes back.
type inbox struct {
	log *slog.Logger

	mu   sync.Mutex
	deaf map[*clusterv1.Message][]string // nodes that did not hear what is being told
}

func (*inbox) Deliver(context.Context, string, *clusterv1.Message) {}

// Undelivered means that a node is gone, and its sessions with it, or that it
// is cut off from Redis.
func (i *inbox) Undelivered(to string, m *clusterv1.Message) {
	i.log.Debug("message reached nobody", "node", to)
	i.mu.Lock()
	defer i.mu.Unlock()
	if nodes, told := i.deaf[m]; told {
		i.deaf[m] = append(nodes, to)
	}
}

func (*inbox) Gone(string)           {}
func (*inbox) Resync(string, string) {}

// tell sends a notice to nodes, and returns once that is published, with those
// of them that did not hear it.
func (s *Service) tell(ctx context.Context, nodes []string, notice *clusterv1.Notice) (deaf []string, err error) {
	m := &clusterv1.Message{Kind: &clusterv1.Message_Notice{Notice: notice}}
	i := &s.inbox
	i.mu.Lock()
	i.deaf[m] = nil
	i.mu.Unlock()
	for _, node := range nodes {
		s.member.Send(node, m)
	}
	err = s.member.Flush(ctx)
	i.mu.Lock()
	defer i.mu.Unlock()
	deaf = i.deaf[m]
	delete(i.deaf, m)
	return deaf, err
}

// endSession closes the live session of a user whose account an edit has just
// taken away. That edit is committed, so it goes on when the client of the
// request has gone.
func (s *Service) endSession(ctx context.Context, email string) api.Change {
	change := api.Change{Email: email}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTimeout)
	defer cancel()
	found, err := s.cluster.Lookup(ctx, []string{email})
	if session := found[email]; err == nil && session != nil {
		change.SessionClosed = true
		err = s.sendClose(ctx, session)
	}
	if err != nil {
		s.log.WarnContext(ctx, "a live session may go on", "email", email, "error", err)
		change.SessionClosed = false
		change.Warning = "Redis cannot be reached, so a live session may go on: kick it later"
	}
	return change
}

// sendClose tells the node of a session to end it, and returns once that is
// published.
func (s *Service) sendClose(ctx context.Context, session *clusterv1.Session) error {
	s.member.Send(session.GetNode(), &clusterv1.Message{Kind: &clusterv1.Message_Close{Close: &clusterv1.Close{
		Email: session.GetEmail(),
		Epoch: session.GetEpoch(),
		Cause: clusterv1.Close_CAUSE_OPERATOR,
	}}})
	return s.member.Flush(ctx)
}

// tellTouched lets users who are online know that an edit raised the version
// of their lists; by is who made it, if it was a user. The edit is committed:
// this goes on when the client of the request has gone, and what fails here is
// repaired by the next comparison of versions.
func (s *Service) tellTouched(ctx context.Context, by string, touched []*directoryv1.Touched) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTimeout)
	defer cancel()
	for rows := range slices.Chunk(touched, lookupRows) {
		if err := s.tellSome(ctx, by, rows); err != nil {
			s.log.WarnContext(ctx, "users who are online hear later that their lists changed",
				"users", len(touched), "error", err)
			return
		}
	}
}

func (s *Service) tellSome(ctx context.Context, by string, touched []*directoryv1.Touched) error {
	emails := make([]string, len(touched))
	for i, t := range touched {
		emails[i] = t.GetEmail()
	}
	found, err := s.cluster.Lookup(ctx, emails)
	if err != nil {
		return err
	}
	for _, t := range touched {
		session := found[t.GetEmail()]
		if session == nil {
			continue
		}
		s.member.Send(session.GetNode(), &clusterv1.Message{Kind: &clusterv1.Message_ListChanged{ListChanged: &clusterv1.ListChanged{
			Email:   t.GetEmail(),
			Version: t.GetVersion(),
			By:      by,
			Change:  &clusterv1.ListChanged_Other{Other: true},
		}}})
	}
	return s.member.Flush(ctx)
}
