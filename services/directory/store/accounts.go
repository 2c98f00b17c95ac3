package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/monarch-msn/monarch/msnp"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// A NewAccount is an account to create.
type NewAccount struct {
	Email    string
	Password string
	// Name is the friendly name, URL-encoded.
	Name     string
	Verified bool
}

// insertRows is how many accounts one statement inserts.
const insertRows = 50

// CreateAccounts creates accounts in one transaction, and returns the indexes
// of those whose email was taken, by an account or by an earlier row; they are
// left as they are.
func (s *Store) CreateAccounts(ctx context.Context, accounts []NewAccount) (taken []int, err error) {
	if len(accounts) == 0 {
		return nil, nil
	}
	ring, sealed := s.sealer()
	defer sealed()
	err = s.change(ctx, func(tx *sql.Tx) error {
		taken = nil
		if err := nameKey(ctx, tx, ring); err != nil {
			return err
		}
		var last int64
		err := tx.QueryRowContext(ctx, `UPDATE counters SET value = value + $1 WHERE name = 'users' RETURNING value`, len(accounts)).Scan(&last)
		if err != nil {
			return fmt.Errorf("draw ids: %w", err)
		}
		first := last - int64(len(accounts)) + 1
		for at := 0; at < len(accounts); at += insertRows {
			rows := accounts[at:min(at+insertRows, len(accounts))]
			created, err := insertUsers(ctx, tx, ring, first+int64(at), rows)
			if err != nil {
				return fmt.Errorf("create accounts: %w", err)
			}
			for i := range rows {
				if !created[first+int64(at+i)] {
					taken = append(taken, at+i)
				}
			}
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO contact_groups (owner_id, id, name)
			SELECT id, 0, $1 FROM users WHERE id BETWEEN $2 AND $3`, otherContacts, first, last)
		if err != nil {
			return fmt.Errorf("create groups: %w", err)
		}
		return nil
	})
	return taken, err
}

// insertUsers creates accounts under the ids from first on, and returns which
// of these are in use.
func insertUsers(ctx context.Context, tx *sql.Tx, ring *keyring, first int64, rows []NewAccount) (map[int64]bool, error) {
	var text strings.Builder
	text.WriteString(`INSERT INTO users (id, email, name, verified, created, key_id, secret, version, disabled,
		gtc_ask, blp_allow, phone_home, phone_work, phone_mobile, page, mobile_device) VALUES `)
	now := time.Now().Unix()
	var args []any
	place := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	for i, r := range rows {
		id := first + int64(i)
		secret := ring.seal(r.Password, passwordOf(id))
		if i > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, `(%s, %s, %s, %s, %s, %s, %s, 1, FALSE, TRUE, TRUE, '', '', '', FALSE, FALSE)`,
			place(id), place(r.Email), place(r.Name), place(r.Verified), place(now), place(secret.key), place(secret.box))
	}
	text.WriteString(` ON CONFLICT (email) DO NOTHING RETURNING id`)
	ids, err := column[int64](ctx, tx, text.String(), args...)
	created := make(map[int64]bool, len(ids))
	for _, id := range ids {
		created[id] = true
	}
	return created, err
}

// Account reads one account and its lists.
func (s *Store) Account(ctx context.Context, email string) (*directoryv1.Account, *directoryv1.Snapshot, error) {
	u, lists, err := s.snapshot(ctx, email)
	if err != nil {
		return nil, nil, err
	}
	return u.account(), lists, nil
}

func (u *user) account() *directoryv1.Account {
	return &directoryv1.Account{
		Email: u.email, UserId: uint64(u.id), Name: msnp.Nick(u.name).Decode(),
		Verified: u.verified, Disabled: u.disabled, Version: u.version, Created: u.created,
	}
}

// Accounts returns up to limit accounts whose email comes after the one given,
// in order of email, byte by byte.
func (s *Store) Accounts(ctx context.Context, after string, limit int) ([]*directoryv1.Account, error) {
	var all []*directoryv1.Account
	err := s.anew(ctx, func() error {
		all = nil
		return each(ctx, s.read, `SELECT `+userColumns+` FROM users WHERE email > $1 ORDER BY email LIMIT $2`, []any{after, limit}, func(r row) error {
			var u user
			err := u.scan(r)
			all = append(all, u.account())
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	return all, nil
}

// DeleteAccount removes a user, and from everybody's lists. It returns those
// whose lists changed: who had the user on FL, AL or BL, and who loses the user
// from RL.
func (s *Store) DeleteAccount(ctx context.Context, email string) ([]*directoryv1.Touched, error) {
	touch := func(tx *sql.Tx, owner int64) ([]int64, error) {
		return column[int64](ctx, tx, `SELECT owner_id FROM members WHERE member_id = $1
			UNION SELECT member_id FROM members WHERE owner_id = $1 AND forward_name IS NOT NULL`, owner)
	}
	var all []*directoryv1.Touched
	err := s.locked(ctx, email, touch, func(tx *sql.Tx, owner *user, touched []*directoryv1.Touched) error {
		all = touched
		if err := mustNotGrow(ctx, tx, owner, touch, len(touched)); err != nil {
			return err
		}
		// Groups, and members on either side, go with the user.
		if _, err := tx.ExecContext(ctx, `DELETE FROM users WHERE id = $1`, owner.id); err != nil {
			return fmt.Errorf("delete %s: %w", email, err)
		}
		return nil
	})
	return all, err
}

// mustNotGrow keeps everybody from putting the owner on a list any more, and
// sees that nobody has who is not among those touched. Adding to AL or BL locks
// the one who adds, and not the one added; PostgreSQL keeps a row from being
// referred to only while a column that others refer by is being changed.
func mustNotGrow(ctx context.Context, tx *sql.Tx, owner *user, touch others, touched int) error {
	if _, err := tx.ExecContext(ctx, `UPDATE users SET email = $1 WHERE id = $2`, fmt.Sprintf("deleted %d", owner.id), owner.id); err != nil {
		return fmt.Errorf("delete %s: %w", owner.email, err)
	}
	now, err := touch(tx, owner.id)
	if err != nil {
		return err
	}
	now = slices.DeleteFunc(now, func(id int64) bool { return id == owner.id })
	if len(now) != touched {
		return errStale
	}
	return nil
}

// SetDisabled says whether the account may log in. It is no list edit and
// raises no version.
func (s *Store) SetDisabled(ctx context.Context, email string, disabled bool) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `UPDATE users SET disabled = $1 WHERE email = $2`, disabled, email)
		if err != nil {
			return fmt.Errorf("disable %s: %w", email, err)
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return noSuchUser(email)
		}
		return nil
	})
}

// SetPassword replaces a password. It raises no version.
func (s *Store) SetPassword(ctx context.Context, email, password string) error {
	ring, sealed := s.sealer()
	defer sealed()
	return s.change(ctx, func(tx *sql.Tx) error {
		id, err := userID(ctx, tx, email)
		if err != nil {
			return err
		}
		if err := nameKey(ctx, tx, ring); err != nil {
			return err
		}
		secret := ring.seal(password, passwordOf(id))
		result, err := tx.ExecContext(ctx, `UPDATE users SET key_id = $1, secret = $2 WHERE id = $3`, secret.key, secret.box, id)
		if err != nil {
			return fmt.Errorf("set the password of %s: %w", email, err)
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return noSuchUser(email)
		}
		return nil
	})
}
