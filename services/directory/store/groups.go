package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/monarch-msn/monarch/msnp"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// otherContacts is the name of group 0 of a new account, URL-encoded (seed
// session).
const otherContacts = "Other%20Contacts"

// mustHaveGroup refuses a group that the owner does not have.
func (e *edit) mustHaveGroup(ctx context.Context, id uint32) error {
	if id == 0 {
		return nil
	}
	var n int
	err := e.tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM contact_groups WHERE owner_id = $1 AND id = $2`, e.owner.id, int64(id)).Scan(&n)
	if err != nil {
		return fmt.Errorf("read a group: %w", err)
	}
	if n == 0 {
		return noSuchGroup(id)
	}
	return nil
}

func noSuchGroup(id uint32) error {
	return refuse(directoryv1.Reason_REASON_NO_SUCH_GROUP, "there is no group %d", id)
}

// freeGroup returns the lowest id from 1 that is not used, if there is one.
func freeGroup(used msnp.GroupSet, limits Limits) (id uint32, ok bool) {
	for id := uint32(1); id < uint32(limits.Groups); id++ {
		if !used.Has(id) {
			return id, true
		}
	}
	return 0, false
}

// AddGroup makes a group under the lowest free id from 1. Two groups may have
// the same name.
func (s *Store) AddGroup(ctx context.Context, limits Limits, r *directoryv1.AddGroupRequest) (*directoryv1.EditResponse, error) {
	return s.edit(ctx, r.GetEdit(), nil, func(e *edit) error {
		ids, err := column[uint32](ctx, e.tx, `SELECT id FROM contact_groups WHERE owner_id = $1`, e.owner.id)
		if err != nil {
			return fmt.Errorf("read groups: %w", err)
		}
		var used msnp.GroupSet
		for _, id := range ids {
			used = used.With(id)
		}
		id, ok := freeGroup(used, limits)
		if !ok {
			return refuse(directoryv1.Reason_REASON_TOO_MANY_GROUPS, "there are %d groups, and no more may be", limits.Groups)
		}
		if err := insertGroup(ctx, e.tx, e.owner.id, id, r.GetName()); err != nil {
			return err
		}
		e.answer.GroupId = id
		return nil
	})
}

func insertGroup(ctx context.Context, tx *sql.Tx, owner int64, id uint32, name string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO contact_groups (owner_id, id, name) VALUES ($1, $2, $3)`, owner, int64(id), name)
	if err != nil {
		return fmt.Errorf("write a group: %w", err)
	}
	return nil
}

// RenameGroup renames a group; group 0 may be renamed too.
func (s *Store) RenameGroup(ctx context.Context, r *directoryv1.RenameGroupRequest) (*directoryv1.EditResponse, error) {
	return s.edit(ctx, r.GetEdit(), nil, func(e *edit) error {
		result, err := e.tx.ExecContext(ctx, `UPDATE contact_groups SET name = $1 WHERE owner_id = $2 AND id = $3`,
			r.GetName(), e.owner.id, int64(r.GetGroupId()))
		if err != nil {
			return fmt.Errorf("rename a group: %w", err)
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return noSuchGroup(r.GetGroupId())
		}
		return nil
	})
}

// RemoveGroup deletes a group. Its members stay in their other groups. Those
// who are in no other leave FL, which touches them; with keep_members they move
// to group 0.
func (s *Store) RemoveGroup(ctx context.Context, r *directoryv1.RemoveGroupRequest) (*directoryv1.EditResponse, error) {
	only := int64(msnp.GroupSet(0).With(r.GetGroupId()))
	var touch others
	if !r.GetKeepMembers() && only != 0 && r.GetGroupId() != 0 {
		touch = func(tx *sql.Tx, owner int64) ([]int64, error) {
			return column[int64](ctx, tx, `SELECT member_id FROM members WHERE owner_id = $1 AND in_groups = $2`, owner, only)
		}
	}
	return s.edit(ctx, r.GetEdit(), touch, func(e *edit) error {
		if r.GetGroupId() == 0 {
			return refuse(directoryv1.Reason_REASON_GROUP_ZERO, "group 0 always exists")
		}
		if err := e.mustHaveGroup(ctx, r.GetGroupId()); err != nil {
			return err
		}
		if err := e.run(ctx, `DELETE FROM contact_groups WHERE owner_id = $1 AND id = $2`, e.owner.id, int64(r.GetGroupId())); err != nil {
			return fmt.Errorf("delete a group: %w", err)
		}
		if err := e.emptyGroup(ctx, only, r.GetKeepMembers()); err != nil {
			return fmt.Errorf("empty a group: %w", err)
		}
		return nil
	})
}

// emptyGroup takes everybody out of the group whose bit is only.
func (e *edit) emptyGroup(ctx context.Context, only int64, keep bool) error {
	if keep {
		if err := e.run(ctx, `UPDATE members SET in_groups = 1 WHERE owner_id = $1 AND in_groups = $2`, e.owner.id, only); err != nil {
			return err
		}
	} else {
		var err error
		e.answer.Dropped, err = column[string](ctx, e.tx, `SELECT u.email FROM members m JOIN users u ON u.id = m.member_id
			WHERE m.owner_id = $1 AND m.in_groups = $2 ORDER BY u.email`, e.owner.id, only)
		if err != nil {
			return err
		}
		if err := e.run(ctx, `DELETE FROM members WHERE owner_id = $1 AND in_groups = $2
			AND allow_name IS NULL AND block_name IS NULL`, e.owner.id, only); err != nil {
			return err
		}
		if err := e.run(ctx, `UPDATE members SET forward_name = NULL, in_groups = 0
			WHERE owner_id = $1 AND in_groups = $2`, e.owner.id, only); err != nil {
			return err
		}
	}
	return e.run(ctx, `UPDATE members SET in_groups = in_groups - $2 WHERE owner_id = $1 AND (in_groups & $2) <> 0`, e.owner.id, only)
}
