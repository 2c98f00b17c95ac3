package notification

import (
	"context"
	"math"
	"math/rand/v2"
	"time"

	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/internal/rpc"
	"github.com/monarch-msn/monarch/msnp"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// listsAge is how old lists may be that a client is given for the first time.
const listsAge = 5 * time.Second

// handleSYN brings the client's lists up to date: one line if it has them, else
// all of them, under one version number throughout.
//
//	C: SYN TrID version    S: SYN TrID version [and the block]
func (s *session) handleSYN(ctx context.Context, cmd *msnp.Command) error {
	p := cmd.Params()
	has := p.Version()
	if err := p.Err(); err != nil {
		return err
	}
	// A client that asks right after its login, as all do, gets what was read
	// then.
	if s.synced || s.svc.uptime()-s.read >= listsAge {
		s.refresh(ctx)
	}
	s.refreshIfStale(ctx)
	version := s.lists.version
	s.line("SYN").TrID(cmd.TrID).Uint(uint64(version))
	upToDate := has == version && !s.untold
	s.synced, s.untold = true, false
	if upToDate {
		return nil
	}
	s.line("GTC").TrID(cmd.TrID).Uint(uint64(version)).Word(gtcWord(s.gtcAsk))
	s.line("BLP").TrID(cmd.TrID).Uint(uint64(version)).Word(blpWord(s.blpAllow))
	s.dialect.AppendPrivatePhones(s.out, cmd.TrID, version, s.phones, s.mobileDevice)
	if s.dialect.Has(msnp.Groups) {
		s.appendGroups(cmd.TrID)
	}
	for _, x := range []msnp.List{msnp.FL, msnp.AL, msnp.BL, msnp.RL} {
		s.appendList(cmd.TrID, x)
	}
	return nil
}

// handleLST sends one list as SYN would. What others may change without raising
// our version, their names and who may see their numbers, is read anew.
func (s *session) handleLST(ctx context.Context, cmd *msnp.Command) error {
	p := cmd.Params()
	x := p.List()
	if err := p.Err(); err != nil {
		return err
	}
	if x == msnp.FL || x == msnp.RL {
		s.refresh(ctx)
	}
	s.refreshIfStale(ctx)
	s.appendList(cmd.TrID, x)
	return nil
}

// handleLSG sends the groups. Clients that negotiated a dialect without groups
// but ask for them are served all the same.
func (s *session) handleLSG(ctx context.Context, cmd *msnp.Command) error {
	s.refreshIfStale(ctx)
	s.appendGroups(cmd.TrID)
	return nil
}

func (s *session) appendGroups(trid []byte) {
	msnp.AppendGroups(s.Lines(), trid, s.lists.version, s.lists.groups)
}

func (s *session) appendList(trid []byte, x msnp.List) {
	members := s.lists.on(x)
	if len(members) == 0 {
		msnp.AppendNoContact(s.Lines(), trid, x, s.lists.version)
		return
	}
	for i, c := range members {
		s.dialect.AppendContact(s.Lines(), trid, x, s.lists.version, uint32(i+1), uint32(len(members)),
			c.email, c.named(x), c.groups)
		if x == msnp.FL {
			s.dialect.AppendPhones(s.Lines(), s.lists.version, c.email, c.phoneNumbers())
		}
	}
}

func gtcWord(ask bool) string {
	if ask {
		return "A"
	}
	return "N"
}

func blpWord(allow bool) string {
	if allow {
		return "AL"
	}
	return "BL"
}

// hearsChanges reports whether the client has anything that an asynchronous
// line about its lists could change: one that has not asked for its lists and
// is not present gets them with SYN.
func (s *session) hearsChanges() bool {
	return s.synced || s.phase == msnp.Present
}

// missesPhones notes that the client, which has not asked for its lists, was not
// told of phone numbers.
func (s *session) missesPhones() {
	s.untold = s.untold || s.dialect.Has(msnp.PhoneNumbers)
}

// notifyTouched tells the sessions of the others whose version an edit of ours
// has raised. It comes after the commit; a session that is missed finds out at
// its next audit.
func (s *session) notifyTouched(ctx context.Context, touched []*directoryv1.Touched, change func(*clusterv1.ListChanged)) {
	if len(touched) == 0 {
		return
	}
	s.flush()
	emails := make([]string, len(touched))
	for i, t := range touched {
		emails[i] = t.GetEmail()
	}
	ctx, cancel := s.call(ctx)
	defer cancel()
	found, err := s.svc.cluster.Lookup(ctx, emails)
	if err != nil {
		s.Log().Warn("look up whose lists an edit has changed", "error", err)
		return
	}
	for _, t := range touched {
		record := found[t.GetEmail()]
		if record == nil || t.GetEmail() == s.email.String() {
			continue
		}
		m := s.listChanged(t)
		change(m)
		s.svc.hub.send(ctx, record.GetNode(), &clusterv1.Message{Kind: &clusterv1.Message_ListChanged{ListChanged: m}})
	}
}

func (s *session) listChanged(t *directoryv1.Touched) *clusterv1.ListChanged {
	return &clusterv1.ListChanged{Email: t.GetEmail(), Version: t.GetVersion(), By: s.email.String()}
}

// listChangedEvent says that somebody else's edit raised our list version.
type listChangedEvent struct{ msg *clusterv1.ListChanged }

// mayBlock: only the very next version can be applied as it is, and only a change
// that this release knows.
func (e listChangedEvent) mayBlock(s *session) bool {
	if !s.loggedIn() || e.msg.GetVersion() <= s.lists.version {
		return false
	}
	return s.stale || e.msg.GetOther() || e.msg.GetChange() == nil || e.msg.GetVersion() != s.lists.version+1
}

func (e listChangedEvent) handle(ctx context.Context, s *session) {
	m := e.msg
	if !s.loggedIn() || m.GetVersion() <= s.lists.version {
		return
	}
	if e.mayBlock(s) {
		s.refresh(ctx)
		return
	}
	s.lists.version = m.GetVersion()
	by := msnp.MakeEmail(m.GetBy())
	switch change := m.GetChange().(type) {
	case *clusterv1.ListChanged_ReverseAdded:
		s.reverseAdded(by, msnp.Nick(change.ReverseAdded))
	case *clusterv1.ListChanged_ReverseRemoved:
		if c := s.lists.find(by); c != nil {
			s.reverseRemoved(c)
		}
	case *clusterv1.ListChanged_Phone:
		if c := s.lists.find(by); c != nil {
			s.phoneChanged(c, change.Phone.GetKey(), msnp.Nick(change.Phone.GetValue()))
		}
	}
}

// reverseAdded: somebody put the user on FL. Their session probes us next.
func (s *session) reverseAdded(by msnp.Email, friendly msnp.Nick) {
	c := s.lists.grow(by)
	c.on |= msnp.RL
	c.rename(msnp.RL, friendly)
	if !s.hearsChanges() {
		s.untold = true
	} else {
		s.line("ADD").Word("0").List(msnp.RL).Uint(uint64(s.lists.version)).Email(by).Nick(c.named(msnp.RL))
	}
}

// reverseRemoved: somebody took the user off FL, and sees the user no more.
func (s *session) reverseRemoved(c *contact) {
	c.on &^= msnp.RL
	c.setTold(view{})
	if !s.hearsChanges() {
		s.untold = true
	} else {
		s.line("REM").Word("0").List(msnp.RL).Uint(uint64(s.lists.version)).Email(c.email)
	}
	s.lists.shrink(c)
}

// phoneChanged: a contact changed a number that the user may see.
func (s *session) phoneChanged(c *contact, key string, value msnp.Nick) {
	p := c.phoneNumbers()
	if !p.Set(key, value) {
		return
	}
	c.setPhones(p)
	if !s.synced {
		s.missesPhones()
	} else {
		s.dialect.AppendPhone(s.Lines(), s.lists.version, c.email, key, value)
	}
}

// doubt notes that the lists may not be the directory's. They are read again
// before anything is decided by them, and soon in any case: the others whom an
// edit of unknown outcome concerns wait for it.
func (s *session) doubt() {
	s.stale = true
	spread := s.svc.cfg.ResyncTime
	s.svc.auditor.again(s, time.Now().Add(spread/2+time.Duration(rand.Int64N(int64(spread/2)+1))))
}

// refreshIfStale reads the lists again where an earlier edit or read left them
// in doubt. If the directory is away the old ones serve: they are what the
// client was told.
func (s *session) refreshIfStale(ctx context.Context) {
	if s.stale {
		s.refresh(ctx)
	}
}

// refresh reads the lists and tells the client the differences.
func (s *session) refresh(ctx context.Context) {
	s.flush()
	ctx, cancel := s.call(ctx)
	defer cancel()
	answer, err := s.svc.directory.Snapshot(ctx, &directoryv1.SnapshotRequest{Email: s.email.String()})
	if err != nil {
		s.doubt()
		s.Log().Warn("read lists again", "error", err)
		if rpc.Reason(err) != directoryv1.Reason_REASON_UNSPECIFIED {
			// The account is gone or disabled, and its session with it.
			s.conn.Close(front.ReasonOperator)
		}
		return
	}
	s.stale = false
	s.adopt(ctx, answer.GetSnapshot())
}

// adopt replaces the lists by newer ones and tells the client what is
// different, each line under the new version, and the watchers what follows
// from it.
func (s *session) adopt(ctx context.Context, snap *directoryv1.Snapshot) {
	switch {
	case snap.GetVersion() < s.lists.version:
		return
	case snap.GetVersion() == s.lists.version:
		s.adoptOthers(snap)
		return
	}
	old := s.lists
	oldName, oldBLP, oldPhones := s.name, s.blpAllow, s.phones
	s.adoptSettings(snap)
	s.lists = newLists(snap)
	visibility := s.name != oldName || s.blpAllow != oldBLP
	var fresh []*contact
	for _, c := range s.lists.members {
		before := old.find(c.email)
		if before == nil {
			before = &contact{email: c.email}
		}
		c.place, c.seen, c.over = before.place, before.seen, before.over
		c.absentSince = before.absentSince
		c.setShown(before.shown())
		c.setTold(before.told())
		s.tellDifference(before, c)
		visibility = visibility || before.on&^msnp.FL != c.on&^msnp.FL
		if c.on.Has(msnp.FL) && !before.on.Has(msnp.FL) {
			fresh = append(fresh, c)
		}
		if !c.on.Has(msnp.FL) {
			c.setShown(view{})
		}
	}
	for _, c := range old.members {
		if s.lists.find(c.email) == nil {
			s.tellDifference(c, &contact{email: c.email})
		}
	}
	s.notifyMissed(ctx, old, s.phones != oldPhones)
	if s.phase != msnp.Present {
		return
	}
	if visibility {
		s.count++
		s.publish(ctx)
	}
	if len(fresh) > 0 {
		s.reach(ctx, fresh, nil, nil)
	}
}

// notifyMissed tells those whose own lists were changed by edits of ours that
// come to light only now: the directory made them, and no answer came. Nobody
// else would tell them. Which version they have is not known, so they read all.
func (s *session) notifyMissed(ctx context.Context, old lists, phones bool) {
	var touched []*directoryv1.Touched
	concerns := func(c *contact, was, is msnp.List) {
		if (was ^ is).Has(msnp.FL) || phones && is.Has(msnp.RL) {
			touched = append(touched, &directoryv1.Touched{Email: c.email.String(), Version: math.MaxUint32})
		}
	}
	for _, c := range s.lists.members {
		was := msnp.List(0)
		if before := old.find(c.email); before != nil {
			was = before.on
		}
		concerns(c, was, c.on)
	}
	for _, c := range old.members {
		if s.lists.find(c.email) == nil {
			concerns(c, c.on, 0)
		}
	}
	s.notifyTouched(ctx, touched, func(m *clusterv1.ListChanged) {
		m.Change = &clusterv1.ListChanged_Other{Other: true}
	})
}

// adoptOthers takes over what contacts have changed of themselves. It comes
// without a line: the client learns it when it asks for the list.
func (s *session) adoptOthers(snap *directoryv1.Snapshot) {
	for _, m := range snap.GetMembers() {
		if c := s.lists.find(msnp.MakeEmail(m.GetEmail())); c != nil {
			now, d := newContact(m), c.known()
			d.friendly, d.phones = now.known().friendly, now.known().phones
			c.know(d)
		}
	}
}

// tellDifference writes the asynchronous lines that turn one contact's entries
// into another's. Group membership is a list of its own on FL.
func (s *session) tellDifference(before, after *contact) {
	if !s.hearsChanges() {
		s.untold = s.untold || *before != *after
		return
	}
	version := uint64(s.lists.version)
	for _, x := range []msnp.List{msnp.FL, msnp.AL, msnp.BL, msnp.RL} {
		switch was, is := before.on.Has(x), after.on.Has(x); {
		case is && !was:
			s.line("ADD").Word("0").List(x).Uint(version).Email(after.email).Nick(after.named(x))
		case was && !is:
			s.line("REM").Word("0").List(x).Uint(version).Email(after.email)
		}
	}
	if !after.on.Has(msnp.FL) {
		return
	}
	if s.dialect.Has(msnp.Groups) {
		s.tellGroups(before, after, version)
	}
	switch {
	case before.phoneNumbers() == after.phoneNumbers():
	case !s.synced:
		s.missesPhones()
	default:
		s.dialect.AppendPhones(s.Lines(), s.lists.version, after.email, after.phoneNumbers())
	}
}

func (s *session) tellGroups(before, after *contact, version uint64) {
	was := before.groups
	if !before.on.Has(msnp.FL) {
		was = msnp.GroupSet(0).With(0) // what an ADD without a group means
	}
	for _, g := range s.lists.groups {
		switch {
		case after.groups.Has(g.ID) && !was.Has(g.ID):
			s.line("ADD").Word("0").List(msnp.FL).Uint(version).Email(after.email).Nick(after.named(msnp.FL)).Uint(uint64(g.ID))
		case was.Has(g.ID) && !after.groups.Has(g.ID):
			s.line("REM").Word("0").List(msnp.FL).Uint(version).Email(after.email).Uint(uint64(g.ID))
		}
	}
}

// before brings the session to the state on which its edit was made, if the
// directory had a newer one than the session.
func (s *session) before(ctx context.Context, r *directoryv1.EditResponse) {
	if snap := r.GetBefore(); snap != nil {
		s.adopt(ctx, snap)
	}
	s.stale = false
	s.lists.version = r.GetVersion()
}
