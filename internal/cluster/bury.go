package cluster

import (
	"context"
	"hash/fnv"
	"slices"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"google.golang.org/protobuf/proto"
)

// Silence is not death. What a reading of the nodes says about others, and what
// it does not:
//
//   - A reading that failed is none, and one that lacks this very node says
//     nothing: Redis was emptied, or we were cut off.
//   - A lease that is missing does not come back. A node renews only what still
//     exists, and joins again under a new id; so the sessions shown from the
//     old id are over, or about to be shown under newer epochs from the new one.
//     It is still only believed when it is missing for buryBeats beats, in at
//     least two readings: a node may tell us of itself before we read its lease,
//     and one that rejoins should have a moment to say so. A node that is not
//     even heard any more, and not there under a new id, has died: its
//     connections have ended with it. On Redis Cluster that proves nothing:
//     a server that comes back empty has lost leases and subscriptions both,
//     while another still lists the nodes, and they need a moment to notice.
//   - For one lease after its own join a node buries nobody. When Redis was
//     emptied all join at about the same time; each then has a lease to claim
//     its sessions again before the others take the old ids as gone.
//   - The same lease has a node whose lease is missing while it is there itself,
//     under a new id: one server of a Redis Cluster was emptied, or a master
//     died before its replica had the lease. So has one of which nothing is known
//     but that records name it, or that something came from it: it may be the
//     former id of such a node.
//   - An id of which a node says that it was its own, and that sessions are still
//     shown from there, is not gone: that node hears what is sent there, and
//     claims these sessions again when Redis lets it. Behind that the id is
//     missing from then on.
//
// So a dead node is gone for the others at the latest a lease and a reading after
// its last beat, and one whose machine has lost its power or its network, whose
// connections therefore stand, at the latest buryBeats beats and a reading later.
//
// A session record that is missing, in contrast, says little while its node's
// lease stands: Redis may have been emptied, and the node rewrites records over
// seconds. It counts only if it is still missing a lease later. That is for
// those to observe who look sessions up.
const buryBeats = 3

// undertaker draws conclusions from readings. Only the view's goroutine uses it.
type undertaker struct {
	known map[string]acquaintance
	// Listed ids without a lease, since when.
	unswept map[string]time.Time
}

// acquaintance is a node that we know of.
type acquaintance struct {
	node    *clusterv1.Node // as last read; nil if never
	missing time.Time       // the reading since which its lease is missing, or zero
}

// judge is given every reading of the view.
func (m *Member) judge(ctx context.Context, r *reading) {
	m.mu.Lock()
	id, in, joined := m.id, m.in, m.joined
	m.mu.Unlock()
	if in == nil || r.byID[id] == nil {
		return
	}
	// An inbox that hears nothing is missing everything, and the resync that
	// follows its return covers that.
	if in.hears.Load() {
		for _, n := range r.nodes {
			if n.Id != id && in.gaps.report(n.Id, n.Sent[id], r.started) {
				m.missing(ctx, n.Id)
			}
		}
		in.gaps.read(r.started)
	}

	old := r.started.Sub(joined) >= m.timing.Lease
	m.bury(r, in, old)
	m.pickUnswept(r, old)
}

// relist puts nodes back on the list whose lease is missing and which the list
// has lost too though they had sessions, as a failover can bring about: nobody
// would sweep them.
func (m *Member) relist(ctx context.Context, r *reading) {
	if !r.whole() {
		return
	}
	for id, a := range m.undertaker.known {
		if a.missing.IsZero() || r.byID[id] != nil || slices.Contains(r.absent, id) {
			continue
		}
		if err := m.relistOne(ctx, id); err != nil {
			m.log.Debug("put a lost node back on the list", "lost", id, "error", err) // the next reading tries again
		}
	}
}

func (m *Member) relistOne(ctx context.Context, id string) error {
	ctx, cancel := m.c.bound(ctx)
	defer cancel()
	// One that has left in good order has no members.
	n, err := m.c.rdb.Exists(ctx, m.c.keys.members(id)).Result()
	if err == nil && n > 0 {
		err = m.c.rdb.SAdd(ctx, m.c.keys.nodes(), id).Err()
	}
	return err
}

