package notification

import (
	"context"
	"time"

	"github.com/monarch-msn/monarch/msnp"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// handleREA changes a name: the user's own, which the watchers see, or the one
// under which the user keeps a contact.
//
//	C: REA TrID handle name    S: REA TrID version handle name
//
// Some clients keep their connection alive with a REA of a stranger that has
// no name at all, so who it names is checked first.
func (s *session) handleREA(ctx context.Context, cmd *msnp.Command) error {
	s.refreshIfStale(ctx)
	p := cmd.Params()
	email := p.Email(msnp.CodeNotOnList)
	if err := p.Err(); err != nil {
		return err
	}
	c := s.lists.find(email)
	own := email == s.email
	if !own && c == nil {
		return msnp.CodeNotOnList
	}
	if !p.More() {
		return msnp.CodeInvalidNick
	}
	name := p.Nick(s.svc.cfg.NameBytes, msnp.CodeInvalidNick)
	if err := p.Err(); err != nil {
		return err
	}
	now := time.Now()
	if own && s.verified && s.svc.renames.Full(s.email, now) {
		return msnp.CodeTooFast
	}
	call, cancel := s.call(ctx)
	defer cancel()
	answer, err := s.svc.directory.Rename(call, &directoryv1.RenameRequest{
		Edit: s.edit(), Member: email.String(), Name: string(name),
	})
	if err != nil {
		return s.refusedEdit(err)
	}
	s.before(ctx, answer)
	s.line("REA").TrID(cmd.TrID).Uint(uint64(s.lists.version)).Email(email).Nick(name)
	switch c = s.lists.find(email); {
	case c == nil:
	case own:
		// Who keeps oneself on a list keeps the name of that entry.
		c.rename(msnp.RL, name)
	default:
		c.rename(c.on&^msnp.RL, name)
	}
	if own {
		s.svc.renames.Add(s.email, now)
		s.name = name
		s.count++
		s.publish(ctx)
	}
	return nil
}

// handleGTC stores whether the client asks its user about new people on RL. The
// server itself never acts on it.
//
//	C: GTC TrID {A|N}    S: GTC TrID version {A|N}
func (s *session) handleGTC(ctx context.Context, cmd *msnp.Command) error {
	p := cmd.Params()
	word := p.OneOf("A", "N")
	if err := p.Err(); err != nil {
		return err
	}
	ask := word == "A"
	version, err := s.setPrivacy(ctx, &directoryv1.SetPrivacyRequest{
		Setting: &directoryv1.SetPrivacyRequest_GtcAsk{GtcAsk: ask},
	})
	if err != nil {
		return err
	}
	s.gtcAsk = ask
	s.line("GTC").TrID(cmd.TrID).Uint(version).Word(word)
	return nil
}

// handleBLP stores whether those on neither AL nor BL are allowed, which shows
// or hides the user to them.
//
//	C: BLP TrID {AL|BL}    S: BLP TrID version {AL|BL}
func (s *session) handleBLP(ctx context.Context, cmd *msnp.Command) error {
	p := cmd.Params()
	word := p.OneOf("AL", "BL")
	if err := p.Err(); err != nil {
		return err
	}
	allow := word == "AL"
	version, err := s.setPrivacy(ctx, &directoryv1.SetPrivacyRequest{
		Setting: &directoryv1.SetPrivacyRequest_BlpAllow{BlpAllow: allow},
	})
	if err != nil {
		return err
	}
	s.blpAllow = allow
	s.line("BLP").TrID(cmd.TrID).Uint(version).Word(word)
	s.count++
	s.publish(ctx)
	return nil
}

func (s *session) setPrivacy(ctx context.Context, request *directoryv1.SetPrivacyRequest) (version uint64, err error) {
	request.Edit = s.edit()
	call, cancel := s.call(ctx)
	defer cancel()
	answer, err := s.svc.directory.SetPrivacy(call, request)
	if err != nil {
		return 0, s.refusedEdit(err)
	}
	s.before(ctx, answer)
	return uint64(s.lists.version), nil
}

// handlePRP stores a phone number or one of the two paging switches.
//
//	C: PRP TrID key [value]    S: PRP TrID version key [value]
func (s *session) handlePRP(ctx context.Context, cmd *msnp.Command) error {
	p := cmd.Params()
	word := p.Word()
	if len(word) > 3 {
		return msnp.ErrMalformed
	}
	var key, value string
	switch key = string(word); key {
	case "PHH", "PHW", "PHM":
		if p.More() {
			value = string(p.Nick(s.svc.cfg.PhoneBytes, msnp.CodeInvalidParameter))
		}
	case "MOB", "MBE":
		value = p.OneOf("Y", "N")
	default:
		if p.More() {
			p.Nick(s.svc.cfg.PhoneBytes, msnp.CodeNotExpected)
		}
		if err := p.Err(); err != nil {
			return err // what is too long closes here as well
		}
		return msnp.CodeNotExpected
	}
	if err := p.Err(); err != nil {
		return err
	}
	call, cancel := s.call(ctx)
	defer cancel()
	answer, err := s.svc.directory.SetPhone(call, &directoryv1.SetPhoneRequest{Edit: s.edit(), Key: key, Value: value})
	if err != nil {
		return s.refusedEdit(err)
	}
	s.before(ctx, answer)
	value = answer.GetValue()
	if key == "MBE" {
		s.mobileDevice = value == "Y"
	} else {
		s.phones.Set(key, msnp.Nick(value))
	}
	s.line("PRP").TrID(cmd.TrID).Uint(uint64(s.lists.version)).Word(key).Optional(value)
	s.notifyTouched(ctx, answer.GetTouched(), func(m *clusterv1.ListChanged) {
		m.Change = &clusterv1.ListChanged_Phone{Phone: &clusterv1.PhoneChanged{Key: key, Value: value}}
	})
	return nil
}
