package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"
)

// errLost is what a beat returns that finds no lease to renew.
var errLost = errors.New("lease is gone")

// deafAfter is how many beats in a row may pass without the inbox bringing
// anything, not even the beat's own message, before it is opened anew.
const deafAfter = 3

// ownKept is how many of its ids a node remembers; nobody speaks of older ones.
const ownKept = 16

// newID draws a node id.
func newID() string { return strings.ToLower(rand.Text())[:20] }

// standing returns the node id under which records may be written. While the
// lease may have run out, it waits for the next beat to tell.
func (m *Member) standing(ctx context.Context) (string, error) {
	ctx, cancel := m.c.bound(ctx)
	defer cancel()
	for {
		m.mu.Lock()
		id, until, changed := m.id, m.until, m.changed
		m.mu.Unlock()
		// A beat's worth of margin, for the write that follows.
		if time.Until(until) > m.timing.Beat {
			return id, nil
		}
		select {
		case <-changed:
		case <-m.ended:
			return "", unavailable("keep the lease", errEnded)
		case <-ctx.Done():
			return "", unavailable("renew the lease", ctx.Err())
		}
	}
}

// Lapsed reports whether the node's lease may be over, as far as the node knows
// itself: others may have taken its sessions for gone, and users may have logged
// in elsewhere without its hearing of it. It asks nobody.
func (m *Member) Lapsed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Until(m.until) <= 0
}

// Settled reports whether the node's lease has stood for as long as a lease is, as
// far as the node knows itself. Before that, what Redis does not have says little:
// it may have been emptied, and others join anew as well and claim their sessions
// again. It asks nobody.
func (m *Member) Settled() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Until(m.until) > 0 && time.Since(m.joined) >= m.timing.Lease
}

// stand notes that the lease of id was written by a command begun at a moment.
func (m *Member) stand(id string, begun time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.id = id
	m.until = begun.Add(m.timing.Lease)
	m.beaten = begun
	close(m.changed)
	m.changed = make(chan struct{})
}

// adopt makes id the node's own, after a join begun at a moment.
func (m *Member) adopt(id string, in *inbox, begun time.Time) {
	m.mu.Lock()
	m.in = in
	m.joined = begun
	if !slices.Contains(m.own, id) {
		m.own = append(m.own, id)
		m.own = m.own[max(0, len(m.own)-ownKept):]
	}
	m.mu.Unlock()
	m.stand(id, begun)
}

// record renders the node's record.
func (m *Member) record(id string) ([]byte, error) {
	n := proto.CloneOf(m.node)
	n.Id = id
	n.State = clusterv1.State(m.state.Load())
	if m.load != nil {
		n.Sessions = uint32(max(0, m.load()))
	}
	n.Epoch = m.c.epochs.highest()
	if id == m.ID() { // under a new one the numbers begin anew
		n.Sent = m.out.settled()
	}
	if m.unclaimed() {
		n.Former = m.formerOf(id)
	}
	return proto.Marshal(n)
}

// formerOf returns the ids that the node had before id.
func (m *Member) formerOf(id string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(m.own), func(own string) bool { return own == id })
}

// join writes the lease of a new id. The id enters the list of nodes first: an
// id in use that nobody lists would never be swept. With it go those that the
// node had before, since Redis may have lost them.
func (m *Member) join(ctx context.Context, id string) (begun time.Time, err error) {
	ctx, cancel := m.c.bound(ctx)
	defer cancel()
	ids := []any{id}
	m.mu.Lock()
	for _, id := range m.own {
		ids = append(ids, id)
	}
	m.mu.Unlock()
	if err := m.c.rdb.SAdd(ctx, m.c.keys.nodes(), ids...).Err(); err != nil {
		return begun, unavailable("join the cluster", err)
	}
	if err := m.c.clock(ctx, m.c.keys.node(id)); err != nil {
		return begun, unavailable("join the cluster", err)
	}
	// What the others have seen must count before the first claim.
	switch r, err := m.c.readNodes(ctx, nil, m.timing.Lease); {
	case err != nil:
		return begun, fmt.Errorf("join the cluster: %w", err)
	case !r.whole():
		return begun, unavailable("join the cluster", errors.New("some nodes' leases cannot be read"))
	}
	value, err := m.record(id)
	if err != nil {
		return begun, fmt.Errorf("join the cluster: %w", err)
	}
	begun = time.Now()
	if err := m.c.rdb.Set(ctx, m.c.keys.node(id), value, m.timing.Lease).Err(); err != nil {
		return begun, unavailable("join the cluster", err)
	}
	return begun, nil
}

