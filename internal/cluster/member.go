package cluster

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/protobuf/proto"
)

// defaultQueueBytes bounds what waits for one destination.
const defaultQueueBytes = 4 << 20

// MemberConfig describes a node that joins.
type MemberConfig struct {
	// Node holds role, addresses, capacity and version, and the state to begin
	// in (serving if none is given); the member fills in the rest. It is copied.
	Node *clusterv1.Node
	// Timing of leases and views.
	Timing Timing
	// QueueBytes bounds the messages that wait or are under way to one
	// destination; what comes on top is dropped, and resynced. Default 4 MiB. All
	// destinations together are bounded by 64 MiB, and a message is at most 1 MiB.
	QueueBytes int
	// Load returns the number of sessions on this node; nil means none. It is
	// called at each beat and must not block.
	Load func() int
	// Has reports whether a user has a session on this node, or is about to
	// claim one; nil where there are no sessions. It is called now and then for
	// those who are written down here, and must not block.
	Has func(email string) bool
	// Unclaimed reports whether there are sessions that have not been claimed
	// again since the last Resync(ResyncLease); nil where there are no sessions.
	// Until it says no, others do not take what is shown from the node's former
	// ids for over. It is called at each beat and must not block.
	Unclaimed func() bool
	// Log takes lease changes and faults; nil discards them.
	Log *slog.Logger
	// Meter takes the metrics of lease and inbox; nil discards them.
	Meter metric.Meter
}

// Handler is told what happens to a member. Every method must be cheap and
// must not block: no call to Redis, no RPC. It may call Send and Answer.
// Deliver is called one at a time; the others may be called beside it.
type Handler interface {
	// Deliver hands over a message for this node. Messages of one sending node
	// come in the order in which it sent them. from is the sender's node id, to
	// be answered with [Member.Answer] when m.Ask is not zero. The handler may
	// keep m, and must not change it.
	Deliver(ctx context.Context, from string, m *clusterv1.Message)
	// Undelivered hands back a message that reached nobody: node to is gone,
	// or just not connected, in which case it resyncs when it is back. A
	// message passed to Ask does not come back here, Ask returns ErrNobody.
	Undelivered(to string, m *clusterv1.Message)
	// Gone says that a node's lease is gone for good: whatever was shown from
	// there is over. An id never comes back; the node itself may, under a new
	// one. It can be called again for an id, if messages still came from there.
	Gone(node string)
	// Resync says that messages from peer may have been lost, or from any node
	// if peer is empty: compare what the clients were told with the truth,
	// spread over seconds. reason is one of the Resync constants. If it is
	// ResyncLease, ID has changed and every session must be reclaimed.
	Resync(reason string, peer string)
}

// Reasons for a resync, as given to [Handler] and as metric labels.
const (
	// ResyncSubscribed: the inbox was not heard for a while.
	ResyncSubscribed = "subscribed"
	// ResyncGap: a batch of one peer is missing.
	ResyncGap = "gap"
	// ResyncLease: the lease was lost and the node has joined under a new id.
	ResyncLease = "lease"
	// ResyncFailover: a Redis Cluster has another master, which may lack what
	// the one before it was told last.
	ResyncFailover = "failover"
)

// Member is a node that has joined the cluster: its lease, its view of the
// others, its inbox and its claims on sessions. All methods but Run may be
// called from any goroutine, before, during and after Run.
type Member struct {
	c         *Client
	handler   Handler
	node      *clusterv1.Node // as configured
	timing    Timing
	load      func() int
	has       func(email string) bool
	unclaimed func() bool // MemberConfig.Unclaimed, or says no
	log       *slog.Logger
	metrics   metrics
	view      *View

	out        *outbox // to other nodes
	local      *outbox // to this one
	asks       asks
	emails     keyedLock
	delivering sync.Mutex // held while Deliver is called
	undertaker undertaker
	sweeps     chan string

	state   atomic.Int32  // clusterv1.State
	restate chan struct{} // asks for a beat out of turn
	sent    atomic.Int64
	handled atomic.Int64

	started    atomic.Bool
	ready      chan struct{}
	ended      chan struct{}
	background sync.WaitGroup // what Run waits for

	mu      sync.Mutex
	id      string
	own     []string  // ids that the node has had, the present one last
	in      *inbox    // of the present id
	joined  time.Time // when the present id joined
	beaten  time.Time // when the lease was last renewed
	until   time.Time // the lease stands at least until then
	changed chan struct{}
}

// Member prepares a node; Run makes it join.
func (c *Client) Member(cfg MemberConfig, h Handler) *Member {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.QueueBytes <= 0 {
		cfg.QueueBytes = defaultQueueBytes
	}
	timing := cfg.Timing.WithDefaults()
	id := newID()
	m := &Member{
		c:         c,
		handler:   h,
		node:      &clusterv1.Node{},
		timing:    timing,
		load:      cfg.Load,
		has:       cfg.Has,
		unclaimed: cfg.Unclaimed,
		log:       cfg.Log,
		view:      c.Watch(timing, cfg.Log),
		out:       newOutbox(id, cfg.QueueBytes, timing.Lease),
		local:     newOutbox(id, cfg.QueueBytes, timing.Lease),
		undertaker: undertaker{
			known:   make(map[string]acquaintance),
			unswept: make(map[string]time.Time),
		},
		sweeps:  make(chan string),
		restate: make(chan struct{}, 1),
		ready:   make(chan struct{}),
		ended:   make(chan struct{}),
		id:      id,
		own:     []string{id},
		changed: make(chan struct{}),
	}
	if m.unclaimed == nil {
		m.unclaimed = func() bool { return false }
	}
	if cfg.Node != nil {
		m.node = proto.CloneOf(cfg.Node)
	}
	m.node.Started = c.now().UnixMilli()
	if m.node.State == clusterv1.State_STATE_UNSPECIFIED {
		m.node.State = clusterv1.State_STATE_SERVING
	}
	m.state.Store(int32(m.node.State))
	if err := m.register(cfg.Meter); err != nil {
		m.log.Warn("cluster metrics are incomplete", "error", err)
	}
	return m
}

