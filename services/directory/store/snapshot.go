package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/monarch-msn/monarch/msnp"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

const (
	groupsQuery  = `SELECT id, name FROM contact_groups WHERE owner_id = $1 ORDER BY id`
	versionQuery = `SELECT version FROM users WHERE id = $1`
)

// A member of somebody's lists is read in two halves, by the one's id and the
// other's: ownQuery has what the owner wrote down, for everyone on FL, AL or BL,
// and backQuery what those people have of the owner in turn. The latter decides
// who is on the owner's RL, and whether the owner may see somebody's phone
// numbers, which is when that person's AL holds the owner (Escargot shows real
// values on the same condition). As two queries they cost a third less than as
// a join, and find those who are on RL alone without being asked for them.
const (
	ownQuery = `
		SELECT m.member_id, u.email, m.forward_name, m.allow_name, m.block_name, m.in_groups,
			u.name, u.phone_home, u.phone_work, u.phone_mobile, u.page
		FROM members m JOIN users u ON u.id = m.member_id
		WHERE m.owner_id = $1`
	backQuery = `
		SELECT owner_id, CASE WHEN forward_name IS NULL THEN 0 ELSE 1 END + CASE WHEN allow_name IS NULL THEN 0 ELSE 2 END
		FROM members
		WHERE member_id = $1`
)

// The bits of backQuery's second column.
const (
	backForward = 1 << iota
	backAllow
)

// Snapshot reads everything a session needs of a user, at one version. A
// disabled account is refused here too: a login that passed before it was
// disabled reads its lists behind its claim, and so ends either here or by the
// Close to the session that the operator finds.
func (s *Store) Snapshot(ctx context.Context, email string) (*directoryv1.Snapshot, error) {
	u, snapshot, err := s.snapshot(ctx, email)
	if err == nil && u.disabled {
		return nil, refuse(directoryv1.Reason_REASON_DISABLED, "the account is disabled")
	}
	return snapshot, err
}

func (s *Store) snapshot(ctx context.Context, email string) (u *user, lists *directoryv1.Snapshot, err error) {
	err = s.anew(ctx, func() (err error) {
		u, lists, err = s.readSnapshot(s.engine.reading(ctx), email)
		return err
	})
	return u, lists, err
}

// readSnapshot reads without a transaction, which would cost as much as a fourth
// of the rest: the version is raised by whatever changes the lists, so if it is
// behind them what it was ahead of them, they are of that version.
func (s *Store) readSnapshot(ctx context.Context, email string) (*user, *directoryv1.Snapshot, error) {
	q := prepared{s.read, s.hot}
	for range attempts {
		u, err := readUser(ctx, q, email)
		if err != nil {
			return nil, nil, err
		}
		lists, err := readLists(ctx, q, u)
		if err != nil {
			return nil, nil, err
		}
		var version uint32
		err = q.QueryRowContext(ctx, versionQuery, u.id).Scan(&version)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, nil, noSuchUser(email)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read the version of %s: %w", email, err)
		}
		if version == u.version {
			return u, lists, nil
		}
	}
	return nil, nil, fmt.Errorf("read the lists of %s: %w", email, errBusy)
}

// readLists reads what belongs to u.
func readLists(ctx context.Context, q querier, u *user) (*directoryv1.Snapshot, error) {
	s := &directoryv1.Snapshot{
		Email: u.email, UserId: uint64(u.id), Name: u.name, Verified: u.verified, Version: u.version,
		GtcAsk: u.gtcAsk, BlpAllow: u.blpAllow,
		Phones: phones(u.home, u.work, u.mobile, u.page), MobileDevice: u.mobileDevice,
	}
	err := each(ctx, q, groupsQuery, []any{u.id}, func(r row) error {
		g := new(directoryv1.Group)
		s.Groups = append(s.Groups, g)
		return r.Scan(&g.Id, &g.Name)
	})
	if err != nil {
		return nil, fmt.Errorf("read groups of %s: %w", u.email, err)
	}
	if s.Members, err = readMembers(ctx, q, ownQuery, backQuery, u.id); err != nil {
		return nil, fmt.Errorf("read lists of %s: %w", u.email, err)
	}
	return s, nil
}

// readMember reads one entry of an owner's lists, which exists.
func readMember(ctx context.Context, q querier, owner, member int64) (*directoryv1.Member, error) {
	members, err := readMembers(ctx, q, ownQuery+` AND m.member_id = $2`, backQuery+` AND owner_id = $2`, owner, member)
	if err != nil || len(members) == 0 {
		return nil, fmt.Errorf("read member %d of %d: %w", member, owner, cmp.Or(err, sql.ErrNoRows))
	}
	return members[0], nil
}

// readMembers reads both halves of lists and puts them together, in order of
// email, byte by byte.
func readMembers(ctx context.Context, q querier, own, back string, args ...any) ([]*directoryv1.Member, error) {
	in := make(map[int64]int)
	err := each(ctx, q, back, args, func(r row) error {
		var id int64
		var has int
		err := r.Scan(&id, &has)
		in[id] = has
		return err
	})
	if err != nil {
		return nil, err
	}
	all := make([]*directoryv1.Member, 0, len(in))
	var e ownRow
	columns := e.columns()
	err = each(ctx, q, own, args, func(r row) error {
		err := r.Scan(columns...)
		all = append(all, e.member(in[e.id]))
		delete(in, e.id)
		return err
	})
	if err != nil {
		return nil, err
	}
	if all, err = addReverse(ctx, q, all, in); err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b *directoryv1.Member) int { return strings.Compare(a.Email, b.Email) })
	return all, nil
}

// ownRow is a row of ownQuery, into which one after the other is read.
type ownRow struct {
	id                    int64
	email, name           string
	forward, allow, block sql.NullString
	groups                uint32
	home, work, mobile    string
	page                  bool
}

func (e *ownRow) columns() []any {
	return []any{&e.id, &e.email, &e.forward, &e.allow, &e.block, &e.groups, &e.name, &e.home, &e.work, &e.mobile, &e.page}
}

// member is what the row says together with the second column of backQuery.
func (e *ownRow) member(back int) *directoryv1.Member {
	m := &directoryv1.Member{Email: e.email, Groups: e.groups}
	var on msnp.List
	if back&backForward != 0 {
		on, m.Friendly = msnp.RL, e.name
	}
	if e.forward.Valid {
		on, m.ForwardName = on|msnp.FL, e.forward.String
		if back&backAllow != 0 {
			m.Phones = phones(e.home, e.work, e.mobile, e.page)
		}
	}
	if e.allow.Valid {
		on, m.AllowName = on|msnp.AL, e.allow.String
	}
	if e.block.Valid {
		on, m.BlockName = on|msnp.BL, e.block.String
	}
	m.Lists = uint32(on)
	return m
}

// addReverse adds those of in who have the owner on FL: they are on the owner's
// RL and no other list.
func addReverse(ctx context.Context, q querier, all []*directoryv1.Member, in map[int64]int) ([]*directoryv1.Member, error) {
	maps.DeleteFunc(in, func(_ int64, has int) bool { return has&backForward == 0 })
	for chunk := range slices.Chunk(slices.Collect(maps.Keys(in)), listChunk) {
		list, args := inList(chunk)
		err := each(ctx, q, `SELECT email, name FROM users WHERE id IN `+list, args, func(r row) error {
			m := &directoryv1.Member{Lists: uint32(msnp.RL)}
			all = append(all, m)
			return r.Scan(&m.Email, &m.Friendly)
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}
