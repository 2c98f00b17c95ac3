package notification

import (
	"time"

	"github.com/monarch-msn/monarch/msnp"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// lists is what a session keeps of its user's lists: a cache of the
// directory's, true for one list version.
type lists struct {
	// version is the list version that the client has been told.
	version uint32
	groups  []msnp.Group
	// members is everyone on any list, in the directory's order; byEmail
	// finds them.
	members []*contact
	byEmail map[msnp.Email]*contact
}

// contact is one person on the user's lists, and what this session knows of
// that person's presence.
type contact struct {
	email  msnp.Email
	on     msnp.List
	groups msnp.GroupSet
	// Names as the protocol shows them on each list.
	forward, allow, block, friendly msnp.Nick
	// phones is nil while all are unset or hidden from the user.
	phones *msnp.Phones

	// place is where the contact's session is, as far as it told us.
	place place
	// seen is the newest revision heard of the contact's presence, over the
	// newest epoch that is known to have ended.
	seen revision
	over uint64
	// shown is what our client was told of the contact, told what the
	// contact's session at place was told of us.
	shown, told view
	// absentSince is when an audit first missed the contact's record, as uptime
	// tells it, or zero. See session.audit.
	absentSince time.Duration
}

// place says which session of a contact to talk to.
type place struct {
	node  string
	epoch uint64
}

// revision orders what one user's sessions say of themselves.
type revision struct {
	epoch, count uint64
}

func (r revision) before(o revision) bool {
	return r.epoch < o.epoch || r.epoch == o.epoch && r.count < o.count
}

// view is how one user appears to another. The zero view is offline.
type view struct {
	status msnp.Status
	name   msnp.Nick
}

func (v view) offline() bool { return v.status == msnp.StatusNone }

// named returns the name that list x shows for the contact.
func (c *contact) named(x msnp.List) msnp.Nick {
	var n msnp.Nick
	switch x {
	case msnp.FL:
		n = c.forward
	case msnp.AL:
		n = c.allow
	case msnp.BL:
		n = c.block
	case msnp.RL:
		n = c.friendly
	}
	if n == "" {
		return msnp.Nick(c.email.String())
	}
	return n
}

// rename stores n as the name on each of the lists xs.
func (c *contact) rename(xs msnp.List, n msnp.Nick) {
	if xs.Has(msnp.FL) {
		c.forward = n
	}
	if xs.Has(msnp.AL) {
		c.allow = n
	}
	if xs.Has(msnp.BL) {
		c.block = n
	}
	if xs.Has(msnp.RL) {
		c.friendly = n
	}
}

// phoneNumbers returns the contact's numbers as the user may see them.
func (c *contact) phoneNumbers() msnp.Phones {
	if c.phones == nil {
		return msnp.Phones{}
	}
	return *c.phones
}

// ended reports whether epoch is known to be over.
func (c *contact) ended(epoch uint64) bool { return epoch <= c.over }

// newLists builds the cache from a snapshot.
func newLists(s *directoryv1.Snapshot) lists {
	l := lists{
		version: s.GetVersion(),
		groups:  make([]msnp.Group, 0, len(s.GetGroups())),
		members: make([]*contact, 0, len(s.GetMembers())),
		byEmail: make(map[msnp.Email]*contact, len(s.GetMembers())),
	}
	for _, g := range s.GetGroups() {
		l.groups = append(l.groups, msnp.Group{ID: g.GetId(), Name: msnp.Nick(g.GetName())})
	}
	for _, m := range s.GetMembers() {
		l.put(newContact(m))
	}
	return l
}

func newContact(m *directoryv1.Member) *contact {
	c := &contact{
		email:    msnp.MakeEmail(m.GetEmail()),
		on:       msnp.List(m.GetLists()),
		groups:   msnp.GroupSet(m.GetGroups()),
		forward:  msnp.Nick(m.GetForwardName()),
		allow:    msnp.Nick(m.GetAllowName()),
		block:    msnp.Nick(m.GetBlockName()),
		friendly: msnp.Nick(m.GetFriendly()),
	}
	if p := phonesOf(m.GetPhones()); p != (msnp.Phones{}) {
		c.phones = &p
	}
	return c
}

func phonesOf(p *directoryv1.Phones) msnp.Phones {
	return msnp.Phones{
		Home:   msnp.Nick(p.GetHome()),
		Work:   msnp.Nick(p.GetWork()),
		Mobile: msnp.Nick(p.GetMobile()),
		Page:   p.GetPage(),
	}
}

func (l *lists) put(c *contact) {
	l.members = append(l.members, c)
	l.byEmail[c.email] = c
}

// find returns the contact, or nil for a stranger.
func (l *lists) find(e msnp.Email) *contact { return l.byEmail[e] }

// grow returns the contact, made anew on no list if it was a stranger.
func (l *lists) grow(e msnp.Email) *contact {
	if c := l.byEmail[e]; c != nil {
		return c
	}
	c := &contact{email: e}
	l.put(c)
	return c
}

// shrink forgets a contact that is on no list any more. Its presence goes with
// it: somebody who comes back is probed anew.
func (l *lists) shrink(c *contact) {
	if c.on != 0 {
		return
	}
	delete(l.byEmail, c.email)
	for i, m := range l.members {
		if m == c {
			l.members = append(l.members[:i], l.members[i+1:]...)
			return
		}
	}
}

// on returns the members of list x, in order.
func (l *lists) on(x msnp.List) []*contact {
	var members []*contact
	for _, c := range l.members {
		if c.on.Has(x) {
			members = append(members, c)
		}
	}
	return members
}

func (l *lists) group(id uint32) *msnp.Group {
	for i := range l.groups {
		if l.groups[i].ID == id {
			return &l.groups[i]
		}
	}
	return nil
}

// putGroup keeps the groups in ascending order of id, as LSG lists them.
func (l *lists) putGroup(g msnp.Group) {
	at := len(l.groups)
	for at > 0 && l.groups[at-1].ID > g.ID {
		at--
	}
	l.groups = append(l.groups, msnp.Group{})
	copy(l.groups[at+1:], l.groups[at:])
	l.groups[at] = g
}

func (l *lists) dropGroup(id uint32) {
	for i := range l.groups {
		if l.groups[i].ID == id {
			l.groups = append(l.groups[:i], l.groups[i+1:]...)
			return
		}
	}
}