// Run subscribes to the inbox, joins, and then beats and receives until ctx
// ends. It waits for Redis as long as that takes. When ctx ends it publishes
// what was sent, gives the lease back and returns nil; the sessions should
// have been released before. Run is called once.
func (m *Member) Run(ctx context.Context) error {
	if m.started.Swap(true) {
		return errors.New("run a member: it has been run before")
	}
	// Inbox and outbox outlast ctx until the last messages are out.
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		stop()
		m.background.Wait()
		m.end()
	}()
	m.background.Go(func() { m.post(life) })
	m.background.Go(func() { m.loop(life) })

	if !m.enterCluster(ctx, life, m.ID()) {
		return nil
	}
	m.log.Info("joined the cluster", "node", m.ID())
	m.view.judge = func(r *reading) {
		m.judge(ctx, r)
		m.relist(ctx, r)
	}
	m.background.Go(func() { _ = m.view.Run(ctx) })
	m.background.Go(func() { m.sweepDead(ctx) })
	m.background.Go(func() { m.tidy(ctx) })
	if m.c.sharded {
		m.background.Go(func() { m.watchMasters(ctx) })
	}
	close(m.ready)
	m.keep(ctx, life)

	last, cancel := m.c.bound(life)
	defer cancel()
	// That something was given up is no news, and may be long ago.
	if err := m.Flush(last); errors.Is(err, context.DeadlineExceeded) {
		m.log.Warn("leaving with messages unsent", "error", err)
	}
	if err := m.giveBack(last); err != nil {
		m.log.Warn("leaving without giving the lease back", "error", err)
	} else {
		m.log.Info("left the cluster", "node", m.ID())
	}
	return nil
}

// end completes everything that waits, after all goroutines have returned.
func (m *Member) end() {
	for _, o := range []*outbox{m.out, m.local} {
		for _, it := range o.end() {
			m.lose(context.Background(), it, errEnded)
		}
	}
	close(m.ended)
	if m.metrics.watch != nil {
		_ = m.metrics.watch.Unregister()
	}
}

// Ready is closed when the node has joined for the first time.
func (m *Member) Ready() <-chan struct{} { return m.ready }

// ID returns the node id: random, new with every Member, and new again after a
// lost lease. It is final from the start until Handler.Resync(ResyncLease).
func (m *Member) ID() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.id
}

// IsSelf reports whether id is the node's present id or one that it had
// before. Messages, places and tickets may name the former ones for a while.
func (m *Member) IsSelf(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.own, id)
}

// inbox returns the inbox of the present id.
func (m *Member) inbox() *inbox {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.in
}

// SetState changes what the lease says of the node, and writes it at once.
func (m *Member) SetState(s clusterv1.State) {
	m.state.Store(int32(s))
	select {
	case m.restate <- struct{}{}:
	default:
	}
}

// View returns the node's view of the cluster, itself included. Run keeps it
// fresh.
func (m *Member) View() *View { return m.view }

// Send queues a message for another node. It never blocks and never fails:
// what cannot be published within bounds of bytes and time is dropped, and the
// receiver finds the gap and resyncs. msg must not be changed afterwards. A
// message to the node itself comes back through Deliver, without Redis.
func (m *Member) Send(to string, msg *clusterv1.Message) { m.send(to, msg, nil) }

func (m *Member) send(to string, msg *clusterv1.Message, ask *asked) {
	m.sent.Add(counts(msg))
	out := m.out
	if m.IsSelf(to) {
		out = m.local
	}
	err := out.put(to, msg, ask)
	if err == nil {
		return
	}
	if !errors.Is(err, errFull) && !errors.Is(err, errEnded) {
		m.log.Error("message not sent", "to", to, "error", err)
	}
	m.lose(context.Background(), item{msg: msg, ask: ask}, err)
}

// Flush waits until everything sent so far is published or given up, and what
// was sent to this node itself is delivered. It returns [ErrUnavailable] if
// something was given up that was sent since the last Flush, or before it and
// was still under way, and the context's error when that ends. Do not call it
// from a Handler.
func (m *Member) Flush(ctx context.Context) error {
	if err := m.local.flush(ctx); err != nil {
		return err
	}
	return m.out.flush(ctx)
}

// Traffic returns how many messages this member has sent and has handled, for
// the answer to a Settle; messages that reached nobody, and Settle messages
// themselves, count for neither. When all nodes are quiet the sums over all
// nodes are equal and do not move, unless Redis lost messages.
func (m *Member) Traffic() (sent, handled uint64) {
	return uint64(max(0, m.sent.Load())), uint64(m.handled.Load())
}

// counts is 1 for a message that Traffic counts, else 0.
func counts(msg *clusterv1.Message) int64 {
	if msg.GetSettle() != nil {
		return 0
	}
	return 1
}

// uncount takes a message that was not delivered out of those sent.
func (m *Member) uncount(msg *clusterv1.Message) { m.sent.Add(-counts(msg)) }
