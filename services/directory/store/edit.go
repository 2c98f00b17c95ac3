package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// others tells which users a change of owner's lists touches beside the owner.
// Naming the owner too does no harm.
type others func(tx *sql.Tx, owner int64) ([]int64, error)

// bump raises the list versions of ids by one, in ascending order, and thereby
// locks their lists. The result has the users as they are then, in that order;
// an id given twice is raised once. A user who is gone is errStale: whoever
// named the ids has to look again.
func bump(ctx context.Context, tx *sql.Tx, ids []int64) ([]*user, error) {
	slices.Sort(ids)
	ids = slices.Compact(ids)
	users := make([]*user, len(ids))
	for i, id := range ids {
		u := new(user)
		row := tx.QueryRowContext(ctx, `UPDATE users SET version = version + 1 WHERE id = $1 RETURNING `+userColumns, id)
		if err := u.scan(row); errors.Is(err, sql.ErrNoRows) {
			return nil, errStale
		} else if err != nil {
			return nil, fmt.Errorf("lock user %d: %w", id, err)
		}
		users[i] = u
	}
	return users, nil
}

// locked runs do in a transaction that has raised the versions of the user with
// that email and of those whom touch names. touch may be nil. It runs before
// the locks are taken and again under them, when what it reads can no longer
// change; unless both agree, everything starts over.
func (s *Store) locked(ctx context.Context, email string, touch others, do func(tx *sql.Tx, owner *user, touched []*directoryv1.Touched) error) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		id, err := userID(ctx, tx, email)
		if err != nil {
			return err
		}
		planned := []int64{id}
		if touch != nil {
			more, err := touch(tx, id)
			if err != nil {
				return err
			}
			slices.Sort(more)
			planned = append(more, id)
		}
		users, err := bump(ctx, tx, slices.Clone(planned))
		if err != nil {
			return err
		}
		if touch != nil {
			now, err := touch(tx, id)
			if err != nil {
				return err
			}
			slices.Sort(now)
			if !slices.Equal(planned, append(now, id)) {
				return errStale
			}
		}
		var owner *user
		var raised []*directoryv1.Touched
		for _, u := range users {
			if u.id == id {
				owner = u
			} else {
				raised = append(raised, &directoryv1.Touched{Email: u.email, Version: u.version})
			}
		}
		return do(tx, owner, raised)
	})
}

// An edit is one list edit under way, its locks held. The answer lacks only
// what is particular to the edit.
type edit struct {
	tx     *sql.Tx
	owner  *user
	answer *directoryv1.EditResponse
}

// edit runs one list edit of the user whom e names. apply makes the change, or
// refuses.
func (s *Store) edit(ctx context.Context, e *directoryv1.Edit, touch others, apply func(*edit) error) (*directoryv1.EditResponse, error) {
	var answer *directoryv1.EditResponse
	err := s.locked(ctx, e.GetEmail(), touch, func(tx *sql.Tx, owner *user, touched []*directoryv1.Touched) error {
		answer = &directoryv1.EditResponse{Version: owner.version, Touched: touched}
		if e.GetVersion() != owner.version-1 {
			before := *owner
			before.version--
			var err error
			if answer.Before, err = readLists(ctx, tx, &before); err != nil {
				return err
			}
		}
		return apply(&edit{tx: tx, owner: owner, answer: answer})
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// run executes a statement that changes rows.
func (e *edit) run(ctx context.Context, query string, args ...any) error {
	_, err := e.tx.ExecContext(ctx, query, args...)
	return err
}
