package cluster

import (
	"context"
	"fmt"
	"slices"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"github.com/redis/go-redis/v9"
)

// Claims, reclaims and releases of one email on one node go one at a time: only
// the node itself writes its members set while it lives, so that is all it
// takes for the set to hold every email that a record gives to the node.

// Claim makes s the user's session: id, email and dialect are the caller's,
// node and epoch are filled in. It returns the sessions that it displaced,
// which the caller must tell (a Close message to their nodes, with their own
// epochs): mostly none or one, more when logins of one user race. If the lease
// is in doubt it waits for the next beat.
//
// After an error the record may or may not name s: call Release, as for a
// session that has ended. There may be displaced ones to tell even then.
func (m *Member) Claim(ctx context.Context, s *clusterv1.Session) (displaced []*clusterv1.Session, err error) {
	unlock, err := m.emails.lock(ctx, s.Email)
	if err != nil {
		return nil, unavailable(fmt.Sprintf("claim session %q", s.Email), err)
	}
	defer unlock()
	for {
		node, err := m.standing(ctx)
		if err != nil {
			return displaced, fmt.Errorf("claim session %q: %w", s.Email, err)
		}
		displaced, err = m.claimFor(ctx, node, s, displaced)
		if err != nil {
			return displaced, unavailable(fmt.Sprintf("claim session %q", s.Email), err)
		}
		if m.ID() == node {
			return displaced, nil
		}
		// The lease was lost meanwhile: the record names a dead node.
	}
}

// claimFor takes the record over for one node id and appends those displaced.
func (m *Member) claimFor(ctx context.Context, node string, s *clusterv1.Session, displaced []*clusterv1.Session) ([]*clusterv1.Session, error) {
	above := s.Epoch
	for entered := false; ; entered = true {
		s.Node, s.Epoch = node, m.c.epochs.next(above)
		previous, err := m.exchange(ctx, s, entered)
		if err != nil {
			return displaced, err
		}
		if p := previous.session; p.GetNode() != "" && p.Id != s.Id {
			displaced = slices.DeleteFunc(displaced, func(d *clusterv1.Session) bool { return d.Id == p.Id })
			displaced = append(displaced, p)
		}
		p := previous.session
		// A connection that breaks behind the SET makes the library send it
		// again, and it then finds itself.
		if p.GetEpoch() < s.Epoch || p.GetId() == s.Id && p.GetEpoch() == s.Epoch {
			return displaced, nil
		}
		above = p.Epoch
	}
}

// exchange puts the email of s into its node's members, unless it has entered,
// writes the record of s and returns the previous one. One server does the one
// behind the other, wherever a connection breaks, so there both are one trip. On
// Redis Cluster they may be on different servers.
func (m *Member) exchange(ctx context.Context, s *clusterv1.Session, entered bool) (record, error) {
	ctx, cancel := m.c.bound(ctx)
	defer cancel()
	value, err := encode(s)
	if err != nil {
		return record{}, err
	}
	members, key, set := m.c.keys.members(s.Node), m.c.keys.session(s.Email), redis.SetArgs{Get: true}
	if m.c.sharded && !entered {
		if err := m.c.rdb.SAdd(ctx, members, s.Email).Err(); err != nil {
			return record{}, err
		}
		entered = true
	}
	if entered {
		return m.c.parse(s.Email, m.c.rdb.SetArgs(ctx, key, value, set))
	}
	pipe := m.c.rdb.Pipeline()
	added, previous := pipe.SAdd(ctx, members, s.Email), pipe.SetArgs(ctx, key, value, set)
	_, _ = pipe.Exec(ctx) // the commands hold their own errors
	if err := added.Err(); err != nil {
		return record{}, err
	}
	return m.c.parse(s.Email, previous)
}

// Reclaim makes sure that the user's record still names s on this node. It
// leaves such a record alone, returns [ErrDisplaced] if a newer session holds
// it, and otherwise takes it over under a new epoch, written into s (as is a
// new node id); changed says so, and the session must announce itself again.
// displaced is as with Claim; it is rarely not empty, after Redis has lost
// writes. On any other error the record is unknown and s is as before: call
// again later.
func (m *Member) Reclaim(ctx context.Context, s *clusterv1.Session) (changed bool, displaced []*clusterv1.Session, err error) {
	unlock, err := m.emails.lock(ctx, s.Email)
	if err != nil {
		return false, nil, unavailable(fmt.Sprintf("reclaim session %q", s.Email), err)
	}
	defer unlock()
	for {
		node, err := m.standing(ctx)
		if err != nil {
			return false, displaced, fmt.Errorf("reclaim session %q: %w", s.Email, err)
		}
		current, err := m.enterAndRead(ctx, node, s.Email)
		if err != nil {
			return false, displaced, unavailable(fmt.Sprintf("reclaim session %q", s.Email), err)
		}
		wanted, err := m.reclaimed(node, s, current.session)
		if err != nil {
			return false, displaced, fmt.Errorf("reclaim session %q: %w", s.Email, err)
		}
		if wanted == nil {
			wanted = current.session
		} else {
			done, err := m.c.replace(ctx, current, wanted)
			if err != nil {
				return false, displaced, unavailable(fmt.Sprintf("reclaim session %q", s.Email), err)
			}
			if !done {
				continue // somebody else wrote it: decide anew
			}
			if p := current.session; p.GetNode() != "" && p.Id != s.Id {
				displaced = append(displaced, p)
			}
		}
		if m.ID() != node {
			continue // the lease was lost meanwhile: once more under the new id
		}
		changed = s.Epoch != wanted.Epoch
		s.Node, s.Epoch = wanted.Node, wanted.Epoch
		return changed, displaced, nil
	}
}

