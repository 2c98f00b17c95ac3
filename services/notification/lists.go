package notification

import (
	"slices"
	"time"
	"unique"

	"github.com/monarch-msn/monarch/msnp"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// lists is what a session keeps of its user's lists: a cache of the
// directory's, true for one list version.
type lists struct {
	// version is the list version that the client has been told.
	version uint32
	groups  []msnp.Group
	// members is everyone on any list, in the directory's order, and emails has
	// their addresses in the same order. To run through these, a word each,
	// costs less than a map, whose memory would be a third of a session's.
	members []*contact
	emails  []msnp.Email
}

// contact is one person on the user's lists, and what this session knows of
// that person's presence. A node has as many as there are users times contacts:
// they are most of its memory, so what is equal for many is kept once.
type contact struct {
	email   msnp.Email
	details unique.Handle[details]
	groups  msnp.GroupSet
	on      msnp.List

	// What our client was told of the contact, and what the contact's session
	// at place was told of us: see shown and told.
	shownStatus, toldStatus msnp.Status
	shownName, toldName     unique.Handle[msnp.Nick]
	// place is where the contact's session is, as far as it told us.
	place place
	// seen is the newest revision heard of the contact's presence, over the
	// newest epoch that is known to have ended.
	seen revision
	over uint64
	// absentSince is when an audit first missed the contact's record, as uptime
	// tells it, or zero. See session.missed.
	absentSince time.Duration
}

// details are what the lists have of a person, mostly the same for all who know
// that person.
type details struct {
	// Names as the protocol shows them on each list.
	forward, allow, block, friendly msnp.Nick
	// phones are those that the user may see.
	phones msnp.Phones
}

// place says which session of a contact to talk to. The zero place is none.
type place struct {
	node  nodeID
	epoch uint64
}

// nodeID is the id of a node, one word wide. The zero one is none.
type nodeID struct{ id unique.Handle[string] }

func makeNodeID(id string) nodeID {
	if id == "" {
		return nodeID{}
	}
	return nodeID{unique.Make(id)}
}

// String returns the id, or "" for none.
func (n nodeID) String() string {
	if n == (nodeID{}) {
		return ""
	}
	return n.id.Value()
}

// revision orders what one user's sessions say of themselves.
type revision struct {
	epoch, count uint64
}

func (r revision) before(o revision) bool {
	return r.epoch < o.epoch || r.epoch == o.epoch && r.count < o.count
}

// view is how one user appears to another. The zero view is offline. The name is
// kept once for all who see the user.
type view struct {
	status msnp.Status
	name   unique.Handle[msnp.Nick]
}

func makeView(status msnp.Status, name msnp.Nick) view { return view{status, unique.Make(name)} }

func (v view) offline() bool { return v.status == msnp.StatusNone }

// shown is what our client was told of the contact.
func (c *contact) shown() view { return view{c.shownStatus, c.shownName} }

func (c *contact) setShown(v view) { c.shownStatus, c.shownName = v.status, v.name }

// told is what the contact's session at its place was told of us.
func (c *contact) told() view { return view{c.toldStatus, c.toldName} }

func (c *contact) setTold(v view) { c.toldStatus, c.toldName = v.status, v.name }

// named returns the name that list x shows for the contact.
func (c *contact) named(x msnp.List) msnp.Nick {
	var n msnp.Nick
	switch d := c.known(); x {
	case msnp.FL:
		n = d.forward
	case msnp.AL:
		n = d.allow
	case msnp.BL:
		n = d.block
	case msnp.RL:
		n = d.friendly
	}
	if n == "" {
		return msnp.Nick(c.email.String())
	}
	return n
}

// rename stores n as the name on each of the lists xs.
func (c *contact) rename(xs msnp.List, n msnp.Nick) {
	d := c.known()
	if xs.Has(msnp.FL) {
		d.forward = n
	}
	if xs.Has(msnp.AL) {
		d.allow = n
	}
	if xs.Has(msnp.BL) {
		d.block = n
	}
	if xs.Has(msnp.RL) {
		d.friendly = n
	}
	c.know(d)
}

// known returns what the lists have of the contact.
func (c *contact) known() details {
	if c.details == (unique.Handle[details]{}) {
		return details{}
	}
	return c.details.Value()
}

// know stores it.
func (c *contact) know(d details) { c.details = unique.Make(d) }

// phoneNumbers returns the contact's numbers as the user may see them.
func (c *contact) phoneNumbers() msnp.Phones { return c.known().phones }

// setPhones stores them.
func (c *contact) setPhones(p msnp.Phones) {
	d := c.known()
	d.phones = p
	c.know(d)
}

// ended reports whether epoch is known to be over.
func (c *contact) ended(epoch uint64) bool { return epoch <= c.over }

// newLists builds the cache from a snapshot.
func newLists(s *directoryv1.Snapshot) lists {
	l := lists{
		version: s.GetVersion(),
		groups:  make([]msnp.Group, 0, len(s.GetGroups())),
		members: make([]*contact, 0, len(s.GetMembers())),
		emails:  make([]msnp.Email, 0, len(s.GetMembers())),
	}
	for _, g := range s.GetGroups() {
		l.groups = append(l.groups, msnp.Group{ID: g.GetId(), Name: msnp.Nick(g.GetName())})
	}
	contacts := make([]contact, len(s.GetMembers())) // one allocation, side by side
	for i, m := range s.GetMembers() {
		contacts[i] = newContact(m)
		l.put(&contacts[i])
	}
	return l
}

func newContact(m *directoryv1.Member) contact {
	c := contact{
		email:  msnp.MakeEmail(m.GetEmail()),
		on:     msnp.List(m.GetLists()),
		groups: msnp.GroupSet(m.GetGroups()),
	}
	c.know(details{
		forward:  msnp.Nick(m.GetForwardName()),
		allow:    msnp.Nick(m.GetAllowName()),
		block:    msnp.Nick(m.GetBlockName()),
		friendly: msnp.Nick(m.GetFriendly()),
		phones:   phonesOf(m.GetPhones()),
	})
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
	l.emails = append(l.emails, c.email)
}

// find returns the contact, or nil for a stranger.
func (l *lists) find(e msnp.Email) *contact {
	if i := slices.Index(l.emails, e); i >= 0 {
		return l.members[i]
	}
	return nil
}

// grow returns the contact, made anew on no list if it was a stranger.
func (l *lists) grow(e msnp.Email) *contact {
	if c := l.find(e); c != nil {
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
	if i := slices.Index(l.emails, c.email); i >= 0 {
		l.members = slices.Delete(l.members, i, i+1)
		l.emails = slices.Delete(l.emails, i, i+1)
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
