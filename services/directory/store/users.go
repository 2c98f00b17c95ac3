package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// A user is one row of users, without its secret.
type user struct {
	id                 int64
	email, name        string
	verified, disabled bool
	version            uint32
	created            int64
	gtcAsk, blpAllow   bool
	home, work, mobile string
	page, mobileDevice bool
	lastEdit           []byte        // the id of the last edit of the user's lists
	editVersion        sql.NullInt64 // the version that it was made by
}

const userColumns = `id, email, name, verified, disabled, version, created, gtc_ask, blp_allow,
	phone_home, phone_work, phone_mobile, page, mobile_device, edit_id, edit_version`

const userQuery = `SELECT ` + userColumns + ` FROM users WHERE email = $1`

func (u *user) scan(r row) error {
	return r.Scan(&u.id, &u.email, &u.name, &u.verified, &u.disabled, &u.version, &u.created,
		&u.gtcAsk, &u.blpAllow, &u.home, &u.work, &u.mobile, &u.page, &u.mobileDevice, &u.lastEdit, &u.editVersion)
}

// readUser reads an account, or refuses.
func readUser(ctx context.Context, q querier, email string) (*user, error) {
	u := new(user)
	err := u.scan(q.QueryRowContext(ctx, userQuery, email))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, noSuchUser(email)
	}
	if err != nil {
		return nil, fmt.Errorf("read user %s: %w", email, err)
	}
	return u, nil
}

// userID finds an account, or refuses. An account keeps its id for life, so it
// can be read before anything is locked.
func userID(ctx context.Context, q querier, email string) (int64, error) {
	var id int64
	err := q.QueryRowContext(ctx, `SELECT id FROM users WHERE email = $1`, email).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, noSuchUser(email)
	}
	if err != nil {
		return 0, fmt.Errorf("read user %s: %w", email, err)
	}
	return id, nil
}

// Versions reads the list versions of those emails that are accounts and may
// log in: whoever is served without must not be.
func (s *Store) Versions(ctx context.Context, emails []string) (map[string]uint32, error) {
	versions := make(map[string]uint32, len(emails))
	if len(emails) == 0 {
		return versions, nil
	}
	list, args := inList(emails)
	err := s.anew(ctx, func() error {
		return each(ctx, s.read, `SELECT email, version FROM users WHERE NOT disabled AND email IN `+list, args, func(r row) error {
			var email string
			var version uint32
			err := r.Scan(&email, &version)
			versions[email] = version
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read versions: %w", err)
	}
	return versions, nil
}

// phones returns the numbers as the API has them, nil when all are unset.
func phones(home, work, mobile string, page bool) *directoryv1.Phones {
	if home == "" && work == "" && mobile == "" && !page {
		return nil
	}
	return &directoryv1.Phones{Home: home, Work: work, Mobile: mobile, Page: page}
}
