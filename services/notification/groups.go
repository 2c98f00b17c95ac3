package notification

import (
	"context"

	"github.com/monarch-msn/monarch/msnp"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// handleADG makes a group, under the lowest free id.
//
//	C: ADG TrID name 0    S: ADG TrID version name id 0
func (s *session) handleADG(ctx context.Context, cmd *msnp.Command) error {
	p := cmd.Params()
	name := p.Nick(s.svc.cfg.GroupRenameBytes, msnp.CodeInvalidParameter)
	if err := p.Err(); err != nil {
		return err
	}
	if len(s.lists.groups) < msnp.MaxGroups && len(name) > s.svc.cfg.GroupNameBytes {
		return msnp.CodeGroupNameTooLong
	}
	call, cancel := s.call(ctx)
	defer cancel()
	answer, err := s.svc.directory.AddGroup(call, &directoryv1.AddGroupRequest{Edit: s.edit(), Name: string(name)})
	if err != nil {
		return s.refusedEdit(err)
	}
	s.before(ctx, answer)
	s.lists.putGroup(msnp.Group{ID: answer.GetGroupId(), Name: name})
	s.line("ADG").TrID(cmd.TrID).Uint(uint64(s.lists.version)).Nick(name).Uint(uint64(answer.GetGroupId())).Word("0")
	return nil
}

// handleREG renames a group. Real clients need the id back, which the seed
// session leaves out; an option answers as the seed does.
//
//	C: REG TrID id name 0    S: REG TrID version id name 0
func (s *session) handleREG(ctx context.Context, cmd *msnp.Command) error {
	p := cmd.Params()
	id := p.Uint32()
	name := p.Nick(s.svc.cfg.GroupRenameBytes, msnp.CodeInvalidParameter)
	if err := p.Err(); err != nil {
		return err
	}
	if id >= msnp.MaxGroups {
		return msnp.ErrMalformed
	}
	if s.svc.cfg.StrictREG && s.lists.group(id) != nil && len(name) > s.svc.cfg.GroupNameBytes {
		return msnp.CodeGroupNameTooLong
	}
	call, cancel := s.call(ctx)
	defer cancel()
	answer, err := s.svc.directory.RenameGroup(call, &directoryv1.RenameGroupRequest{Edit: s.edit(), GroupId: id, Name: string(name)})
	if err != nil {
		return s.refusedEdit(err)
	}
	s.before(ctx, answer)
	if g := s.lists.group(id); g != nil {
		g.Name = name
	}
	l := s.line("REG").TrID(cmd.TrID).Uint(uint64(s.lists.version))
	if !s.svc.cfg.SeedLiteralREG {
		l.Uint(uint64(id))
	}
	l.Nick(name).Word("0")
	return nil
}

// handleRMG deletes a group. Contacts of no other group leave FL with it.
//
//	C: RMG TrID id    S: RMG TrID version id
func (s *session) handleRMG(ctx context.Context, cmd *msnp.Command) error {
	p := cmd.Params()
	id := p.Uint32()
	if err := p.Err(); err != nil {
		return err
	}
	if id >= msnp.MaxGroups {
		return msnp.ErrMalformed
	}
	call, cancel := s.call(ctx)
	defer cancel()
	answer, err := s.svc.directory.RemoveGroup(call, &directoryv1.RemoveGroupRequest{
		Edit: s.edit(), GroupId: id, KeepMembers: s.svc.cfg.RMGKeepContacts,
	})
	if err != nil {
		return s.refusedEdit(err)
	}
	s.before(ctx, answer)
	s.line("RMG").TrID(cmd.TrID).Uint(uint64(s.lists.version)).Uint(uint64(id))
	s.lists.dropGroup(id)
	dropped := make(map[string]bool, len(answer.GetDropped()))
	for _, email := range answer.GetDropped() {
		dropped[email] = true
	}
	for _, c := range s.lists.on(msnp.FL) {
		if !c.groups.Has(id) {
			continue
		}
		c.groups = c.groups.Without(id)
		if dropped[c.email.String()] {
			s.forget(c)
		} else if c.groups.Empty() {
			c.groups = c.groups.With(0) // kept, in group 0
		}
	}
	s.notifyTouched(ctx, answer.GetTouched(), func(m *clusterv1.ListChanged) {
		m.Change = &clusterv1.ListChanged_ReverseRemoved{ReverseRemoved: true}
	})
	return nil
}
