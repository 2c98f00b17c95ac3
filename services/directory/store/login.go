package store

import (
	"context"
	"crypto/md5"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

const credentialQuery = `SELECT id, disabled, key_id, secret FROM users WHERE email = $1`

// A credential is what a login is checked against.
type credential struct {
	user     int64
	disabled bool
	secret   sealed
}

// noCredential is that of an account that does not exist. Ids begin at 1.
func (r *keyring) noCredential() credential {
	return credential{user: 0, secret: r.seal("no such account", passwordOf(0))}
}

// Login checks the answer to a challenge, MD5(challenge, password), and returns
// the user's id. An account that does not exist is refused as a wrong password
// is, after the same work. Only the right password brings to light that an
// account is disabled.
func (s *Store) Login(ctx context.Context, email, challenge string, response []byte) (int64, error) {
	ring := s.ring.Load()
	c, err := s.credential(ctx, ring, email)
	if err != nil {
		return 0, err
	}
	right, err := ring.check(c, challenge, response)
	if err != nil {
		return 0, fmt.Errorf("password of user %d: %w", c.user, err)
	}
	if !right || c.user == 0 {
		return 0, refuse(directoryv1.Reason_REASON_AUTHENTICATION, "unknown account or wrong password")
	}
	if c.disabled {
		return 0, refuse(directoryv1.Reason_REASON_DISABLED, "the account is disabled")
	}
	return c.user, nil
}

// credential reads what there is to check; for an unknown account, what cannot
// be fulfilled.
func (s *Store) credential(ctx context.Context, ring *keyring, email string) (credential, error) {
	var c credential
	err := s.anew(ctx, func() error {
		c = ring.nobody
		err := s.hot[credentialQuery].QueryRowContext(s.engine.reading(ctx), email).Scan(&c.user, &c.disabled, &c.secret.key, &c.secret.box)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return credential{}, fmt.Errorf("read user %s: %w", email, err)
	}
	return c, nil
}

// check reports whether response is the answer to challenge. What it costs does
// not depend on the outcome.
func (r *keyring) check(c credential, challenge string, response []byte) (bool, error) {
	password, err := r.open(c.secret, passwordOf(c.user))
	if err != nil {
		return false, err
	}
	want := md5.Sum(append([]byte(challenge), password...))
	return subtle.ConstantTimeCompare(want[:], response) == 1, nil
}
