package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"
	"google.golang.org/protobuf/proto"
)

// View is a local copy of the list of nodes. It stays as it is while Redis is
// away. All methods may be called from any goroutine.
type View struct {
	c      *Client
	timing Timing
	log    *slog.Logger
	// judge, if set, is given every reading; a member draws its conclusions.
	judge func(*reading)

	last  atomic.Pointer[reading]
	ready chan struct{}

	mu sync.Mutex
	// Own picks since the last refresh, and in the one before: a beat that we
	// read may be older than a pick by nearly two refreshes.
	picks, before map[string]uint32
	// When a node was last seen with its lease.
	present map[string]sighting
	// Until when Redis is not asked who is heard, and when somebody has looked
	// for nodes that have just joined.
	unasked, looked time.Time

	asking, looking singleflight.Group
}

type sighting struct {
	node *clusterv1.Node
	at   time.Time
}

// reading is one read of the list of nodes.
type reading struct {
	started time.Time
	nodes   []*clusterv1.Node          // whose lease stands, by id
	byID    map[string]*clusterv1.Node // the same
	absent  []string                   // ids listed without a lease
	deaf    []string                   // those of them whose inbox nobody hears; none on Redis Cluster
	// Ids whose lease could not be read, or not even whether there is one, as
	// the server of a Redis Cluster that has it does not answer.
	unread   []string
	unlisted bool // the list itself could not be read
	// Ids whose lease has longer to run than any lease is given: Redis's clock
	// has stepped back, and leases end by that clock.
	overlong []string
	// Seen less than a lease ago and missing now. Redis may just have been
	// emptied, so rather than nobody Pick takes one of these.
	missed []*clusterv1.Node
}

// Watch returns a view that Run keeps fresh. It is for processes that are no
// nodes themselves; a member has its own.
func (c *Client) Watch(timing Timing, log *slog.Logger) *View {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	v := &View{
		c:       c,
		timing:  timing.WithDefaults(),
		log:     log,
		ready:   make(chan struct{}),
		picks:   make(map[string]uint32),
		present: make(map[string]sighting),
	}
	v.last.Store(&reading{})
	return v
}

// Run refreshes the view until ctx ends; then it returns nil.
func (v *View) Run(ctx context.Context) error {
	ticker := time.NewTicker(v.timing.Refresh)
	defer ticker.Stop()
	failing, partial := false, false
	for {
		r, err := v.c.readNodes(ctx, v.seen(), v.timing.Lease)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !failing:
			v.log.Warn("cluster view stands still", "error", err)
			failing = true
		case err == nil:
			if failing || partial && r.whole() {
				v.log.Info("cluster view is read again")
			} else if !partial && !r.whole() {
				v.log.Warn("cluster view stands still in part", "unread", len(r.unread))
			}
			failing, partial = false, !r.whole()
			v.install(r)
			if v.judge != nil {
				v.judge(r)
			}
			v.shorten(ctx, r.overlong)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// shorten gives overlong leases the length of a new one, from now. A node that
// lives notices nothing, as its next beat does the same; one that is dead would
// otherwise stay for as long as Redis's clock stepped back.
func (v *View) shorten(ctx context.Context, ids []string) {
	ctx, cancel := v.c.bound(ctx)
	defer cancel()
	for chunk := range slices.Chunk(ids, page) {
		keys := v.c.nodeKeys(chunk)
		v.c.pipeline(ctx, keys, func(pipe redis.Pipeliner, i int) {
			pipe.PExpire(ctx, keys[i], v.timing.Lease) // the next refresh tries again
		})
	}
}

// seen lists the nodes seen less than a lease ago. Their leases are read even
// if the list has lost them, as they list themselves again only at their next
// beat.
func (v *View) seen() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	ids := make([]string, 0, len(v.present))
	for id := range v.present {
		ids = append(ids, id)
	}
	return ids
}

// install makes r the view. A node whose lease could not be read stays as it
// was read last: of those on a server that does not answer nobody can tell which
// live, and those on the others live and die as ever.
func (v *View) install(r *reading) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, id := range r.unread {
		if n := v.last.Load().byID[id]; n != nil {
			r.nodes = append(r.nodes, n)
			r.byID[id] = n
		}
	}
	slices.SortFunc(r.nodes, func(a, b *clusterv1.Node) int { return strings.Compare(a.Id, b.Id) })
	for _, n := range r.nodes {
		v.present[n.Id] = sighting{n, r.started}
	}
	for id, s := range v.present {
		if r.started.Sub(s.at) >= v.timing.Lease {
			delete(v.present, id)
		} else if r.byID[id] == nil {
			r.missed = append(r.missed, s.node)
		}
	}
	v.before, v.picks = v.picks, make(map[string]uint32)
	if v.last.Swap(r).byID == nil {
		close(v.ready)
	}
}

// add puts the nodes of a later reading into the view that are not in it. It
// counts as unread as long as it was not read itself.
func (v *View) add(later *reading) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := *v.last.Load() // readers have the old one
	if later.started.Before(r.started) {
		return
	}
	r.nodes, r.byID = slices.Clone(r.nodes), maps.Clone(r.byID)
	for _, n := range later.nodes {
		if slices.ContainsFunc(r.nodes, func(known *clusterv1.Node) bool { return known.Id == n.Id }) {
			continue
		}
		r.nodes = append(r.nodes, n)
		if r.byID != nil {
			r.byID[n.Id] = n
		}
	}
	slices.SortFunc(r.nodes, func(a, b *clusterv1.Node) int { return strings.Compare(a.Id, b.Id) })
	v.last.Store(&r)
}

