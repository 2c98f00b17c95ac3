package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

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
// refuses. An edit that was made before gets the answer that it got then, and one
// that comes behind a later one of the same user is not made any more.
func (s *Store) edit(ctx context.Context, e *directoryv1.Edit, touch others, apply func(*edit) error) (*directoryv1.EditResponse, error) {
	var answer *directoryv1.EditResponse
	err := s.locked(ctx, e.GetEmail(), touch, func(tx *sql.Tx, owner *user, touched []*directoryv1.Touched) (err error) {
		switch {
		case len(e.GetId()) == 0:
		case bytes.Equal(e.GetId(), owner.lastEdit):
			if answer, err = made(ctx, tx, e); err == nil {
				err = errMade
			}
			return err
		case int64(e.GetVersion()) < owner.editVersion.Int64:
			// Its sender, or the way from there, was asleep.
			return refuse(directoryv1.Reason_REASON_OVERTAKEN, "%s has made another edit since", owner.email)
		}
		answer = &directoryv1.EditResponse{Version: owner.version, Touched: touched}
		if e.GetVersion() != owner.version-1 {
			before := *owner
			before.version--
			if answer.Before, err = readLists(ctx, tx, &before); err != nil {
				return err
			}
		}
		if err := apply(&edit{tx: tx, owner: owner, answer: answer}); err != nil {
			return err
		}
		return remember(ctx, tx, owner.id, e, answer)
	})
	if err == nil || errors.Is(err, errMade) {
		return answer, nil
	}
	var refusal *Refusal
	if !errors.As(err, &refusal) || len(e.GetId()) == 0 {
		return nil, err
	}
	// What refuses an edit may be the edit itself.
	rerr := s.anew(ctx, func() (err error) {
		answer, err = made(ctx, s.read, e)
		return err
	})
	switch {
	case rerr != nil:
		// No refusal then: for all we know the edit was made.
		return nil, rerr
	case answer == nil:
		return nil, err
	}
	return answer, nil
}

// remember keeps what an edit was answered, in place of the user's last one.
func remember(ctx context.Context, tx *sql.Tx, owner int64, e *directoryv1.Edit, answer *directoryv1.EditResponse) error {
	if len(e.GetId()) == 0 {
		return nil
	}
	kept, err := proto.Marshal(answer)
	if err == nil {
		_, err = tx.ExecContext(ctx, `UPDATE users SET edit_id = $1, edit_version = $2, edit_answer = $3 WHERE id = $4`,
			e.GetId(), int64(e.GetVersion()), kept, owner)
	}
	if err != nil {
		return fmt.Errorf("remember an edit: %w", err)
	}
	return nil
}

// made returns what an edit was answered that is the user's last one, or nil.
func made(ctx context.Context, q querier, e *directoryv1.Edit) (*directoryv1.EditResponse, error) {
	var kept []byte
	err := q.QueryRowContext(ctx, `SELECT edit_answer FROM users WHERE email = $1 AND edit_id = $2`,
		e.GetEmail(), e.GetId()).Scan(&kept)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	answer := new(directoryv1.EditResponse)
	if err == nil {
		err = proto.Unmarshal(kept, answer)
	}
	if err != nil {
		return nil, fmt.Errorf("look for the answer to an edit: %w", err)
	}
	return answer, nil
}

// run executes a statement that changes rows.
func (e *edit) run(ctx context.Context, query string, args ...any) error {
	_, err := e.tx.ExecContext(ctx, query, args...)
	return err
}
