package notification

import (
	"context"
	"errors"

	"github.com/monarch-msn/monarch/msnp"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// handleADD puts somebody on FL, AL or BL, or an FL contact in one more group.
//
//	C: ADD TrID list handle name [group]
//	S: ADD TrID list version handle name [group]
func (s *session) handleADD(ctx context.Context, cmd *msnp.Command) error {
	p := cmd.Params()
	x := p.List()
	email := p.Email(msnp.CodeInvalidParameter)
	name := msnp.Nick(email.String())
	if p.More() {
		name = p.Nick(s.svc.cfg.NameBytes, msnp.CodeInvalidParameter)
	}
	group, grouped := optionalGroup(&p, x)
	if x == msnp.RL || len(email.String()) > s.svc.cfg.HandleBytes {
		return msnp.ErrMalformed
	}
	if err := p.Err(); err != nil {
		if len(cmd.Args) > 2 {
			// A name that is too long is worse than an address that is none.
			if _, long := msnp.ParseNick(cmd.Args[2], s.svc.cfg.NameBytes); errors.Is(long, msnp.ErrNickTooLong) {
				return msnp.ErrMalformed
			}
		}
		return err
	}

	request := &directoryv1.AddMemberRequest{
		Edit: s.edit(), List: directoryv1.List(x), Member: email.String(), Name: string(name),
	}
	if grouped {
		request.Group = &group
	}
	call, cancel := s.call(ctx)
	defer cancel()
	answer, err := s.svc.directory.AddMember(call, request)
	if err != nil {
		return s.refusedEdit(err)
	}
	s.before(ctx, answer)
	c := s.lists.grow(email)
	fresh := x == msnp.FL && !c.on.Has(msnp.FL)
	if !c.on.Has(x) {
		c.on |= x
		c.rename(x, name)
	}
	switch {
	case fresh:
		stored, d := newContact(answer.GetMember()), c.known()
		d.phones, d.friendly = stored.known().phones, stored.known().friendly
		c.on, c.groups = stored.on, stored.groups
		c.know(d)
	case grouped:
		c.groups = c.groups.With(group)
	}
	l := s.line("ADD").TrID(cmd.TrID).List(x).Uint(uint64(s.lists.version)).Email(email).Nick(name)
	if grouped {
		l.Uint(uint64(group))
	}
	switch {
	case fresh:
		s.befriend(ctx, cmd, c, answer.GetTouched())
	case x != msnp.FL:
		s.count++
		s.publish(ctx)
	}
	return nil
}

// befriend does what follows from a new entry on FL: the phone numbers, the
// news to the one added, and the presence of that one.
func (s *session) befriend(ctx context.Context, cmd *msnp.Command, c *contact, touched []*directoryv1.Touched) {
	if !s.synced {
		s.missesPhones()
	} else {
		s.dialect.AppendPhones(s.Lines(), s.lists.version, c.email, c.phoneNumbers())
	}
	ahead := make(map[string]*clusterv1.ListChanged, len(touched))
	for _, t := range touched {
		m := s.listChanged(t)
		m.Change = &clusterv1.ListChanged_ReverseAdded{ReverseAdded: string(s.name)}
		ahead[t.GetEmail()] = m
	}
	s.reach(ctx, []*contact{c}, newRollCall(cmd.TrID), ahead)
	s.await(ctx)
}

// handleREM takes somebody off FL, AL or BL, or out of one group.
//
//	C: REM TrID list handle [group]    S: REM TrID list version handle [group]
func (s *session) handleREM(ctx context.Context, cmd *msnp.Command) error {
	p := cmd.Params()
	x := p.List()
	email := p.Email(msnp.CodeNotOnList)
	group, grouped := optionalGroup(&p, x)
	if x == msnp.RL {
		return msnp.ErrMalformed
	}
	if err := p.Err(); err != nil {
		return err
	}

	request := &directoryv1.RemoveMemberRequest{
		Edit: s.edit(), List: directoryv1.List(x), Member: email.String(),
	}
	if grouped {
		request.Group = &group
	}
	call, cancel := s.call(ctx)
	defer cancel()
	answer, err := s.svc.directory.RemoveMember(call, request)
	if err != nil {
		return s.refusedEdit(err)
	}
	s.before(ctx, answer)
	l := s.line("REM").TrID(cmd.TrID).List(x).Uint(uint64(s.lists.version)).Email(email)
	if grouped {
		l.Uint(uint64(group))
	}
	c := s.lists.find(email)
	switch {
	case c == nil:
	case grouped:
		c.groups = c.groups.Without(group)
	case x == msnp.FL:
		s.forget(c)
	default:
		c.on &^= x
		s.count++
		s.publish(ctx)
		s.lists.shrink(c)
	}
	s.notifyTouched(ctx, answer.GetTouched(), func(m *clusterv1.ListChanged) {
		m.Change = &clusterv1.ListChanged_ReverseRemoved{ReverseRemoved: true}
	})
	return nil
}

// forget takes a contact off the cached FL. The client hears nothing more of
// the contact, and no FLN either.
func (s *session) forget(c *contact) {
	c.on &^= msnp.FL
	if c.email == s.email {
		c.on &^= msnp.RL
	}
	c.groups = 0
	c.setShown(view{})
	c.setPhones(msnp.Phones{})
	s.lists.shrink(c)
}

// optionalGroup reads the group argument, which has a meaning on FL only.
func optionalGroup(p *msnp.Params, x msnp.List) (group uint32, ok bool) {
	if x != msnp.FL || !p.More() {
		return 0, false
	}
	return p.Uint32(), true
}
