package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

// resealBatch is how many passwords one transaction seals anew.
const resealBatch = 500

// Unlock reads the key file, so that passwords can be checked and stored; it
// comes after [Store.Migrate] and once, before the store is used for more.
//
// The database names the keys that sealed its passwords, from the first start
// on. Only while it names none is a missing file created. A file that lacks one
// of them, or has another key by that name, is refused.
//
// To change keys, add the new one to the file of every directory as a further
// line, and restart them; then put it first, and restart again. Unlock seals all
// passwords with the first key; once it has, the old one may go.
func (s *Store) Unlock(ctx context.Context, keyFile string) error {
	ring, named, err := s.openRing(ctx, keyFile)
	if err != nil {
		return fmt.Errorf("unlock passwords: %w", err)
	}
	if len(named) > 1 {
		if err := s.reseal(ctx, ring); err != nil {
			return fmt.Errorf("unlock passwords: seal them with key %s: %w", ring.first, err)
		}
	}
	hot, err := prepare(ctx, s.read)
	if err != nil {
		return err
	}
	s.ring, s.nobody, s.hot = ring, ring.nobody(), hot
	return nil
}

// openRing reads or creates the ring, sees that it is the one for this
// database, and names its first key there. named has all names.
func (s *Store) openRing(ctx context.Context, keyFile string) (ring *keyring, named []string, err error) {
	err = s.change(ctx, func(tx *sql.Tx) error {
		// Of several first starts on an empty database one creates a key; the
		// others wait here and find it named.
		if _, err := tx.ExecContext(ctx, `UPDATE counters SET value = value WHERE name = 'users'`); err != nil {
			return err
		}
		proofs, err := readProofs(ctx, tx)
		if err != nil {
			return err
		}
		ring, err = readKeys(keyFile)
		if errors.Is(err, fs.ErrNotExist) {
			if len(proofs) > 0 {
				return fmt.Errorf("the key file %s does not exist, and the passwords in this database are sealed with key %s: restore the file", keyFile, proofs[0].key)
			}
			if ring, err = createKeys(keyFile); err != nil {
				return fmt.Errorf("create the key file: %w", err)
			}
		} else if err != nil {
			return err
		}
		named = nil
		for _, p := range proofs {
			named = append(named, p.key)
			if _, ok := ring.byID[p.key]; !ok {
				return fmt.Errorf("the key file %s lacks key %s, which sealed passwords in this database: restore it", keyFile, p.key)
			}
			if !ring.proves(p.key, p.box) {
				return fmt.Errorf("the key %s in the key file %s is not the one that sealed passwords in this database: restore the file", p.key, keyFile)
			}
		}
		if !slices.Contains(named, ring.first) {
			named = append(named, ring.first)
		}
		return nameKey(ctx, tx, ring)
	})
	return ring, named, err
}

func readProofs(ctx context.Context, tx *sql.Tx) ([]sealed, error) {
	var all []sealed
	err := each(ctx, tx, `SELECT id, proof FROM keys ORDER BY created, id`, nil, func(r row) error {
		var p sealed
		err := r.Scan(&p.key, &p.box)
		all = append(all, p)
		return err
	})
	return all, err
}

// nameKey enters the key that seals in the database, where it is not yet named.
// Whoever stores something sealed does it first.
func nameKey(ctx context.Context, tx *sql.Tx, r *keyring) error {
	proof := r.seal(proofText, proofOf(r.first))
	_, err := tx.ExecContext(ctx, `INSERT INTO keys (id, proof, created) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING`,
		r.first, proof.box, time.Now().Unix())
	if err != nil {
		return fmt.Errorf("name the key %s: %w", r.first, err)
	}
	return nil
}

// reseal seals with the first key what another sealed, and then forgets the
// names of keys that seal nothing any more.
func (s *Store) reseal(ctx context.Context, ring *keyring) error {
	for {
		n := 0
		err := s.change(ctx, func(tx *sql.Tx) (err error) {
			n, err = resealSome(ctx, tx, ring)
			return err
		})
		if err != nil {
			return err
		}
		if n < resealBatch {
			break
		}
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM keys WHERE id <> $1
			AND NOT EXISTS (SELECT 1 FROM users WHERE users.key_id = keys.id)`, ring.first)
		return err
	})
}

func resealSome(ctx context.Context, tx *sql.Tx, ring *keyring) (int, error) {
	type secret struct {
		user int64
		sealed
	}
	var old []secret
	query := `SELECT id, key_id, secret FROM users WHERE key_id <> $1 ORDER BY id LIMIT $2`
	err := each(ctx, tx, query, []any{ring.first, resealBatch}, func(r row) error {
		var o secret
		err := r.Scan(&o.user, &o.key, &o.box)
		old = append(old, o)
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, o := range old {
		password, err := ring.open(o.sealed, passwordOf(o.user))
		if err != nil {
			return 0, fmt.Errorf("password of user %d: %w", o.user, err)
		}
		now := ring.seal(string(password), passwordOf(o.user))
		// A password that was changed since it was read stays as it is.
		_, err = tx.ExecContext(ctx, `UPDATE users SET key_id = $1, secret = $2 WHERE id = $3 AND secret = $4`,
			now.key, now.box, o.user, o.box)
		if err != nil {
			return 0, err
		}
	}
	return len(old), nil
}
