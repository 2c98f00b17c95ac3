package switchboard

import (
	"context"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// inbox is what the cluster tells this node. Answers to its rings go to
// whoever asked; nothing else concerns a switchboard but the operator's word
// that it should drain, and the marker of a network that comes to rest. It
// implements cluster.Handler.
type inbox struct{ svc *Service }

// Deliver takes a message from another node.
func (i inbox) Deliver(_ context.Context, from string, m *clusterv1.Message) {
	switch {
	case m.GetDrain() != nil:
		i.svc.drain.Deliver(from, m)
	case m.GetSettle() != nil:
		i.svc.background(func(ctx context.Context) { i.svc.settle(ctx, from, m) })
	}
}

// Undelivered: only rings are sent, and whoever sent one hears of it.
func (inbox) Undelivered(string, *clusterv1.Message) {}

// Gone: no room depends on another node.
func (inbox) Gone(string) {}

// Resync: what was lost is a ring or its answer, and whoever waited for it has
// given up.
func (inbox) Resync(string, string) {}

// settle answers once everything that reached this node before has been
// handled: those whose connection ended have left their rooms, and the marker
// has passed through the inbox of every peer that the asker names.
func (s *Service) settle(ctx context.Context, from string, m *clusterv1.Message) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.CallTimeout)
	defer cancel()
	for _, r := range s.rooms.all() {
		for r.leaving() {
			select {
			case <-ctx.Done():
				return // no answer: the asker asks again
			case <-time.After(time.Millisecond):
			}
		}
	}
	for _, peer := range m.GetSettle().GetPeers() {
		if s.member.IsSelf(peer) {
			continue
		}
		_, err := s.member.Ask(ctx, peer, &clusterv1.Message{Kind: &clusterv1.Message_Settle{Settle: &clusterv1.Settle{}}})
		if err != nil {
			return
		}
	}
	sent, handled := s.member.Traffic()
	s.member.Answer(from, m.GetAsk(), &clusterv1.Message{Kind: &clusterv1.Message_Settle{
		Settle: &clusterv1.Settle{Sent: sent, Handled: handled},
	}})
}
