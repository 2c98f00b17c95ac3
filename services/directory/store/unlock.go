package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// resealBatch is how many passwords one transaction seals anew.
const resealBatch = 500

// Unlock reads the key file, so that passwords can be checked and stored; it
// comes after [Store.Migrate], before the store is used for more. When the file
// has changed it may come again, while the store is used: then, with an error,
// the keys from before count on, unless it is that of sealing passwords anew.
//
// The database names the keys that sealed its passwords, from the first start
// on. Only while it names none is a missing file created. A file that lacks one
// of them, or has another key by that name, is refused.
//
// To change keys, add the new one to the file of every directory as a further
// line; when all of them have it, put it first. Unlock seals all passwords with
// the first key; once it has in all directories, the old one may go.
func (s *Store) Unlock(ctx context.Context, keyFile string) error {
	ring, err := s.openRing(ctx, keyFile)
	if err != nil {
		return fmt.Errorf("unlock passwords: %w", err)
	}
	if s.hot == nil {
		if s.hot, err = prepare(ctx, s.read); err != nil {
			return err
		}
	}
	ring.nobody = ring.noCredential()
	s.sealing.Lock()
	s.ring.Store(ring)
	s.sealing.Unlock()
	// Now, and not before: what the ring before has sealed last has named its
	// key.
	named, err := column[string](ctx, s.read, `SELECT id FROM keys`)
	if err == nil && len(named) > 1 {
		err = s.reseal(ctx, ring)
	}
	if err != nil {
		return fmt.Errorf("unlock passwords: seal them with key %s: %w", ring.first, err)
	}
	return nil
}

// sealer returns the ring for what is about to be sealed and stored. Unlock
// waits with another one until done was called: what it then seals anew is all
// that the ring before has sealed.
func (s *Store) sealer() (ring *keyring, done func()) {
	s.sealing.RLock()
	return s.ring.Load(), s.sealing.RUnlock
}

// openRing reads or creates the ring, sees that it is the one for this
// database, and names its first key there.
func (s *Store) openRing(ctx context.Context, keyFile string) (ring *keyring, err error) {
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
		for _, p := range proofs {
			if _, ok := ring.byID[p.key]; !ok {
				return fmt.Errorf("the key file %s lacks key %s, which sealed passwords in this database: restore it", keyFile, p.key)
			}
			if !ring.proves(p.key, p.box) {
				return fmt.Errorf("the key %s in the key file %s is not the one that sealed passwords in this database: restore the file", p.key, keyFile)
			}
		}
		return nameKey(ctx, tx, ring)
	})
	return ring, err
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
