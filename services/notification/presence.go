package notification

import (
	"context"
	"time"

	"github.com/monarch-msn/monarch/msnp"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// How presence travels. Only a user's own session decides who sees the user:
// it holds the lists that say so. It tells each watcher, through the watcher's
// session, what that one may see, under a revision that grows with each
// change. A watcher's session tells its client what is new to it and drops what
// is old.
//
// Two sessions learn of each other by an announcement: at its first CHG, and at
// each audit, a session looks up the places of all its contacts, tells each
// what it may see, and probes those on its FL for theirs. It has written its
// own place down before, so of two that come online at once at least one finds
// the other.

// handleCHG changes the status. The first one makes the session present.
//
//	C: CHG TrID state    S: CHG TrID state    S: ILN TrID state handle friendly
//
// Behind the first one comes what the service has to say, see welcome.
func (s *session) handleCHG(ctx context.Context, cmd *msnp.Command) error {
	p := cmd.Params()
	status := p.Status()
	if err := p.Err(); err != nil {
		return err
	}
	if status == msnp.FLN {
		return msnp.CodeInvalidParameter
	}
	first, changed := s.phase != msnp.Present, s.status != status
	s.phase, s.status = msnp.Present, status
	s.line("CHG").TrID(cmd.TrID).Status(status)
	switch {
	case first:
		s.count++
		s.announce(ctx, newRollCall(cmd.TrID))
		s.await(ctx)
		s.welcome()
	case changed:
		s.count++
		s.publish(ctx)
	}
	return nil
}

// viewFor is what a contact may see of us now: the one place where the user's
// status, privacy mode and lists come together.
func (s *session) viewFor(c *contact) view {
	if s.phase != msnp.Present || s.status == msnp.HDN {
		return view{}
	}
	if !c.on.Has(msnp.RL) || !msnp.Admits(s.blpAllow, c.on) {
		return view{}
	}
	return view{s.status, s.name}
}

// publish tells every watcher whose view of us has changed. What it tells is
// of the revision at hand, so whoever changes something raises count first.
func (s *session) publish(ctx context.Context) {
	if s.phase != msnp.Present {
		return
	}
	m := s.newMailing()
	for _, c := range s.lists.members {
		if c.place.node == "" {
			continue
		}
		if v := s.viewFor(c); v != c.told {
			m.tell(c, v)
		}
	}
	m.send(ctx)
}

// announce looks up all contacts, tells each its view of us, and probes those
// on FL. The answers complete roll.
func (s *session) announce(ctx context.Context, roll *rollCall) {
	var contacts []*contact
	for _, c := range s.lists.members {
		if c.on.Has(msnp.FL) || c.on.Has(msnp.RL) {
			contacts = append(contacts, c)
		}
	}
	s.reach(ctx, contacts, roll, nil)
}

// reach finds the sessions of the contacts, and tells and probes them as their
// lists demand; roll, if there is one, waits for the answers. A message in
// ahead, by email, goes to its contact first.
func (s *session) reach(ctx context.Context, contacts []*contact, roll *rollCall, ahead map[string]*clusterv1.ListChanged) {
	if roll != nil {
		s.roll = roll
	}
	s.flush()
	found, err := s.lookup(ctx, contacts)
	if err != nil {
		// Nobody knows where we are now, and what is said to our predecessor is
		// not for us: try again, also where no resync follows.
		s.log.Warn("look up contacts", "error", err)
		s.svc.auditor.again(s, time.Now().Add(time.Second))
		roll.finish()
		return
	}
	m := s.newMailing()
	for _, c := range contacts {
		record := found[c.email.String()]
		if record == nil {
			s.missed(c)
			continue
		}
		c.absentSince = 0
		at := place{record.GetNode(), record.GetEpoch()}
		c.moveTo(at)
		if changed := ahead[c.email.String()]; changed != nil {
			s.svc.hub.send(ctx, record.GetNode(), &clusterv1.Message{Kind: &clusterv1.Message_ListChanged{ListChanged: changed}})
		}
		if s.phase != msnp.Present {
			continue
		}
		if c.on.Has(msnp.RL) && c.place == at {
			m.tell(c, s.viewFor(c))
		}
		if c.on.Has(msnp.FL) {
			m.probe(record, c)
			roll.expect(c.email)
		}
	}
	m.send(ctx)
	roll.settle()
}

func (s *session) lookup(ctx context.Context, contacts []*contact) (map[string]*clusterv1.Session, error) {
	if len(contacts) == 0 {
		return nil, nil
	}
	emails := make([]string, len(contacts))
	for i, c := range contacts {
		emails[i] = c.email.String()
	}
	ctx, cancel := s.call(ctx)
	defer cancel()
	return s.svc.cluster.Lookup(ctx, emails)
}

// missed notes that a contact has no record. One that was online counts as gone
// only if its record is still absent a lease later: Redis may have been emptied,
// and the contact's node is about to write it again.
func (s *session) missed(c *contact) {
	if c.place.node == "" && c.shown.offline() {
		return
	}
	now := s.svc.uptime()
	if c.absentSince == 0 {
		c.absentSince = now
		s.svc.auditor.again(s, time.Now().Add(s.svc.lease()))
		return
	}
	if now-c.absentSince >= s.svc.lease() {
		c.absentSince = 0
		s.end(c, max(c.place.epoch, c.seen.epoch))
	}
}

// moveTo notes where the contact's session is. A new session of the contact has
// not been told anything of us yet.
func (c *contact) moveTo(p place) {
	if c.ended(p.epoch) || p.epoch < c.place.epoch || p == c.place {
		return
	}
	c.place, c.told = p, view{}
}

// show tells the client how a contact appears now, if that is new to it.
func (s *session) show(c *contact, v view) {
	if !c.on.Has(msnp.FL) {
		v = view{}
	}
	if v == c.shown {
		return
	}
	asked := s.roll.awaits(c.email)
	initial := c.shown.offline() && asked && !s.roll.repair
	if asked && s.roll.repair {
		s.svc.metrics.repairs.Add(context.Background(), 1)
	}
	c.shown = v
	switch {
	case v.offline():
		if c.on.Has(msnp.FL) {
			s.line("FLN").Email(c.email)
		}
	case initial:
		s.line("ILN").TrID(s.roll.trid).Status(v.status).Email(c.email).Nick(v.name)
	default:
		s.line("NLN").Status(v.status).Email(c.email).Nick(v.name)
	}
}

// end takes the contact's epoch, and all before it, as over.
func (s *session) end(c *contact, epoch uint64) {
	c.over = max(c.over, epoch)
	if c.place.epoch <= epoch {
		c.place, c.told = place{}, view{}
	}
	if c.seen.epoch <= epoch {
		s.show(c, view{})
	}
}

// presenceEvent is what another session says of its user, to this one.
type presenceEvent struct {
	msg *clusterv1.Presence
	// told and visible say whether the message holds a view for us, and which;
	// to is the epoch of the session that it is meant for, if not any.
	told, visible bool
	to            uint64
	// probed says that we are asked for ours.
	probed bool
}

// plain reports whether the event only brings a view, which a newer one makes
// superfluous.
func (e presenceEvent) plain() bool {
	return e.told && !e.probed && !e.msg.GetOver() && !e.msg.GetReply()
}

// mayBlock: a probe by somebody who is not on RL means that our lists are old.
func (e presenceEvent) mayBlock(s *session) bool {
	if !e.probed || s.phase != msnp.Present {
		return false
	}
	c := s.lists.find(msnp.MakeEmail(e.msg.GetEmail()))
	return c == nil || !c.on.Has(msnp.RL)
}

func (e presenceEvent) handle(ctx context.Context, s *session) {
	p := e.msg
	switch s.phase {
	case msnp.Present:
	case over:
		if e.probed && s.record != nil {
			s.reply(ctx, p, &clusterv1.Presence{Over: true})
		}
		return
	default:
		// Whoever is not present yet sees nobody, and announces itself later.
		if e.probed {
			s.reply(ctx, p, &clusterv1.Presence{})
		}
		return
	}
	if e.to != 0 && e.to != s.record.GetEpoch() {
		// It was said to our predecessor. Whoever said it does not know us yet
		// and would not take it back; we have asked, or will.
		return
	}
	if e.mayBlock(s) {
		s.refresh(ctx)
	}
	email := msnp.MakeEmail(p.GetEmail())
	c := s.lists.find(email)
	if c == nil {
		if e.probed {
			s.reply(ctx, p, &clusterv1.Presence{})
		}
		return
	}
	s.hear(c, e)
	if p.GetReply() {
		s.roll.answered(email)
	}
	if e.probed {
		s.answerProbe(ctx, c, p)
	}
}

// hear takes in what the message says of the contact.
func (s *session) hear(c *contact, e presenceEvent) {
	p := e.msg
	if p.GetOver() {
		s.end(c, p.GetEpoch())
		return
	}
	if c.ended(p.GetEpoch()) {
		return
	}
	c.absentSince = 0 // whoever speaks is there
	c.moveTo(place{p.GetNode(), p.GetEpoch()})
	now := revision{p.GetEpoch(), p.GetCount()}
	if !e.told || now.before(c.seen) {
		return
	}
	c.seen = now
	v := view{}
	if e.visible {
		status, ok := msnp.ParseStatus([]byte(p.GetStatus()))
		if !ok {
			return
		}
		v = view{status, msnp.Nick(p.GetName())}
	}
	s.show(c, v)
}

// answerProbe tells the prober what it may see of us now.
func (s *session) answerProbe(ctx context.Context, c *contact, p *clusterv1.Presence) {
	v := s.viewFor(c)
	if c.place == (place{p.GetNode(), p.GetEpoch()}) {
		c.told = v
	}
	answer := &clusterv1.Presence{}
	if !v.offline() {
		answer.Status, answer.Name = v.status.String(), string(v.name)
	}
	s.reply(ctx, p, answer)
}

// reply completes an answer to the probe p and sends it. One without a status
// says "offline".
func (s *session) reply(ctx context.Context, p, answer *clusterv1.Presence) {
	answer.Email = s.email.String()
	answer.Node = s.record.GetNode()
	answer.Epoch = s.record.GetEpoch()
	answer.Count = s.count
	answer.Reply = true
	if answer.GetStatus() != "" {
		answer.VisibleTo = []*clusterv1.Watcher{{Email: p.GetEmail(), Epoch: p.GetEpoch()}}
	} else {
		answer.HiddenFrom = []*clusterv1.Watcher{{Email: p.GetEmail(), Epoch: p.GetEpoch()}}
	}
	s.svc.hub.send(ctx, p.GetNode(), &clusterv1.Message{Kind: &clusterv1.Message_Presence{Presence: answer}})
}

// unreachableEvent says that probes reached no node: nobody there will answer.
type unreachableEvent struct{ probes []*clusterv1.Probe }

func (unreachableEvent) mayBlock(*session) bool { return false }

func (e unreachableEvent) handle(_ context.Context, s *session) {
	for _, p := range e.probes {
		s.roll.answered(msnp.MakeEmail(p.GetEmail()))
	}
}

// goneEvent buries everybody who was on a dead node.
type goneEvent struct{ node string }

func (goneEvent) mayBlock(*session) bool { return false }

func (e goneEvent) handle(_ context.Context, s *session) {
	for _, c := range s.lists.members {
		if c.place.node == e.node {
			s.end(c, c.place.epoch)
		}
	}
}

// sayOver tells everybody who knows our place that our epoch is over.
func (s *session) sayOver(ctx context.Context) {
	m := s.newMailing()
	for _, c := range s.lists.members {
		if c.place.node != "" {
			m.over(c.place.node, c)
		}
	}
	m.send(ctx)
}

// buryPredecessor tells the watchers of a displaced session that it is over. The
// displaced session does the same, if its node lives; twice does no harm.
func (s *session) buryPredecessor(ctx context.Context, displaced *clusterv1.Session) {
	watchers := s.lists.on(msnp.RL)
	found, err := s.lookup(ctx, watchers)
	if err != nil {
		s.log.Warn("look up the watchers of a displaced session", "error", err)
		return
	}
	m := s.newMailing()
	m.node, m.epoch = displaced.GetNode(), displaced.GetEpoch()
	for _, c := range watchers {
		if record := found[c.email.String()]; record != nil {
			m.over(record.GetNode(), c)
		}
	}
	m.send(ctx)
}
