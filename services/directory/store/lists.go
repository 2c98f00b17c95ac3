package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/monarch-msn/monarch/msnp"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// Limits bound what one user may have. All are counts of people, Groups one of
// groups, group 0 included.
type Limits struct {
	Forward, Allow, Block int
	// Reverse is how many people may have the same person on FL.
	Reverse int
	// Groups is at most msnp.MaxGroups.
	Groups int
}

// An entry is how an owner keeps one person. A name that is valid says that the
// person is on that list.
type entry struct {
	forward, allow, block sql.NullString
	// groups may be empty although the person is on FL, after a REM from the
	// last group. Such a person shows in group 0, and the next group replaces
	// the empty set.
	groups msnp.GroupSet
}

func (en *entry) name(x directoryv1.List) *sql.NullString {
	switch x {
	case directoryv1.List_LIST_FORWARD:
		return &en.forward
	case directoryv1.List_LIST_ALLOW:
		return &en.allow
	case directoryv1.List_LIST_BLOCK:
		return &en.block
	}
	return nil
}

// on reports whether the person is on FL, AL or BL.
func (en *entry) on() bool { return en.forward.Valid || en.allow.Valid || en.block.Valid }

// inGroup reports whether an FL member counts as in the group.
func (en *entry) inGroup(id uint32) bool {
	return en.groups.Has(id) || en.groups.Empty() && id == 0
}

// readEntry reads how owner keeps member; a stranger has the zero entry.
func readEntry(ctx context.Context, q querier, owner, member int64) (entry, error) {
	var en entry
	err := q.QueryRowContext(ctx, `SELECT forward_name, allow_name, block_name, in_groups
		FROM members WHERE owner_id = $1 AND member_id = $2`, owner, member).
		Scan(&en.forward, &en.allow, &en.block, &en.groups)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return entry{}, fmt.Errorf("read a member: %w", err)
	}
	return en, nil
}

// writeEntry stores en in place of what there was.
func writeEntry(ctx context.Context, tx *sql.Tx, owner, member int64, en entry) error {
	var err error
	if en.on() {
		_, err = tx.ExecContext(ctx, `
			INSERT INTO members (owner_id, member_id, forward_name, allow_name, block_name, in_groups)
			VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (owner_id, member_id) DO UPDATE SET forward_name = excluded.forward_name,
				allow_name = excluded.allow_name, block_name = excluded.block_name, in_groups = excluded.in_groups`,
			owner, member, en.forward, en.allow, en.block, int64(en.groups))
	} else {
		_, err = tx.ExecContext(ctx, `DELETE FROM members WHERE owner_id = $1 AND member_id = $2`, owner, member)
	}
	if err != nil {
		return fmt.Errorf("write a member: %w", err)
	}
	return nil
}

// AddMember puts somebody on FL, AL or BL, or an FL member in one more group.
// On FL at contact level it touches that person, whose RL grows.
//
// What stands in the way is told in the order of the real service (yellows'
// MSNP wiki): no such account, list full, already there, on the opposite list,
// no such group. A full list is full for those who are on it too, except for
// a change of groups, which does not need room.
func (s *Store) AddMember(ctx context.Context, limits Limits, r *directoryv1.AddMemberRequest) (*directoryv1.EditResponse, error) {
	var member int64
	touch := func(tx *sql.Tx, owner int64) ([]int64, error) {
		var err error
		if member, err = userID(ctx, tx, r.GetMember()); err != nil {
			return nil, err
		}
		if r.GetList() != directoryv1.List_LIST_FORWARD {
			return nil, nil
		}
		en, err := readEntry(ctx, tx, owner, member)
		if err != nil || en.forward.Valid {
			return nil, err
		}
		return []int64{member}, nil
	}
	return s.edit(ctx, r.GetEdit(), touch, func(e *edit) error {
		en, err := readEntry(ctx, e.tx, e.owner.id, member)
		if err != nil {
			return err
		}
		if r.GetList() != directoryv1.List_LIST_FORWARD {
			if err := e.mayAdd(ctx, limits, r, &en); err != nil {
				return err
			}
			*en.name(r.GetList()) = memberName(r)
			return writeEntry(ctx, e.tx, e.owner.id, member, en)
		}
		return e.addForward(ctx, limits, r, member, en)
	})
}

