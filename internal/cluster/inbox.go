package cluster

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"
)

// maxBatch bounds a batch that is received, with room above what is sent.
const maxBatch = 2*maxMessage + batchBytes

// maxID bounds the node ids that are believed.
const maxID = 64

// errUnsubscribed means that Redis ended a subscription by itself, as Redis
// Cluster does when a slot moves. The library does not subscribe again, and on
// the old connection that would only lead to MOVED.
var errUnsubscribed = errors.New("subscription ended by redis")

// inbox hears the channel of one node id. Whatever goes wrong with its
// connection, it opens another; pub/sub keeps nothing for those who are away,
// so every confirmation but the first means a resync.
type inbox struct {
	m      *Member
	id     string
	close  context.CancelFunc // ends it; the connection is closed soon after
	first  chan struct{}      // closed when subscribed for the first time
	hears  atomic.Bool        // subscribed, as far as we know
	silent atomic.Int32       // times asked since anything was heard
	// Confirmations of a subscription so far, and how many there were at the
	// last pulse if that reached nobody; 0 else. The latter is the beat's own.
	confirmed atomic.Uint64
	unreached uint64
	gaps      gaps
	mu        sync.Mutex
	current   *redis.PubSub
}

// listen opens the inbox of an id; it is heard until closed, or until ctx ends.
func (m *Member) listen(ctx context.Context, id string) *inbox {
	in := &inbox{m: m, id: id, first: make(chan struct{})}
	ctx, in.close = context.WithCancel(ctx)
	m.background.Go(func() {
		defer in.close()
		in.run(ctx)
	})
	return in
}

// await waits until the inbox is subscribed, and opens another connection if
// that takes too long.
func (in *inbox) await(ctx context.Context, patience time.Duration) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-in.first:
		return nil
	case <-timer.C:
		in.reopen()
		return unavailable("subscribe to the inbox", errors.New("no confirmation"))
	case <-ctx.Done():
		return ctx.Err()
	}
}

// silence returns how many times it was called since anything was heard.
func (in *inbox) silence() int { return int(in.silent.Add(1)) }

// pulsed notes how many a pulse reached that was sent when the subscription had
// been confirmed so many times. If two in a row reach nobody, and it is still the
// same subscription, whoever sends to this node does not reach it either: it is
// with a server that has lost its place to another, which need not end the
// connection. The server may hang, or follow the other.
func (in *inbox) pulsed(confirmed uint64, reached int64) {
	switch {
	case reached > 0:
		in.unreached = 0
	case confirmed > 0 && confirmed == in.unreached && confirmed == in.confirmed.Load():
		in.m.log.Warn("inbox is not where it is sent to, opening it anew")
		in.unreached = 0
		in.reopen()
	default:
		in.unreached = confirmed
	}
}

// reopen gives the current connection up. It does not wait, as closing a
// subscription does that is just being connected.
func (in *inbox) reopen() {
	in.silent.Store(0)
	in.mu.Lock()
	ps := in.current
	in.mu.Unlock()
	if ps != nil {
		in.m.background.Go(func() { _ = ps.Close() })
	}
}

func (in *inbox) run(ctx context.Context) {
	var wait backoff
	for {
		heard, err := in.hear(ctx)
		if ctx.Err() != nil {
			return
		}
		in.m.log.Debug("inbox lost its connection", "node", in.id, "error", err)
		if heard {
			wait.reset()
		}
		if !wait.sleep(ctx) {
			return
		}
	}
}

