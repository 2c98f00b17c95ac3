package script

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// A stage makes the accounts of one play and brings them into the state that
// the script describes, through the same calls that the operator and the
// notification nodes make. Nobody is logged in while it works.
type stage struct {
	*play
	ctx       context.Context
	directory directoryv1.DirectoryClient
	versions  map[string]uint32 // by email on the wire
}

var listNumbers = map[string]directoryv1.List{
	"FL": directoryv1.List_LIST_FORWARD,
	"AL": directoryv1.List_LIST_ALLOW,
	"BL": directoryv1.List_LIST_BLOCK,
}

func (p *play) stage(ctx context.Context) error {
	if len(p.script.accounts) == 0 {
		return nil
	}
	s := &stage{play: p, ctx: ctx, directory: p.network.Directory(), versions: map[string]uint32{}}
	if err := s.create(); err != nil {
		return err
	}
	for _, a := range p.script.accounts {
		if err := s.describe(a); err != nil {
			return fmt.Errorf("%s: %w", a.email, err)
		}
	}
	for _, a := range p.script.accounts {
		if err := s.crowd(a); err != nil {
			return fmt.Errorf("crowd of %s: %w", a.email, err)
		}
	}
	for _, a := range p.script.accounts {
		if err := s.age(a); err != nil {
			return fmt.Errorf("version of %s: %w", a.email, err)
		}
	}
	return nil
}

// create makes the accounts, in the order of the script.
func (s *stage) create() error {
	req := &directoryv1.CreateAccountsRequest{}
	for _, a := range s.script.accounts {
		row := &directoryv1.NewAccount{Email: s.alias.email(a.email), Password: a.password}
		if a.name != a.email {
			name, err := url.PathUnescape(a.name)
			if err != nil {
				return err
			}
			row.Name = name
		}
		req.Accounts = append(req.Accounts, row)
	}
	return s.createRows(req)
}

func (s *stage) createRows(req *directoryv1.CreateAccountsRequest) error {
	resp, err := s.network.Accounts().CreateAccounts(s.ctx, req)
	if err != nil {
		return fmt.Errorf("create accounts: %w", err)
	}
	return rowErrors("create account", resp.GetErrors())
}

func rowErrors(what string, rows []*directoryv1.RowError) error {
	var faults []error
	for _, row := range rows {
		faults = append(faults, fmt.Errorf("%s %d: %s", what, row.GetRow(), row.GetMessage()))
	}
	return errors.Join(faults...)
}

// describe makes the edits that the lines below an account ask for.
func (s *stage) describe(a *account) error {
	for _, set := range a.settings {
		if err := s.set(a, set); err != nil {
			return fmt.Errorf("%s: %w", set.key, err)
		}
	}
	for _, name := range a.groups {
		resp, err := s.directory.AddGroup(s.ctx, &directoryv1.AddGroupRequest{Edit: s.edit(a), Name: name})
		if err := s.edited(a, resp, err); err != nil {
			return fmt.Errorf("group %s: %w", name, err)
		}
	}
	for _, m := range a.members {
		if err := s.add(a, m); err != nil {
			return fmt.Errorf("%s on %s: %w", m.short, m.list, err)
		}
	}
	return nil
}

func (s *stage) set(a *account, set setting) error {
	privacy := &directoryv1.SetPrivacyRequest{Edit: s.edit(a)}
	switch set.key {
	case "GTC":
		privacy.Setting = &directoryv1.SetPrivacyRequest_GtcAsk{GtcAsk: set.value == "A"}
	case "BLP":
		privacy.Setting = &directoryv1.SetPrivacyRequest_BlpAllow{BlpAllow: set.value == "AL"}
	default:
		resp, err := s.directory.SetPhone(s.ctx, &directoryv1.SetPhoneRequest{Edit: s.edit(a), Key: set.key, Value: set.value})
		return s.edited(a, resp, err)
	}
	resp, err := s.directory.SetPrivacy(s.ctx, privacy)
	return s.edited(a, resp, err)
}

// add puts a member on a list; several groups are as many edits.
func (s *stage) add(a *account, m member) error {
	contact := s.script.find(m.short)
	name := m.name
	if name == "" {
		name = contact.name
	}
	req := &directoryv1.AddMemberRequest{
		List:   listNumbers[m.list],
		Member: s.alias.email(contact.email),
		Name:   s.alias.email(name),
	}
	groups := m.groups
	if len(groups) == 0 {
		req.Edit = s.edit(a)
		resp, err := s.directory.AddMember(s.ctx, req)
		return s.edited(a, resp, err)
	}
	for _, group := range groups {
		req.Edit, req.Group = s.edit(a), &group
		resp, err := s.directory.AddMember(s.ctx, req)
		if err := s.edited(a, resp, err); err != nil {
			return err
		}
	}
	return nil
}

// edit is what an edit by the account starts with.
func (s *stage) edit(a *account) *directoryv1.Edit {
	email := s.alias.email(a.email)
	return &directoryv1.Edit{Email: email, Version: s.versions[email]}
}

// edited notes the versions after an edit.
func (s *stage) edited(a *account, resp *directoryv1.EditResponse, err error) error {
	if err != nil {
		return err
	}
	s.versions[s.alias.email(a.email)] = resp.GetVersion()
	for _, touched := range resp.GetTouched() {
		s.versions[touched.GetEmail()] = touched.GetVersion()
	}
	return nil
}

// crowd puts strangers on the account's FL and AL, made for the purpose.
func (s *stage) crowd(a *account) error {
	const batch = 1000 // as many as one call takes
	for from := 0; from < a.crowd; from += batch {
		accounts := &directoryv1.CreateAccountsRequest{}
		contacts := &directoryv1.ImportContactsRequest{}
		for i := from; i < min(from+batch, a.crowd); i++ {
			email := fmt.Sprintf("crowd%04d-%s", i, s.alias.email(a.email))
			accounts.Accounts = append(accounts.Accounts, &directoryv1.NewAccount{Email: email, Password: "secret-crowd"})
			contacts.Contacts = append(contacts.Contacts, &directoryv1.NewContact{Owner: s.alias.email(a.email), Contact: email})
		}
		if err := s.createRows(accounts); err != nil {
			return err
		}
		resp, err := s.network.Accounts().ImportContacts(s.ctx, contacts)
		if err != nil {
			return fmt.Errorf("import contacts: %w", err)
		}
		if err := rowErrors("import contact", resp.GetErrors()); err != nil {
			return err
		}
	}
	return nil
}

// age raises the account's list version to the one that the script wants, by
// renaming the user to the same name.
func (s *stage) age(a *account) error {
	if a.version == 0 {
		return nil
	}
	email := s.alias.email(a.email)
	resp, err := s.directory.Versions(s.ctx, &directoryv1.VersionsRequest{Emails: []string{email}})
	if err != nil {
		return err
	}
	s.versions[email] = resp.GetVersions()[email]
	for s.versions[email] < a.version {
		before := s.versions[email]
		resp, err := s.directory.Rename(s.ctx, &directoryv1.RenameRequest{Edit: s.edit(a), Member: email, Name: s.alias.email(a.name)})
		if err := s.edited(a, resp, err); err != nil {
			return err
		}
		if s.versions[email] != before+1 {
			return fmt.Errorf("a rename took it from %d to %d", before, s.versions[email])
		}
	}
	if s.versions[email] != a.version {
		return fmt.Errorf("is %d already, not %d", s.versions[email], a.version)
	}
	return nil
}
