package notification

import (
	"bytes"
	"context"

	"github.com/monarch-msn/monarch/msnp"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// presence is what one session says of its user to others, in the form in which
// sessions work with it; between nodes it is a clusterv1.Presence. Nobody changes
// it once it is sent.
type presence struct {
	// email says whose presence it is, at where that session is.
	email msnp.Email
	at    place
	count uint64
	// view is what those see who see the user; offline if nobody does.
	view view
	// over says that the epoch is, reply that a probe is answered by this.
	over, reply bool
	// nln is the line that tells clients of the view. It is written once for all
	// of a node, and not at all for a reply, which is for one.
	nln []byte
}

// render writes nln.
func (p *presence) render() {
	l := lines.Get().(*msnp.Line)
	appendNLN(l, p.email, p.view)
	p.nln = bytes.Clone(l.Bytes())
	lines.Put(l.Reset())
}

// recipient is one user for whom a presence is meant.
type recipient struct {
	email string
	// epoch is that of the session which is to hear it, see clusterv1.Watcher;
	// of one that is probed, that of the record by which it was found.
	epoch uint64
	role  role
}

// A role is what a presence is to a recipient.
type role uint8

const (
	visible role = iota // sees the user
	hidden              // sees the user offline
	probed              // is asked for its own presence
)

// mailing gathers what one session says to many, one message per node.
type mailing struct {
	s       *session
	at      place
	letters []letter
}

// letter is what goes to one node.
type letter struct {
	node nodeID
	over bool
	to   []recipient
}

func (s *session) newMailing() *mailing { return &mailing{s: s, at: s.at()} }

// to returns the letter to a node. There are few nodes: a search along them costs
// less than a map.
func (m *mailing) to(node nodeID) *letter {
	for i := range m.letters {
		if m.letters[i].node == node {
			return &m.letters[i]
		}
	}
	m.letters = append(m.letters, letter{node: node})
	return &m.letters[len(m.letters)-1]
}

// tell has the contact's session at its place learn v.
func (m *mailing) tell(c *contact, v view) {
	c.setTold(v)
	r := recipient{c.email.String(), c.place.epoch, visible}
	if v.offline() {
		r.role = hidden
	}
	l := m.to(c.place.node)
	l.to = append(l.to, r)
}

// probe asks the contact's session, which a record says is at p.
func (m *mailing) probe(c *contact, p place) {
	l := m.to(p.node)
	l.to = append(l.to, recipient{c.email.String(), p.epoch, probed})
}

func (m *mailing) over(node nodeID, c *contact) {
	l := m.to(node)
	l.over = true
	l.to = append(l.to, recipient{email: c.email.String(), role: hidden})
}

// send hands the messages over, behind what the client itself was told.
func (m *mailing) send(ctx context.Context) {
	s := m.s
	s.flush()
	said := presence{email: s.email, at: m.at, count: s.count}
	if s.status.Visible() {
		said.view = s.own()
		said.render()
	}
	ended := said
	ended.over = true
	for _, l := range m.letters {
		p := &said
		if l.over {
			p = &ended
		}
		s.svc.hub.sendPresence(ctx, l.node, p, l.to)
	}
}

// toWire is a presence as it travels to another node.
func (p *presence) toWire(to []recipient) *clusterv1.Presence {
	w := &clusterv1.Presence{
		Email: p.email.String(),
		Node:  p.at.node.String(),
		Epoch: p.at.epoch,
		Count: p.count,
		Over:  p.over,
		Reply: p.reply,
	}
	if !p.view.offline() {
		w.Status, w.Name = p.view.status.String(), string(p.view.name.Value())
	}
	for _, r := range to {
		switch r.role {
		case visible:
			w.VisibleTo = append(w.VisibleTo, &clusterv1.Watcher{Email: r.email, Epoch: r.epoch})
		case hidden:
			w.HiddenFrom = append(w.HiddenFrom, &clusterv1.Watcher{Email: r.email, Epoch: r.epoch})
		case probed:
			w.Probes = append(w.Probes, &clusterv1.Probe{Email: r.email, Epoch: r.epoch})
		}
	}
	return w
}

// fromWire reads what another node has sent. A status that is not known leaves
// those to whom it is visible with what they were told before.
func fromWire(w *clusterv1.Presence) (*presence, []recipient) {
	p := &presence{
		email: msnp.MakeEmail(w.GetEmail()),
		at:    place{makeNodeID(w.GetNode()), w.GetEpoch()},
		count: w.GetCount(),
		over:  w.GetOver(),
		reply: w.GetReply(),
	}
	if status, ok := msnp.ParseStatus([]byte(w.GetStatus())); ok {
		p.view = makeView(status, msnp.Nick(w.GetName()))
	}
	if !p.view.offline() && !p.reply {
		p.render()
	}
	to := make([]recipient, 0, len(w.GetVisibleTo())+len(w.GetHiddenFrom())+len(w.GetProbes()))
	for _, r := range w.GetVisibleTo() {
		to = append(to, recipient{r.GetEmail(), r.GetEpoch(), visible})
	}
	for _, r := range w.GetHiddenFrom() {
		to = append(to, recipient{r.GetEmail(), r.GetEpoch(), hidden})
	}
	for _, r := range w.GetProbes() {
		to = append(to, recipient{r.GetEmail(), r.GetEpoch(), probed})
	}
	return p, to
}