// bury tells the handler of nodes that are gone.
func (m *Member) bury(r *reading, in *inbox, old bool) {
	u := &m.undertaker
	for _, ids := range [][]string{m.out.destinations(), in.gaps.heard()} {
		for _, id := range ids {
			if _, ok := u.known[id]; !ok && !m.IsSelf(id) {
				u.known[id] = acquaintance{}
			}
		}
	}
	for _, n := range r.nodes {
		if !m.IsSelf(n.Id) {
			u.known[n.Id] = acquaintance{node: n}
		}
	}
	for id, a := range u.known {
		switch {
		case r.byID[id] != nil:
		case r.former(id):
			a.missing = r.started
			u.known[id] = a
		case old && !m.c.sharded && slices.Contains(r.deaf, id) && !r.rejoined(a.node):
			m.gone(in, id)
		case a.missing.IsZero():
			a.missing = r.started
			u.known[id] = a
		case old && r.started.Sub(a.missing) >= m.patience(r, a.node):
			m.gone(in, id)
		}
	}
}

// gone buries one node.
func (m *Member) gone(in *inbox, id string) {
	delete(m.undertaker.known, id)
	m.out.forget(id)
	in.gaps.forget(id)
	m.log.Info("node is gone", "node", id)
	m.handler.Gone(id)
}

// patience is how long a lease must be missing before it is taken as gone.
func (m *Member) patience(r *reading, node *clusterv1.Node) time.Duration {
	if node == nil || r.rejoined(node) {
		return max(buryBeats*m.timing.Beat, m.timing.Lease)
	}
	return buryBeats * m.timing.Beat
}

// rejoined reports whether the process that a node was is there under another
// id. A process is known by its addresses and the moment of its start.
func (r *reading) rejoined(was *clusterv1.Node) bool {
	return len(was.GetAddresses()) > 0 && slices.ContainsFunc(r.nodes, func(n *clusterv1.Node) bool {
		return n.GetId() != was.GetId() && n.GetStarted() == was.GetStarted() && n.GetRole() == was.GetRole() &&
			slices.EqualFunc(n.GetAddresses(), was.GetAddresses(), func(a, b *clusterv1.Address) bool { return proto.Equal(a, b) })
	})
}

// former reports whether a node says that id was its own, and that sessions may
// still be shown from there.
func (r *reading) former(id string) bool {
	return slices.ContainsFunc(r.nodes, func(n *clusterv1.Node) bool { return slices.Contains(n.GetFormer(), id) })
}

// pickUnswept hands dead ids to the sweeper. They are given a lease more: an id
// stands in the list from before its first lease. After that each node waits a
// while of its own, so that mostly one of them does the work.
func (m *Member) pickUnswept(r *reading, old bool) {
	u := &m.undertaker
	for id := range u.unswept {
		if r.former(id) || !slices.Contains(r.absent, id) {
			delete(u.unswept, id)
		}
	}
	for _, id := range r.absent {
		if r.former(id) {
			continue
		}
		since, ok := u.unswept[id]
		if !ok {
			u.unswept[id] = r.started
			continue
		}
		if old && r.started.Sub(since) >= m.timing.Lease+spread(m.ID()+id, m.timing.Lease/2) {
			select {
			case m.sweeps <- id:
			default: // busy: the next reading brings it again
			}
		}
	}
}

// spread maps a text to a duration below limit, evenly and always the same.
func spread(text string, limit time.Duration) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(text))
	return time.Duration(uint64(limit) * uint64(h.Sum32()) >> 32)
}

// sweepDead sweeps the ids that it is handed until ctx ends.
func (m *Member) sweepDead(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case id := <-m.sweeps:
			freed, err := m.c.sweep(ctx, id)
			if err != nil {
				m.log.Debug("sweep broke off", "dead", id, "freed", freed, "error", err)
				continue
			}
			m.log.Info("swept a dead node", "dead", id, "sessions", freed)
		}
	}
}
