package cluster

import (
	"context"
	"errors"
	"fmt"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// settleRounds is more than the longest chain of messages that one event sets
// off: a list edit, the probe behind it, the answer to that, and what the
// answer brings to light.
const settleRounds = 6

// Settle returns when everything that the nodes have sent to each other so far,
// and what followed from it, has been handled. It asks every node of roles to
// let a marker pass through all its sessions and through the inboxes of all
// the others, until a whole round has moved nothing; in a network that has
// other traffic as well it does so as often as the longest chain of messages
// needs. It is for tests, which have to know that nothing more comes.
func (m *Member) Settle(ctx context.Context, roles ...clusterv1.Role) error {
	var before traffic
	for round := range settleRounds {
		now, err := m.settleRound(ctx, roles)
		if err != nil {
			return fmt.Errorf("settle: %w", err)
		}
		if round > 0 && now == before {
			return nil
		}
		before = now
	}
	return nil
}

type traffic struct{ sent, handled uint64 }

func (m *Member) settleRound(ctx context.Context, roles []clusterv1.Role) (sum traffic, err error) {
	var nodes []string
	for _, n := range m.View().Nodes() {
		for _, role := range roles {
			if n.GetRole() == role {
				nodes = append(nodes, n.GetId())
			}
		}
	}
	for _, id := range nodes {
		answer, err := m.Ask(ctx, id, &clusterv1.Message{Kind: &clusterv1.Message_Settle{
			Settle: &clusterv1.Settle{Peers: nodes},
		}})
		if errors.Is(err, ErrNobody) {
			continue
		}
		if err != nil {
			return sum, fmt.Errorf("node %s: %w", id, err)
		}
		sum.sent += answer.GetSettle().GetSent()
		sum.handled += answer.GetSettle().GetHandled()
	}
	return sum, nil
}
