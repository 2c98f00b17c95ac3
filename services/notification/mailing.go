package notification

import (
	"context"

	"github.com/monarch-msn/monarch/msnp"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// mailing gathers what one session says to many, one message per node.
type mailing struct {
	s      *session
	node   string
	epoch  uint64
	byNode map[string]*clusterv1.Presence
}

func (s *session) newMailing() *mailing {
	return &mailing{s: s, node: s.record.GetNode(), epoch: s.record.GetEpoch()}
}

func (m *mailing) to(node string) *clusterv1.Presence {
	p := m.byNode[node]
	if p == nil {
		p = &clusterv1.Presence{
			Email: m.s.email.String(),
			Node:  m.node,
			Epoch: m.epoch,
			Count: m.s.count,
		}
		if m.s.status != msnp.HDN && m.s.status != msnp.StatusNone {
			p.Status, p.Name = m.s.status.String(), string(m.s.name)
		}
		if m.byNode == nil {
			m.byNode = make(map[string]*clusterv1.Presence)
		}
		m.byNode[node] = p
	}
	return p
}

// tell has the contact's session at its place learn v.
func (m *mailing) tell(c *contact, v view) {
	c.told = v
	p, w := m.to(c.place.node), &clusterv1.Watcher{Email: c.email.String(), Epoch: c.place.epoch}
	if v.offline() {
		p.HiddenFrom = append(p.HiddenFrom, w)
	} else {
		p.VisibleTo = append(p.VisibleTo, w)
	}
}

func (m *mailing) probe(record *clusterv1.Session, c *contact) {
	p := m.to(record.GetNode())
	p.Probes = append(p.Probes, &clusterv1.Probe{Email: c.email.String(), Epoch: record.GetEpoch()})
}

func (m *mailing) over(node string, c *contact) {
	p := m.to(node)
	p.Over = true
	p.HiddenFrom = append(p.HiddenFrom, &clusterv1.Watcher{Email: c.email.String()})
}

// send hands the messages over, behind what the client itself was told.
func (m *mailing) send(ctx context.Context) {
	m.s.flush()
	for node, p := range m.byNode {
		m.s.svc.hub.send(ctx, node, &clusterv1.Message{Kind: &clusterv1.Message_Presence{Presence: p}})
	}
}
