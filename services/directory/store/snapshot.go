package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/monarch-msn/monarch/msnp"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

const groupsQuery = `SELECT id, name FROM contact_groups WHERE owner_id = $1 ORDER BY id`

// own selects the people whom an owner has on FL, AL or BL. back is what they
// in turn have of the owner: it decides whether they are on the owner's RL, and
// whether the owner may see their phone numbers, which is when their AL holds
// the owner (Escargot shows real values on the same condition).
const own = `
	SELECT u.email, m.forward_name, m.allow_name, m.block_name, m.in_groups,
		CASE WHEN back.forward_name IS NULL THEN NULL ELSE u.name END,
		CASE WHEN m.forward_name IS NULL OR back.allow_name IS NULL THEN '' ELSE u.phone_home END,
		CASE WHEN m.forward_name IS NULL OR back.allow_name IS NULL THEN '' ELSE u.phone_work END,
		CASE WHEN m.forward_name IS NULL OR back.allow_name IS NULL THEN '' ELSE u.phone_mobile END,
		CASE WHEN m.forward_name IS NULL OR back.allow_name IS NULL THEN FALSE ELSE u.page END
	FROM members m
	JOIN users u ON u.id = m.member_id
	LEFT JOIN members back ON back.owner_id = m.member_id AND back.member_id = m.owner_id
	WHERE m.owner_id = $1`

const memberQuery = own + ` AND m.member_id = $2`

// membersQuery adds those who are on the owner's RL and no other list.
const membersQuery = own + `
	UNION ALL
	SELECT u.email, NULL, NULL, NULL, 0, u.name, '', '', '', FALSE
	FROM members back
	JOIN users u ON u.id = back.owner_id
	WHERE back.member_id = $1 AND back.forward_name IS NOT NULL
		AND NOT EXISTS (SELECT 1 FROM members m WHERE m.owner_id = $1 AND m.member_id = back.owner_id)
	ORDER BY 1`

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
		u, lists, err = s.readSnapshot(ctx, email)
		return err
	})
	return u, lists, err
}

func (s *Store) readSnapshot(ctx context.Context, email string) (*user, *directoryv1.Snapshot, error) {
	tx, err := s.read.BeginTx(ctx, reading)
	if err != nil {
		return nil, nil, fmt.Errorf("begin: %w", err)
	}
	// Nothing was changed, so how it ends does not matter.
	defer tx.Rollback()
	q := prepared{tx, s.hot}
	u, err := readUser(ctx, q, email)
	if err != nil {
		return nil, nil, err
	}
	lists, err := readLists(ctx, q, u)
	return u, lists, err
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
	err = each(ctx, q, membersQuery, []any{u.id}, func(r row) error {
		m, err := scanMember(r)
		s.Members = append(s.Members, m)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read lists of %s: %w", u.email, err)
	}
	return s, nil
}

func scanMember(r row) (*directoryv1.Member, error) {
	m := new(directoryv1.Member)
	var forward, allow, block, friendly sql.NullString
	var home, work, mobile string
	var page bool
	err := r.Scan(&m.Email, &forward, &allow, &block, &m.Groups, &friendly, &home, &work, &mobile, &page)
	if err != nil {
		return nil, err
	}
	var on msnp.List
	for _, x := range [...]struct {
		list msnp.List
		name sql.NullString
		into *string
	}{
		{msnp.FL, forward, &m.ForwardName},
		{msnp.AL, allow, &m.AllowName},
		{msnp.BL, block, &m.BlockName},
		{msnp.RL, friendly, &m.Friendly},
	} {
		if x.name.Valid {
			on |= x.list
			*x.into = x.name.String
		}
	}
	m.Lists = uint32(on)
	m.Phones = phones(home, work, mobile, page)
	return m, nil
}