// reclaimed decides what the record should become for s, a session that is
// alive on node: nil to leave it as it is.
func (m *Member) reclaimed(node string, s, current *clusterv1.Session) (*clusterv1.Session, error) {
	take := func(epoch uint64) *clusterv1.Session {
		return &clusterv1.Session{Id: s.Id, Email: s.Email, Node: node, Epoch: epoch, Dialect: s.Dialect}
	}
	switch {
	case current == nil:
		// Redis was emptied. Watchers may have taken the old epoch as over.
		return take(m.c.epochs.next(s.Epoch)), nil
	case current.Id == s.Id && current.Node == "":
		// It ended: this is the echo of a call that came too late.
		return nil, ErrDisplaced
	case current.Id == s.Id && current.Node == node && current.Epoch >= s.Epoch:
		// Higher if an earlier call took effect without our hearing of it.
		return nil, nil
	case current.Id == s.Id && current.Node == node:
		// Redis lost our last write. Nobody has had the record since, and the
		// epoch is the one that we go by.
		return take(s.Epoch), nil
	case current.Id != s.Id && current.Epoch > s.Epoch:
		return nil, ErrDisplaced
	case current.Id != s.Id && current.Node != "" && current.Epoch == s.Epoch:
		// Two sessions of one epoch, which Redis can bring about by losing
		// writes: the one in the record wins, so that one does.
		return nil, ErrDisplaced
	}
	return take(m.c.epochs.next(max(s.Epoch, current.Epoch))), nil
}

// enterAndRead is enter and a read of the record in one trip. Neither needs the
// other, and what is written later needs both.
func (m *Member) enterAndRead(ctx context.Context, node, email string) (record, error) {
	ctx, cancel := m.c.bound(ctx)
	defer cancel()
	var (
		keys  = []string{m.c.keys.members(node), m.c.keys.session(email)}
		added *redis.IntCmd
		read  *redis.StringCmd
	)
	m.c.pipeline(ctx, keys, func(pipe redis.Pipeliner, i int) {
		if i == 0 {
			added = pipe.SAdd(ctx, keys[0], email)
		} else {
			read = pipe.Get(ctx, keys[1])
		}
	})
	if err := added.Err(); err != nil {
		return record{}, err
	}
	return m.c.parse(email, read)
}

// Release gives the record up when a session ends, for whatever reason. It
// acts only on a record that names s, and leaves the epoch behind for a minute,
// so that the next session's is higher even where clocks disagree. It is safe
// to repeat; call it until it returns nil.
func (m *Member) Release(ctx context.Context, s *clusterv1.Session) error {
	unlock, err := m.emails.lock(ctx, s.Email)
	if err != nil {
		return unavailable(fmt.Sprintf("release session %q", s.Email), err)
	}
	defer unlock()
	if err := m.release(ctx, s); err != nil {
		return unavailable(fmt.Sprintf("release session %q", s.Email), err)
	}
	return nil
}

func (m *Member) release(ctx context.Context, s *clusterv1.Session) error {
	current, left, err := m.yield(ctx, s)
	if err != nil {
		return err
	}
	// The user may have logged in again on this node, and then stays a member.
	for _, node := range slices.Compact([]string{s.Node, m.ID()}) {
		if node == "" || node == left || current.names(node) {
			continue
		}
		if err := m.leave(ctx, node, s.Email); err != nil {
			return err
		}
	}
	return nil
}

// yield replaces a record that names s by what it leaves behind, and returns
// the record as it is then, and the node whose members the email has left with
// it: on one server that is the same trip.
func (m *Member) yield(ctx context.Context, s *clusterv1.Session) (now record, left string, err error) {
	// Nearly always the record is as this session last wrote it.
	value, err := encode(s)
	current := record{string(value), s}
	if err != nil || s.Node == "" {
		current, err = m.c.read(ctx, s.Email)
	}
	for err == nil {
		node := current.session.GetNode()
		if current.session.GetId() != s.Id || node == "" {
			return current, "", nil
		}
		if m.c.sharded {
			node = ""
		}
		behind := remains(s.Email, s.Id, max(s.Epoch, current.session.Epoch))
		var done bool
		if done, err = m.c.replaceAndLeave(ctx, current, behind, node); err != nil {
			break
		}
		if done {
			return record{"", behind}, node, nil
		}
		current, err = m.c.read(ctx, s.Email)
	}
	return record{}, "", err
}

// leave takes an email out of a node's members, once no record names the node
// for it any more.
func (m *Member) leave(ctx context.Context, node, email string) error {
	ctx, cancel := m.c.bound(ctx)
	defer cancel()
	return m.c.rdb.SRem(ctx, m.c.keys.members(node), email).Err()
}