// beat renews the lease if it still exists, measures Redis's clock, and sends a
// message to the own inbox, by which a deaf subscription is found out. It
// returns errLost if there is no lease any more.
func (m *Member) beat(ctx context.Context) error {
	id, in := m.ID(), m.inbox()
	value, err := m.record(id)
	if err != nil {
		return fmt.Errorf("renew the lease: %w", err)
	}
	// Several attempts should fit into one lease.
	ctx, cancel := context.WithTimeout(ctx, min(m.c.command, max(m.timing.Lease/4, m.timing.Beat)))
	defer cancel()
	var (
		begun   = time.Now()
		heard   = in.confirmed.Load()
		keys    = []string{m.c.keys.node(id), m.c.keys.nodes()}
		renewed *redis.StatusCmd
		reached *redis.IntCmd
		clock   sync.WaitGroup
	)
	clock.Go(func() { _ = m.c.clock(ctx, keys[0]) }) // the next beat measures again
	m.c.pipeline(ctx, keys, func(pipe redis.Pipeliner, i int) {
		if i == 0 {
			renewed = pipe.SetArgs(ctx, keys[0], value, redis.SetArgs{Mode: "XX", TTL: m.timing.Lease})
			reached = m.c.publish(ctx, pipe, m.c.keys.inbox(id), pulse(id))
		} else {
			// Should the list have lost us, or a sweeper thought us dead while
			// we joined.
			pipe.SAdd(ctx, keys[1], id)
		}
	})
	clock.Wait()
	switch err := renewed.Err(); {
	case errors.Is(err, redis.Nil):
		return errLost
	case err != nil:
		return unavailable("renew the lease", err)
	}
	m.stand(id, begun)
	if n, err := reached.Result(); err == nil {
		in.pulsed(heard, n)
	}
	return nil
}

// keep beats until ctx ends, and joins again under a new id when the lease is
// lost. Inboxes live as long as life.
func (m *Member) keep(ctx, life context.Context) {
	ticker := time.NewTicker(m.timing.Beat)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-m.restate:
		}
		switch err := m.beat(ctx); {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errLost):
			m.log.Warn("lease lost, joining again under a new id", "node", m.ID())
			m.metrics.lost.Add(ctx, 1, m.metrics.labels)
			m.rejoin(ctx, life)
			failing = false
		case err != nil:
			if !failing {
				m.log.Warn("lease not renewed", "error", err)
				failing = true
			}
		default:
			if failing {
				m.log.Info("lease renewed again")
				failing = false
			}
			if m.inbox().silence() > deafAfter {
				m.log.Warn("inbox is deaf, opening it anew")
				m.inbox().reopen()
			}
		}
	}
}

// rejoin gives the node a new id: it hears the new inbox before anybody can
// learn of it, and the old one for a lease more, for those who have not, and
// for as long as there are sessions that may be shown from there.
func (m *Member) rejoin(ctx, life context.Context) {
	old, id := m.inbox(), newID()
	if !m.enterCluster(ctx, life, id) {
		return
	}
	m.log.Info("joined again", "node", id)
	m.resync(ctx, ResyncLease, "")
	m.background.Go(func() {
		defer old.close()
		for wait := m.timing.Lease; ; wait = m.timing.Beat {
			select {
			case <-time.After(wait):
			case <-life.Done():
				return
			}
			if !m.unclaimed() {
				return
			}
		}
	})
}

// enterCluster subscribes and joins under an id, however long that takes. It
// returns false if ctx ended before.
func (m *Member) enterCluster(ctx, life context.Context, id string) bool {
	in := m.listen(life, id)
	wait := backoff{}
	failing := false
	for {
		err := in.await(ctx, m.c.command)
		if err == nil {
			var begun time.Time
			if begun, err = m.join(ctx, id); err == nil {
				m.out.restart(id)
				m.adopt(id, in, begun)
				return true
			}
		}
		if ctx.Err() == nil && !failing {
			m.log.Warn("waiting for redis to join the cluster", "error", err)
			failing = true
		}
		if !wait.sleep(ctx) {
			in.close()
			return false
		}
	}
}

// giveBack ends the lease, so that the others need not wait for it to run out.
// The id stays listed, for the sweep, unless no session is left under it.
func (m *Member) giveBack(ctx context.Context) error {
	ctx, cancel := m.c.bound(ctx)
	defer cancel()
	id := m.ID()
	if err := m.c.rdb.Del(ctx, m.c.keys.node(id)).Err(); err != nil {
		return unavailable("give the lease back", err)
	}
	n, err := m.c.rdb.SCard(ctx, m.c.keys.members(id)).Result()
	if err == nil && n == 0 {
		err = m.c.rdb.SRem(ctx, m.c.keys.nodes(), id).Err()
	}
	return unavailable("leave the list of nodes", err)
}
