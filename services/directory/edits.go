package directory

import (
	"context"

	"github.com/monarch-msn/monarch/msnp"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// edit runs one list edit: check makes the request canonical, or refuses.
func (s *Server) edit(ctx context.Context, method string, e *directoryv1.Edit, check func() error, work func(context.Context) (*directoryv1.EditResponse, error)) (*directoryv1.EditResponse, error) {
	return call(ctx, s, edits, method, func(ctx context.Context) (*directoryv1.EditResponse, error) {
		if err := checkEdit(e); err != nil {
			return nil, err
		}
		if err := check(); err != nil {
			return nil, err
		}
		return work(ctx)
	})
}

// checkList allows the lists that a user edits; RL is made by others.
func checkList(x directoryv1.List) error {
	switch x {
	case directoryv1.List_LIST_FORWARD, directoryv1.List_LIST_ALLOW, directoryv1.List_LIST_BLOCK:
		return nil
	}
	return invalid("list must be FORWARD, ALLOW or BLOCK")
}

// AddMember puts a person on FL, AL or BL, or an FL member in one more group.
func (s *Server) AddMember(ctx context.Context, r *directoryv1.AddMemberRequest) (*directoryv1.EditResponse, error) {
	check := func() (err error) {
		if err = checkList(r.GetList()); err != nil {
			return err
		}
		if r.Member, err = email("member", r.GetMember()); err != nil {
			return err
		}
		if r.GetList() != directoryv1.List_LIST_FORWARD {
			r.Group = nil
		}
		r.Name, err = name("name", r.GetName(), msnp.MaxNick)
		return err
	}
	return s.edit(ctx, "AddMember", r.GetEdit(), check, func(ctx context.Context) (*directoryv1.EditResponse, error) {
		return s.store.AddMember(ctx, s.limits, r)
	})
}

// RemoveMember takes a person off FL, AL or BL, or out of one group.
func (s *Server) RemoveMember(ctx context.Context, r *directoryv1.RemoveMemberRequest) (*directoryv1.EditResponse, error) {
	check := func() (err error) {
		if err = checkList(r.GetList()); err != nil {
			return err
		}
		if r.GetList() != directoryv1.List_LIST_FORWARD {
			r.Group = nil
		}
		r.Member, err = email("member", r.GetMember())
		return err
	}
	return s.edit(ctx, "RemoveMember", r.GetEdit(), check, func(ctx context.Context) (*directoryv1.EditResponse, error) {
		return s.store.RemoveMember(ctx, r)
	})
}

// Rename changes the user's own name, or that under which the user keeps a
// member.
func (s *Server) Rename(ctx context.Context, r *directoryv1.RenameRequest) (*directoryv1.EditResponse, error) {
	check := func() (err error) {
		if r.Member, err = email("member", r.GetMember()); err != nil {
			return err
		}
		if r.GetName() == "" {
			return invalid("name is empty")
		}
		r.Name, err = name("name", r.GetName(), msnp.MaxNick)
		return err
	}
	return s.edit(ctx, "Rename", r.GetEdit(), check, func(ctx context.Context) (*directoryv1.EditResponse, error) {
		return s.store.Rename(ctx, r)
	})
}

// groupName checks the name of a group. How long the protocol lets it be
// depends on the command, and is checked where the command is.
func groupName(text string) (string, error) {
	if text == "" {
		return "", invalid("name is empty")
	}
	return name("name", text, msnp.MaxGroupRename)
}

// AddGroup makes a group under the lowest free id.
func (s *Server) AddGroup(ctx context.Context, r *directoryv1.AddGroupRequest) (*directoryv1.EditResponse, error) {
	check := func() (err error) {
		r.Name, err = groupName(r.GetName())
		return err
	}
	return s.edit(ctx, "AddGroup", r.GetEdit(), check, func(ctx context.Context) (*directoryv1.EditResponse, error) {
		return s.store.AddGroup(ctx, s.limits, r)
	})
}

// RenameGroup renames a group.
func (s *Server) RenameGroup(ctx context.Context, r *directoryv1.RenameGroupRequest) (*directoryv1.EditResponse, error) {
	check := func() (err error) {
		r.Name, err = groupName(r.GetName())
		return err
	}
	return s.edit(ctx, "RenameGroup", r.GetEdit(), check, func(ctx context.Context) (*directoryv1.EditResponse, error) {
		return s.store.RenameGroup(ctx, r)
	})
}

// RemoveGroup deletes a group.
func (s *Server) RemoveGroup(ctx context.Context, r *directoryv1.RemoveGroupRequest) (*directoryv1.EditResponse, error) {
	check := func() error { return nil }
	return s.edit(ctx, "RemoveGroup", r.GetEdit(), check, func(ctx context.Context) (*directoryv1.EditResponse, error) {
		return s.store.RemoveGroup(ctx, r)
	})
}

// SetPrivacy stores GTC or BLP.
func (s *Server) SetPrivacy(ctx context.Context, r *directoryv1.SetPrivacyRequest) (*directoryv1.EditResponse, error) {
	check := func() error {
		if r.GetSetting() == nil {
			return invalid("setting is missing")
		}
		return nil
	}
	return s.edit(ctx, "SetPrivacy", r.GetEdit(), check, func(ctx context.Context) (*directoryv1.EditResponse, error) {
		return s.store.SetPrivacy(ctx, r)
	})
}

// SetPhone stores PHH, PHW, PHM, MOB or MBE.
func (s *Server) SetPhone(ctx context.Context, r *directoryv1.SetPhoneRequest) (*directoryv1.EditResponse, error) {
	check := func() (err error) {
		switch r.GetKey() {
		case "PHH", "PHW", "PHM":
			r.Value, err = name("value", r.GetValue(), msnp.MaxPhone)
			return err
		case "MOB", "MBE":
			if v := r.GetValue(); v != "Y" && v != "N" {
				return invalid("value of %s must be Y or N, not %s", r.GetKey(), clip(v))
			}
			return nil
		}
		return invalid("key must be PHH, PHW, PHM, MOB or MBE, not %s", clip(r.GetKey()))
	}
	return s.edit(ctx, "SetPhone", r.GetEdit(), check, func(ctx context.Context) (*directoryv1.EditResponse, error) {
		return s.store.SetPhone(ctx, r)
	})
}
