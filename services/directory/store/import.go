package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/monarch-msn/monarch/msnp"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// ImportContacts adds contacts as if each owner had added the contact to FL and
// AL, under the contact's friendly name. What is there already is completed: a
// contact who lacks AL, or the group, gets it. A group that the owner lacks is
// made; names are compared as text. A row that is refused leaves nothing of
// itself, and does not keep the others from being done.
//
// All rows are one transaction, which raises each version it touches by one.
func (s *Store) ImportContacts(ctx context.Context, limits Limits, rows []*directoryv1.NewContact) (*directoryv1.ImportContactsResponse, error) {
	var answer *directoryv1.ImportContactsResponse
	err := s.change(ctx, func(tx *sql.Tx) error {
		planned, err := planImport(ctx, tx, limits, rows)
		if err != nil {
			return err
		}
		users, err := bump(ctx, tx, planned.touched())
		if err != nil {
			return err
		}
		// Under the locks the plan is made once more, and is the one carried
		// out if it touches the same users.
		im, err := planImport(ctx, tx, limits, rows)
		if err != nil {
			return err
		}
		if !slices.Equal(planned.touched(), im.touched()) {
			return errStale
		}
		if err := im.write(ctx, tx); err != nil {
			return err
		}
		answer = &directoryv1.ImportContactsResponse{
			Imported: uint32(len(rows) - len(im.errors)),
			Errors:   im.errors,
		}
		for _, u := range users {
			answer.Touched = append(answer.Touched, &directoryv1.Touched{Email: u.email, Version: u.version})
		}
		return nil
	})
	return answer, err
}

// An importing is the plan of an import: the state of all lists involved as it
// will be, and what of it has to be written.
type importing struct {
	limits Limits
	users  map[string]*importUser
	pairs  map[pair]*entry
	// Everything below is what changes, in the order of the rows.
	changed []pair
	groups  []importGroup
	raised  map[int64]bool
	errors  []*directoryv1.RowError
}

type pair struct{ owner, member int64 }

type importUser struct {
	id          int64
	email, name string
	// People on FL and AL, and those who have the user on FL.
	forward, allow, reverse int
	groups                  []importGroup
}

type importGroup struct {
	owner int64
	id    uint32
	name  msnp.Nick
}

// planImport reads what the rows are about, and applies them in memory.
func planImport(ctx context.Context, tx *sql.Tx, limits Limits, rows []*directoryv1.NewContact) (*importing, error) {
	im := &importing{
		limits: limits,
		users:  make(map[string]*importUser),
		pairs:  make(map[pair]*entry),
		raised: make(map[int64]bool),
	}
	if err := im.readUsers(ctx, tx, rows); err != nil {
		return nil, fmt.Errorf("import contacts: %w", err)
	}
	for i, r := range rows {
		refusal, err := im.add(ctx, tx, r)
		if err != nil {
			return nil, fmt.Errorf("import contacts: %w", err)
		}
		if refusal != nil {
			im.errors = append(im.errors, &directoryv1.RowError{Row: uint32(i), Reason: refusal.Reason, Message: refusal.Message})
		}
	}
	return im, nil
}