// Ready is closed once the view has been read for the first time.
func (v *View) Ready() <-chan struct{} { return v.ready }

// Nodes returns the nodes whose lease stood at the last refresh that
// succeeded, in order of their ids. The records are shared: do not change them.
func (v *View) Nodes() []*clusterv1.Node { return slices.Clone(v.last.Load().nodes) }

// Node returns one of them by its id, or nil.
func (v *View) Node(id string) *clusterv1.Node { return v.last.Load().byID[id] }

// Former reports whether a node says that id was its own, and that it has still
// to claim sessions again that may be shown from there.
func (v *View) Former(id string) bool { return v.last.Load().former(id) }

// Pick chooses a node of the role for one more client. It draws two serving
// nodes that have room and takes the less loaded, counting its own recent
// picks in; always taking the emptiest would send a whole login storm to one
// node. Nodes named in except are left out, as are draining, full and expired
// ones; a capacity of 0 is none stated, and never full. It returns [ErrNoNode]
// if there is none. Memory only.
func (v *View) Pick(role clusterv1.Role, except ...string) (*clusterv1.Node, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := v.last.Load()
	for _, nodes := range [][]*clusterv1.Node{r.nodes, r.missed} {
		var fit []*clusterv1.Node
		for _, n := range nodes {
			if n.Role == role && n.State == clusterv1.State_STATE_SERVING &&
				(n.Capacity == 0 || v.load(n) < uint64(n.Capacity)) && !slices.Contains(except, n.Id) {
				fit = append(fit, n)
			}
		}
		if len(fit) == 0 {
			continue
		}
		i := rand.IntN(len(fit))
		if len(fit) > 1 {
			j := rand.IntN(len(fit) - 1)
			if j >= i {
				j++
			}
			if v.fuller(fit[i], fit[j]) {
				i = j
			}
		}
		v.picks[fit[i].Id]++
		return fit[i], nil
	}
	return nil, fmt.Errorf("pick %s: %w", strings.ToLower(strings.TrimPrefix(role.String(), "ROLE_")), ErrNoNode)
}

// load is the number of sessions as far as we know.
func (v *View) load(n *clusterv1.Node) uint64 {
	return uint64(n.Sessions) + uint64(v.picks[n.Id]) + uint64(v.before[n.Id])
}

// fuller compares the shares of their capacities that two nodes have in use.
func (v *View) fuller(a, b *clusterv1.Node) bool {
	return v.load(a)*uint64(max(b.Capacity, 1)) > v.load(b)*uint64(max(a.Capacity, 1))
}

// readNodes reads the list of nodes and every record on it, and the records of
// nodes in also. No lease of a node has longer to run than lease. On Redis
// Cluster a reading can be partial; it is an error if nothing could be read.
func (c *Client) readNodes(ctx context.Context, also []string, lease time.Duration) (*reading, error) {
	r := &reading{started: time.Now(), byID: make(map[string]*clusterv1.Node)}
	step, cancel := c.bound(ctx)
	listed, unlisted := c.rdb.SMembersMap(step, c.keys.nodes()).Result()
	cancel()
	if unlisted != nil && !c.sharded {
		return nil, unavailable("read the list of nodes", unlisted)
	}
	r.unlisted = unlisted != nil
	ids := slices.AppendSeq(also, maps.Keys(listed))
	slices.Sort(ids)
	ids = slices.Compact(ids)
	for chunk := range slices.Chunk(ids, page) {
		if err := c.readLeases(ctx, r, chunk, listed, lease); err != nil {
			return nil, err
		}
	}
	if unlisted != nil && len(r.unread) == len(ids) {
		return nil, unavailable("read the list of nodes", unlisted)
	}
	if !c.sharded {
		r.deaf = c.unheard(ctx, r.absent)
	}
	return r, nil
}

// readLeases adds the records of some nodes to r.
func (c *Client) readLeases(ctx context.Context, r *reading, ids []string, listed map[string]struct{}, lease time.Duration) error {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	keys := c.nodeKeys(ids)
	replies := make([]*redis.StringCmd, len(ids))
	left := make([]*redis.DurationCmd, len(ids))
	c.pipeline(ctx, keys, func(pipe redis.Pipeliner, i int) {
		replies[i] = pipe.Get(ctx, keys[i])
		left[i] = pipe.PTTL(ctx, keys[i])
	})
	for i, id := range ids {
		value, err := replies[i].Bytes()
		if errors.Is(err, redis.Nil) {
			if _, ok := listed[id]; ok {
				r.absent = append(r.absent, id)
			}
			continue
		}
		if err != nil {
			if !c.sharded {
				return unavailable("read node "+id, err)
			}
			r.unread = append(r.unread, id)
			continue
		}
		n := new(clusterv1.Node)
		if err := proto.Unmarshal(value, n); err != nil || n.Id != id {
			// A lease that we cannot read is a lease all the same: the node
			// lives, it can only not be picked.
			n = &clusterv1.Node{Id: id}
		}
		c.epochs.observe(n.Epoch)
		// What cannot be read says nothing, and is read again soon.
		if d, err := left[i].Result(); err == nil && d > lease {
			r.overlong = append(r.overlong, id)
		}
		r.nodes = append(r.nodes, n)
		r.byID[id] = n
	}
	return nil
}

// whole reports whether nothing is missing from a reading.
func (r *reading) whole() bool { return !r.unlisted && len(r.unread) == 0 }

// nodeKeys returns where the leases of some nodes are.
func (c *Client) nodeKeys(ids []string) []string {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = c.keys.node(id)
	}
	return keys
}