func (e *edit) addForward(ctx context.Context, limits Limits, r *directoryv1.AddMemberRequest, member int64, en entry) error {
	fresh := !en.forward.Valid
	if fresh || r.Group == nil {
		if err := e.mayAdd(ctx, limits, r, &en); err != nil {
			return err
		}
	}
	if fresh {
		n, err := reverseCount(ctx, e.tx, member)
		if err != nil {
			return err
		}
		if n >= limits.Reverse {
			return refuse(directoryv1.Reason_REASON_LIST_FULL, "%s is on the forward lists of %d people, and no more may be", r.GetMember(), n)
		}
		en.forward = memberName(r)
	} else if en.groups.Has(r.GetGroup()) {
		return refuse(directoryv1.Reason_REASON_ALREADY_THERE, "%s is in group %d already", r.GetMember(), r.GetGroup())
	}
	if err := e.mustHaveGroup(ctx, r.GetGroup()); err != nil {
		return err
	}
	en.groups = en.groups.With(r.GetGroup())
	if err := writeEntry(ctx, e.tx, e.owner.id, member, en); err != nil || !fresh {
		return err
	}
	m, err := readMember(ctx, e.tx, e.owner.id, member)
	e.answer.Member = m
	return err
}

// mayAdd refuses an addition to a list that is full, or that has the person
// already, or that excludes the one that has.
func (e *edit) mayAdd(ctx context.Context, limits Limits, r *directoryv1.AddMemberRequest, en *entry) error {
	var forward, allow, block int
	err := e.tx.QueryRowContext(ctx, `SELECT COUNT(forward_name), COUNT(allow_name), COUNT(block_name)
		FROM members WHERE owner_id = $1`, e.owner.id).Scan(&forward, &allow, &block)
	if err != nil {
		return fmt.Errorf("count members: %w", err)
	}
	count, limit, opposite := forward, limits.Forward, false
	switch r.GetList() {
	case directoryv1.List_LIST_ALLOW:
		count, limit, opposite = allow, limits.Allow, en.block.Valid
	case directoryv1.List_LIST_BLOCK:
		count, limit, opposite = block, limits.Block, en.allow.Valid
	}
	switch {
	case count >= limit:
		return refuse(directoryv1.Reason_REASON_LIST_FULL, "the list has %d people, and no more may be on it", count)
	case en.name(r.GetList()).Valid:
		return refuse(directoryv1.Reason_REASON_ALREADY_THERE, "%s is on the list already", r.GetMember())
	case opposite:
		return refuse(directoryv1.Reason_REASON_OPPOSITE_LIST, "%s is on the opposite list", r.GetMember())
	}
	return nil
}

// memberName is the name to store: that given, or the email.
func memberName(r *directoryv1.AddMemberRequest) sql.NullString {
	name := r.GetName()
	if name == "" {
		name = r.GetMember()
	}
	return sql.NullString{String: name, Valid: true}
}

// reverseCount counts those who have the member on FL.
func reverseCount(ctx context.Context, q querier, member int64) (int, error) {
	var n int
	err := q.QueryRowContext(ctx, `SELECT COUNT(forward_name) FROM members WHERE member_id = $1`, member).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count a reverse list: %w", err)
	}
	return n, nil
}

// RemoveMember takes somebody off FL, AL or BL, or out of one group. Off FL at
// contact level it touches that person, whose RL shrinks. A person in no group
// counts as in group 0, and can be taken out of it with success.
func (s *Store) RemoveMember(ctx context.Context, r *directoryv1.RemoveMemberRequest) (*directoryv1.EditResponse, error) {
	notOnList := func() error {
		return refuse(directoryv1.Reason_REASON_NOT_ON_LIST, "%s is not on the list", r.GetMember())
	}
	contact := r.GetList() == directoryv1.List_LIST_FORWARD && r.Group == nil
	var member int64
	touch := func(tx *sql.Tx, owner int64) ([]int64, error) {
		var err error
		if member, err = userID(ctx, tx, r.GetMember()); err != nil {
			if refusal := (*Refusal)(nil); errors.As(err, &refusal) {
				return nil, notOnList()
			}
			return nil, err
		}
		en, err := readEntry(ctx, tx, owner, member)
		if err != nil || !contact || !en.forward.Valid {
			return nil, err
		}
		return []int64{member}, nil
	}
	return s.edit(ctx, r.GetEdit(), touch, func(e *edit) error {
		en, err := readEntry(ctx, e.tx, e.owner.id, member)
		if err != nil {
			return err
		}
		name := en.name(r.GetList())
		if name == nil || !name.Valid {
			return notOnList()
		}
		switch {
		case contact:
			en.forward, en.groups = sql.NullString{}, 0
		case r.GetList() != directoryv1.List_LIST_FORWARD:
			*name = sql.NullString{}
		default:
			if err := e.mustHaveGroup(ctx, r.GetGroup()); err != nil {
				return err
			}
			if !en.inGroup(r.GetGroup()) {
				return refuse(directoryv1.Reason_REASON_NOT_IN_GROUP, "%s is not in group %d", r.GetMember(), r.GetGroup())
			}
			en.groups = en.groups.Without(r.GetGroup())
		}
		return writeEntry(ctx, e.tx, e.owner.id, member, en)
	})
}
