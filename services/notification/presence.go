package notification

import (
	"context"
	"time"
	"unique"

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
	return s.own()
}

// own is how those see us who see us at all.
func (s *session) own() view {
	if s.ownName == (unique.Handle[msnp.Nick]{}) || s.ownName.Value() != s.name {
		s.ownName = unique.Make(s.name)
	}
	return view{s.status, s.ownName}
}

// publish tells every watcher whose view of us has changed. What it tells is
// of the revision at hand, so whoever changes something raises count first.
func (s *session) publish(ctx context.Context) {
	if s.phase != msnp.Present {
		return
	}
	m := s.newMailing()
	for _, c := range s.lists.members {
		if c.place == (place{}) {
			continue
		}
		if v := s.viewFor(c); v != c.told() {
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
		s.Log().Warn("look up contacts", "error", err)
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
		at := place{makeNodeID(record.GetNode()), record.GetEpoch()}
		s.locate(c, at)
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
			m.probe(c, at)
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
// and the contact's node is about to write it again. Where that node says so, or
// ours has itself joined anew or cannot write, the wait begins anew.
func (s *session) missed(c *contact) {
	if c.place == (place{}) && c.shown().offline() {
		return
	}
	now := s.svc.uptime()
	if c.absentSince == 0 {
		c.absentSince = now
		s.svc.auditor.again(s, time.Now().Add(s.svc.lease()))
		return
	}
	if now-c.absentSince < s.svc.lease() {
		return
	}
	if m := s.svc.member; !m.Settled() || m.View().Former(c.place.node.String()) {
		c.absentSince = now
		s.svc.auditor.again(s, time.Now().Add(s.svc.lease()))
	} else {
		c.absentSince = 0
		s.end(c, max(c.place.epoch, c.seen.epoch))
	}
}

// locate notes where the contact's session is, and reports whether anything may be
// shown from there. A new session of the contact has not been told anything of
// us yet.
func (s *session) locate(c *contact, at place) bool {
	if c.ended(at.epoch) || s.svc.hub.isGone(at.node) {
		return false
	}
	if at.epoch >= c.place.epoch && at != c.place {
		c.place = at
		c.setTold(view{})
	}
	return true
}

// show tells the client how a contact appears now, if that is new to it. nln is
// the line for it, if that is known already.
func (s *session) show(c *contact, v view, nln []byte) {
	if !c.on.Has(msnp.FL) {
		v = view{}
	}
	if v == c.shown() {
		return
	}
	asked := s.roll.awaits(c.email)
	initial := c.shown().offline() && asked && !s.roll.repair
	if asked && s.roll.repair {
		s.svc.metrics.repairs.Add(context.Background(), 1)
	}
	c.setShown(v)
	switch {
	case v.offline():
		if c.on.Has(msnp.FL) {
			s.line("FLN").Email(c.email)
		}
	case initial:
		s.line("ILN").TrID(s.roll.trid).Status(v.status).Email(c.email).Nick(v.name.Value())
	case nln != nil:
		s.flush()
		s.conn.Send(nln)
	default:
		appendNLN(s.Lines(), c.email, v)
	}
}

func appendNLN(l *msnp.Line, e msnp.Email, v view) {
	l.Verb("NLN").Status(v.status).Email(e).Nick(v.name.Value())
}

// end takes the contact's epoch, and all before it, as over.
func (s *session) end(c *contact, epoch uint64) {
	c.over = max(c.over, epoch)
	if c.place.epoch <= epoch {
		c.place = place{}
		c.setTold(view{})
	}
	if c.seen.epoch <= epoch {
		s.show(c, view{}, nil)
	}
}

// presenceEvent is what another session says of its user, to this one.
type presenceEvent struct {
	*presence
	as recipient
}

// plain reports whether the event only brings a view, which a newer one makes
// superfluous.
func (e presenceEvent) plain() bool {
	return e.as.role != probed && !e.over && !e.reply
}

// mayBlock: a probe by somebody who is not on RL means that our lists are old.
func (e presenceEvent) mayBlock(s *session) bool {
	if e.as.role != probed || s.phase != msnp.Present {
		return false
	}
	c := s.lists.find(e.email)
	return c == nil || !c.on.Has(msnp.RL)
}

func (e presenceEvent) handle(ctx context.Context, s *session) {
	switch s.phase {
	case msnp.Present:
	case over:
		if e.as.role == probed && s.record != nil {
			s.reply(ctx, e.presence, presence{over: true})
		}
		return
	default:
		// Whoever is not present yet sees nobody, and announces itself later.
		if e.as.role == probed {
			s.reply(ctx, e.presence, presence{})
		}
		return
	}
	if e.as.role != probed && e.as.epoch != 0 && e.as.epoch != s.record.GetEpoch() {
		// It was said to our predecessor. Whoever said it does not know us yet
		// and would not take it back; we have asked, or will.
		return
	}
	if e.mayBlock(s) {
		s.refresh(ctx)
	}
	c := s.lists.find(e.email)
	if c == nil {
		if e.as.role == probed {
			s.reply(ctx, e.presence, presence{})
		}
		return
	}
	s.hear(c, e)
	if e.reply {
		s.roll.answered(e.email)
	}
	if e.as.role == probed {
		s.answerProbe(ctx, c, e.presence)
	}
}

// hear takes in what the message says of the contact.
func (s *session) hear(c *contact, e presenceEvent) {
	if e.over {
		s.end(c, e.at.epoch)
		return
	}
	if !s.locate(c, e.at) {
		return
	}
	c.absentSince = 0 // whoever speaks is there
	now := revision{e.at.epoch, e.count}
	if e.as.role == probed || now.before(c.seen) {
		return
	}
	c.seen = now
	switch {
	case e.as.role == hidden:
		s.show(c, view{}, nil)
	case !e.view.offline():
		s.show(c, e.view, e.nln)
	}
}

// answerProbe tells the prober what it may see of us now.
func (s *session) answerProbe(ctx context.Context, c *contact, p *presence) {
	v := s.viewFor(c)
	if c.place == p.at {
		c.setTold(v)
	}
	s.reply(ctx, p, presence{view: v})
}

// reply completes an answer to the probe p and sends it. One without a view
// says "offline".
func (s *session) reply(ctx context.Context, p *presence, answer presence) {
	answer.email = s.email
	answer.at = s.at()
	answer.count = s.count
	answer.reply = true
	to := recipient{p.email.String(), p.at.epoch, visible}
	if answer.view.offline() {
		to.role = hidden
	}
	s.svc.hub.sendPresence(ctx, p.at.node, &answer, []recipient{to})
}

// at is our own place.
func (s *session) at() place { return place{makeNodeID(s.record.GetNode()), s.record.GetEpoch()} }

// unreachableEvent says that probes reached no node: nobody there will answer.
type unreachableEvent struct{ probed []msnp.Email }

func (unreachableEvent) mayBlock(*session) bool { return false }

func (e unreachableEvent) handle(_ context.Context, s *session) {
	for _, email := range e.probed {
		s.roll.answered(email)
	}
}

// goneEvent buries everybody who was on a dead node.
type goneEvent struct{ node nodeID }

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
		if c.place != (place{}) {
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
		s.Log().Warn("look up the watchers of a displaced session", "error", err)
		return
	}
	m := s.newMailing()
	m.at = place{makeNodeID(displaced.GetNode()), displaced.GetEpoch()}
	for _, c := range watchers {
		if record := found[c.email.String()]; record != nil {
			m.over(makeNodeID(record.GetNode()), c)
		}
	}
	m.send(ctx)
}