// touched returns the ids of users whose lists change, in ascending order.
func (im *importing) touched() []int64 {
	ids := make([]int64, 0, len(im.raised))
	for id := range im.raised {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// add applies one row.
func (im *importing) add(ctx context.Context, tx *sql.Tx, r *directoryv1.NewContact) (*Refusal, error) {
	owner, contact := im.users[r.GetOwner()], im.users[r.GetContact()]
	if owner == nil {
		return noSuchUser(r.GetOwner()), nil
	}
	if contact == nil {
		return noSuchUser(r.GetContact()), nil
	}
	p := pair{owner.id, contact.id}
	en := im.pairs[p]
	if en == nil {
		read, err := readEntry(ctx, tx, p.owner, p.member)
		if err != nil {
			return nil, err
		}
		en = &read
		im.pairs[p] = en
	}
	group, known, refusal := im.group(owner, r.GetGroup())
	if refusal != nil {
		return refusal, nil
	}
	fresh := !en.forward.Valid
	regroup := fresh || r.GetGroup() != "" && !en.groups.Has(group.id)
	allow := !en.allow.Valid
	if refusal := im.refuses(r, owner, contact, en, regroup); refusal != nil {
		return refusal, nil
	}

	name := sql.NullString{String: contact.name, Valid: true}
	if fresh {
		en.forward = name
		owner.forward++
		contact.reverse++
		im.raised[contact.id] = true
	}
	if allow {
		en.allow = name
		owner.allow++
	}
	if regroup {
		en.groups = en.groups.With(group.id)
		if !known {
			owner.groups = append(owner.groups, group)
			im.groups = append(im.groups, group)
		}
	}
	im.changed = append(im.changed, p)
	im.raised[owner.id] = true
	return nil, nil
}

// refuses says what keeps a row from being done.
func (im *importing) refuses(r *directoryv1.NewContact, owner, contact *importUser, en *entry, regroup bool) *Refusal {
	fresh, allow := !en.forward.Valid, !en.allow.Valid
	switch {
	case en.block.Valid:
		return refuse(directoryv1.Reason_REASON_OPPOSITE_LIST, "%s has blocked %s", r.GetOwner(), r.GetContact())
	case !regroup && !allow:
		return refuse(directoryv1.Reason_REASON_ALREADY_THERE, "%s has %s already", r.GetOwner(), r.GetContact())
	case fresh && owner.forward >= im.limits.Forward:
		return refuse(directoryv1.Reason_REASON_LIST_FULL, "the forward list of %s is full", r.GetOwner())
	case allow && owner.allow >= im.limits.Allow:
		return refuse(directoryv1.Reason_REASON_LIST_FULL, "the allow list of %s is full", r.GetOwner())
	case fresh && contact.reverse >= im.limits.Reverse:
		return refuse(directoryv1.Reason_REASON_LIST_FULL, "%s is on the forward lists of too many people", r.GetContact())
	}
	return nil
}

// group finds the owner's group of that name, or says which would be made.
func (im *importing) group(owner *importUser, name string) (g importGroup, known bool, refusal *Refusal) {
	if name == "" {
		return importGroup{owner: owner.id}, true, nil
	}
	var used msnp.GroupSet
	for _, g := range owner.groups {
		if g.name.Decode() == name {
			return g, true, nil
		}
		used = used.With(g.id)
	}
	id, ok := freeGroup(used, im.limits)
	if !ok {
		return g, false, refuse(directoryv1.Reason_REASON_TOO_MANY_GROUPS, "%s has %d groups, and no more may be", owner.email, im.limits.Groups)
	}
	return importGroup{owner: owner.id, id: id, name: msnp.EncodeNick(name)}, false, nil
}

// write stores what changed. The locks of everybody touched are held.
func (im *importing) write(ctx context.Context, tx *sql.Tx) error {
	for _, g := range im.groups {
		if err := insertGroup(ctx, tx, g.owner, g.id, string(g.name)); err != nil {
			return err
		}
	}
	done := make(map[pair]bool, len(im.changed))
	for _, p := range im.changed {
		if done[p] {
			continue
		}
		done[p] = true
		if err := writeEntry(ctx, tx, p.owner, p.member, *im.pairs[p]); err != nil {
			return err
		}
	}
	return nil
}

// readUsers reads the users whom the rows name, with their counts and groups.
func (im *importing) readUsers(ctx context.Context, tx *sql.Tx, rows []*directoryv1.NewContact) error {
	var emails []string
	for _, r := range rows {
		emails = append(emails, r.GetOwner(), r.GetContact())
	}
	slices.Sort(emails)
	byID := make(map[int64]*importUser)
	for chunk := range slices.Chunk(slices.Compact(emails), listChunk) {
		list, args := inList(chunk)
		err := each(ctx, tx, `SELECT id, email, name FROM users WHERE email IN `+list, args, func(r row) error {
			u := new(importUser)
			if err := r.Scan(&u.id, &u.email, &u.name); err != nil {
				return err
			}
			im.users[u.email] = u
			byID[u.id] = u
			return nil
		})
		if err != nil {
			return err
		}
	}
	ids := make([]int64, 0, len(byID))
	for id := range byID {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for chunk := range slices.Chunk(ids, listChunk) {
		if err := readCounts(ctx, tx, chunk, byID); err != nil {
			return err
		}
	}
	return nil
}

// readCounts completes users with their groups and the lengths of their lists.
func readCounts(ctx context.Context, tx *sql.Tx, ids []int64, byID map[int64]*importUser) error {
	list, args := inList(ids)
	err := each(ctx, tx, `SELECT owner_id, COUNT(forward_name), COUNT(allow_name) FROM members
		WHERE owner_id IN `+list+` GROUP BY owner_id`, args, func(r row) error {
		var id int64
		var forward, allow int
		if err := r.Scan(&id, &forward, &allow); err != nil {
			return err
		}
		byID[id].forward, byID[id].allow = forward, allow
		return nil
	})
	if err != nil {
		return err
	}
	err = each(ctx, tx, `SELECT member_id, COUNT(forward_name) FROM members
		WHERE member_id IN `+list+` GROUP BY member_id`, args, func(r row) error {
		var id int64
		var reverse int
		if err := r.Scan(&id, &reverse); err != nil {
			return err
		}
		byID[id].reverse = reverse
		return nil
	})
	if err != nil {
		return err
	}
	return each(ctx, tx, `SELECT owner_id, id, name FROM contact_groups
		WHERE owner_id IN `+list+` ORDER BY owner_id, id`, args, func(r row) error {
		var g importGroup
		if err := r.Scan(&g.owner, &g.id, &g.name); err != nil {
			return err
		}
		byID[g.owner].groups = append(byID[g.owner].groups, g)
		return nil
	})
}
