package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// Rename changes the user's own friendly name, which unverified users may not,
// or the name under which the user keeps somebody, on each of FL, AL and BL
// that has that person. Somebody who is on RL alone may be renamed too, as the
// protocol has it, though RL goes on to show the name that person chose.
func (s *Store) Rename(ctx context.Context, r *directoryv1.RenameRequest) (*directoryv1.EditResponse, error) {
	return s.edit(ctx, r.GetEdit(), nil, func(e *edit) error {
		if r.GetMember() == e.owner.email {
			if !e.owner.verified {
				return refuse(directoryv1.Reason_REASON_UNVERIFIED, "%s is not verified and may not change its name", e.owner.email)
			}
			if err := e.run(ctx, `UPDATE users SET name = $1 WHERE id = $2`, r.GetName(), e.owner.id); err != nil {
				return fmt.Errorf("rename a user: %w", err)
			}
			return nil
		}
		result, err := e.tx.ExecContext(ctx, `
			UPDATE members SET
				forward_name = CASE WHEN forward_name IS NULL THEN NULL ELSE $1 END,
				allow_name = CASE WHEN allow_name IS NULL THEN NULL ELSE $1 END,
				block_name = CASE WHEN block_name IS NULL THEN NULL ELSE $1 END
			WHERE owner_id = $2 AND member_id = (SELECT id FROM users WHERE email = $3)`,
			r.GetName(), e.owner.id, r.GetMember())
		if err != nil {
			return fmt.Errorf("rename a member: %w", err)
		}
		if n, err := result.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return e.mustBeReverse(ctx, r.GetMember())
	})
}

// mustBeReverse refuses a person who is not on the owner's RL either.
func (e *edit) mustBeReverse(ctx context.Context, email string) error {
	var n int
	err := e.tx.QueryRowContext(ctx, `SELECT COUNT(m.forward_name) FROM members m JOIN users u ON u.id = m.owner_id
		WHERE u.email = $1 AND m.member_id = $2`, email, e.owner.id).Scan(&n)
	if err != nil {
		return fmt.Errorf("read the reverse list: %w", err)
	}
	if n == 0 {
		return refuse(directoryv1.Reason_REASON_NOT_ON_LIST, "%s is on none of the lists", email)
	}
	return nil
}

// SetPrivacy stores GTC or BLP.
func (s *Store) SetPrivacy(ctx context.Context, r *directoryv1.SetPrivacyRequest) (*directoryv1.EditResponse, error) {
	return s.edit(ctx, r.GetEdit(), nil, func(e *edit) error {
		var query string
		var old, value bool
		switch setting := r.GetSetting().(type) {
		case *directoryv1.SetPrivacyRequest_GtcAsk:
			query = `UPDATE users SET gtc_ask = $1 WHERE id = $2`
			old, value = e.owner.gtcAsk, setting.GtcAsk
		case *directoryv1.SetPrivacyRequest_BlpAllow:
			query = `UPDATE users SET blp_allow = $1 WHERE id = $2`
			old, value = e.owner.blpAllow, setting.BlpAllow
		default:
			return refuse(directoryv1.Reason_REASON_INVALID, "no setting was given")
		}
		if value == old {
			return refuse(directoryv1.Reason_REASON_ALREADY_IN_MODE, "the setting has that value already")
		}
		if err := e.run(ctx, query, value, e.owner.id); err != nil {
			return fmt.Errorf("write a privacy setting: %w", err)
		}
		return nil
	})
}

// The keys of SetPhone that are not a number: whether contacts may page the
// user, and whether the user has a mobile device at all.
const (
	keyPage   = "MOB"
	keyDevice = "MBE"
)

// phoneQueries has a statement for each key of SetPhone.
var phoneQueries = map[string]string{
	"PHH":     `UPDATE users SET phone_home = $1 WHERE id = $2`,
	"PHW":     `UPDATE users SET phone_work = $1 WHERE id = $2`,
	"PHM":     `UPDATE users SET phone_mobile = $1 WHERE id = $2`,
	keyPage:   `UPDATE users SET page = $1 WHERE id = $2`,
	keyDevice: `UPDATE users SET mobile_device = $1 WHERE id = $2`,
}

// errUnchanged ends an edit that turned out to change nothing, with success.
var errUnchanged = errors.New("nothing to change")

// SetPhone stores a phone number or a paging switch, also if it has that value
// already. It touches those who see it: who have the user on FL and stand on
// the user's AL. MBE is shown to nobody.
//
// While MBE is N nobody can page the user: MOB becomes N, whatever was asked
// for. Where it was N before, nothing changes and no version is raised; the
// answer then has the present version, and Before, if it is set, is at that
// version too.
func (s *Store) SetPhone(ctx context.Context, r *directoryv1.SetPhoneRequest) (*directoryv1.EditResponse, error) {
	query, ok := phoneQueries[r.GetKey()]
	if !ok {
		return nil, refuse(directoryv1.Reason_REASON_INVALID, "%q is no key of a phone number", r.GetKey())
	}
	var touch others
	if r.GetKey() != keyDevice {
		touch = func(tx *sql.Tx, owner int64) ([]int64, error) {
			return column[int64](ctx, tx, `SELECT watcher.owner_id FROM members watcher
				JOIN members mine ON mine.owner_id = $1 AND mine.member_id = watcher.owner_id
				WHERE watcher.member_id = $1 AND watcher.forward_name IS NOT NULL AND mine.allow_name IS NOT NULL`, owner)
		}
	}
	var unchanged *directoryv1.EditResponse
	answer, err := s.edit(ctx, r.GetEdit(), touch, func(e *edit) error {
		var value any = r.GetValue()
		e.answer.Value = r.GetValue()
		switch r.GetKey() {
		case keyPage:
			page := r.GetValue() == "Y" && e.owner.mobileDevice
			e.answer.Value = yesNo(page)
			if !e.owner.mobileDevice && !e.owner.page {
				unchanged = e.answer
				return errUnchanged
			}
			value = page
		case keyDevice:
			value = r.GetValue() == "Y"
		}
		if err := e.run(ctx, query, value, e.owner.id); err != nil {
			return fmt.Errorf("write a phone number: %w", err)
		}
		return nil
	})
	if errors.Is(err, errUnchanged) {
		unchanged.Version--
		unchanged.Touched = nil
		return unchanged, nil
	}
	return answer, err
}

func yesNo(b bool) string {
	if b {
		return "Y"
	}
	return "N"
}