// hear subscribes on a connection of its own and receives until that breaks.
func (in *inbox) hear(ctx context.Context) (heard bool, err error) {
	// A replica takes subscriptions as its master does, and who publishes with
	// the master would not reach them.
	in.m.c.remap(ctx)
	var ps *redis.PubSub
	if in.m.c.sharded {
		ps = in.m.c.rdb.SSubscribe(ctx)
	} else {
		ps = in.m.c.rdb.Subscribe(ctx)
	}
	in.mu.Lock()
	in.current = ps
	in.mu.Unlock()
	// The library's Receive does not look at the context while it waits.
	stop := context.AfterFunc(ctx, func() { _ = ps.Close() })
	defer func() {
		stop()
		in.hears.Store(false)
		in.mu.Lock()
		in.current = nil
		in.mu.Unlock()
		_ = ps.Close()
	}()

	channel := in.m.c.keys.inbox(in.id)
	if in.m.c.sharded {
		err = ps.SSubscribe(ctx, channel)
	} else {
		err = ps.Subscribe(ctx, channel)
	}
	if err != nil {
		return false, err
	}
	for {
		event, err := ps.Receive(ctx)
		if err != nil {
			return heard, err
		}
		heard = true
		in.silent.Store(0)
		switch event := event.(type) {
		case *redis.Subscription:
			switch event.Kind {
			case "subscribe", "ssubscribe":
				in.subscribed(ctx)
			default:
				return heard, errUnsubscribed
			}
		case *redis.Message:
			in.m.receive(ctx, in, []byte(event.Payload))
		}
	}
}

// subscribed handles a confirmation.
func (in *inbox) subscribed(ctx context.Context) {
	in.confirmed.Add(1)
	select {
	case <-in.first:
		in.gaps.resubscribed()
		in.hears.Store(true)
		in.m.log.Info("inbox subscribed again", "node", in.id)
		in.m.resync(ctx, ResyncSubscribed, "")
	default:
		in.hears.Store(true)
		close(in.first)
	}
}

// pulse is a batch with which a node hears itself.
func pulse(id string) []byte { return appendBatch(nil, id, 0, nil) }

// receive takes a batch. It comes from outside: nothing in it is trusted to be
// there, and what this release does not know is passed over.
func (m *Member) receive(ctx context.Context, in *inbox, payload []byte) {
	var batch clusterv1.Batch
	if len(payload) > maxBatch || proto.Unmarshal(payload, &batch) != nil || batch.From == "" || len(batch.From) > maxID {
		m.metrics.dropped.Add(ctx, 1, m.metrics.malformed)
		return
	}
	if m.IsSelf(batch.From) {
		return // a pulse
	}
	if batch.Sequence == 0 {
		m.metrics.dropped.Add(ctx, 1, m.metrics.malformed)
		return
	}
	// An inbox and its successor may both be heard for a while.
	m.delivering.Lock()
	defer m.delivering.Unlock()
	duplicate, gap := in.gaps.receive(batch.From, batch.Sequence)
	if duplicate {
		m.metrics.dropped.Add(ctx, 1, m.metrics.duplicate)
		return
	}
	m.metrics.received.Add(ctx, 1, m.metrics.labels)
	if gap {
		m.missing(ctx, batch.From)
	}
	for _, msg := range batch.Messages {
		m.deliver(ctx, batch.From, msg)
	}
}

// deliver hands one message on: an answer to who asked, anything else to the
// handler. The caller holds delivering.
func (m *Member) deliver(ctx context.Context, from string, msg *clusterv1.Message) {
	if p := msg.GetPresence(); p != nil {
		m.c.epochs.observe(p.Epoch)
	}
	switch {
	case msg.GetAnswer() != 0:
		m.asks.answer(msg)
	case msg.GetKind() == nil:
		m.metrics.dropped.Add(ctx, 1, m.metrics.unknown)
	default:
		m.handler.Deliver(ctx, from, msg)
	}
	m.handled.Add(counts(msg))
}

// missing tells the handler that a batch of peer is missing.
func (m *Member) missing(ctx context.Context, peer string) {
	m.metrics.gaps.Add(ctx, 1, m.metrics.labels)
	m.resync(ctx, ResyncGap, peer)
}

// resync tells the handler, and counts.
func (m *Member) resync(ctx context.Context, reason, peer string) {
	m.metrics.resyncs.Add(ctx, 1, m.metrics.reasons[reason])
	m.handler.Resync(reason, peer)
}
