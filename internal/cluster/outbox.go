package cluster

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

const (
	// maxMessage bounds one message. The largest is a presence with some
	// thousands of recipients on one node.
	maxMessage = 1 << 20
	// batchBytes is where a batch ends and the next begins.
	batchBytes = 256 << 10
	// roundBytes bounds one pipeline.
	roundBytes = 4 << 20
	// outboxBytes bounds all queues of a node together.
	outboxBytes = 64 << 20
)

var (
	errFull  = errors.New("queue is full")
	errLarge = errors.New("message is too large")
	errStale = errors.New("message waited too long for redis")
	errEnded = errors.New("node has left the cluster")
)

// outbox takes messages from anybody, to be published.
//
// One pipeline is under way at a time, to each server. What gathers meanwhile
// leaves with the next as one batch for each destination: when idle a message
// leaves at once, under load Redis sees far fewer operations than there are
// messages.
//
// Every batch to a destination has the next number, and keeps it when it has to
// be tried again, so the receiver can tell a repetition from news. Messages
// that are dropped use up a number too: the receiver finds it missing, at the
// next batch or through the beat, and resyncs.
type outbox struct {
	limit int           // bytes queued for one destination
	hold  time.Duration // that a message may be old when it is published
	wake  chan struct{}

	mu     sync.Mutex
	from   string // node id of the sender
	queues map[string]*queue
	ready  []*queue // those with something to send, in the order they got it
	bytes  int
	period uint64         // counts calls of flush
	open   map[uint64]int // messages under way, by the period they were put in
	moved  chan struct{}  // if somebody waits: closed when open changes
	closed bool

	flushing int              // calls of flush under way
	missed   map[uint64]error // why something was dropped, by the period it was put in
}

// queue is what waits for one destination.
type queue struct {
	to       string
	items    []item
	bytes    int    // of items and of those under way
	sequence uint64 // of the last batch
	settled  uint64 // of the last batch that is published or given up
	underWay int    // batches that are neither
	dropped  bool   // since the last batch
}

type item struct {
	msg    *clusterv1.Message
	wire   []byte // msg as an element of Batch.messages
	ask    *asked // if somebody waits for the answer
	queue  *queue
	period uint64
	at     time.Time
}

// batch is one publish.
type batch struct {
	from, to string
	sequence uint64
	items    []item
	payload  []byte
}

func newOutbox(from string, limit int, hold time.Duration) *outbox {
	return &outbox{
		from:   from,
		limit:  limit,
		hold:   hold,
		wake:   make(chan struct{}, 1),
		queues: make(map[string]*queue),
		open:   make(map[uint64]int),
		missed: make(map[uint64]error),
	}
}

// put queues a message. It returns an error, for the log and for who asked, if
// the message was dropped instead.
func (o *outbox) put(to string, msg *clusterv1.Message, ask *asked) error {
	wire, err := appendMessage(nil, msg)
	o.mu.Lock()
	defer o.mu.Unlock()
	it := item{msg: msg, wire: wire, ask: ask, period: o.period, at: time.Now()}
	if err == nil {
		err = o.enqueue(to, it)
	}
	if err != nil {
		o.miss(it, err)
	}
	return err
}

// enqueue puts a message behind the others. The caller holds mu.
func (o *outbox) enqueue(to string, it item) error {
	size := len(it.wire)
	if size > maxMessage {
		return errLarge
	}
	if o.closed {
		return errEnded
	}
	q := o.queues[to]
	if q == nil {
		q = &queue{to: to}
		o.queues[to] = q
	}
	if q.bytes+size > o.limit || o.bytes+size > outboxBytes {
		q.dropped = true
		q.report()
		return errFull
	}
	if len(q.items) == 0 {
		o.ready = append(o.ready, q)
	}
	it.queue = q
	q.items = append(q.items, it)
	q.bytes += size
	o.bytes += size
	o.open[it.period]++
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return nil
}

// waiting lists the destinations that have something to send, in the order in
// which they got it. One that has a batch under way is left out: its next must
// not overtake that.
func (o *outbox) waiting() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	to := make([]string, 0, len(o.ready))
	for _, q := range o.ready {
		if q.underWay == 0 {
			to = append(to, q.to)
		}
	}
	return to
}

// take cuts the next round of batches for some destinations. stale are messages
// that waited too long for Redis, or whose asker has gone.
func (o *outbox) take(destinations []string) (round []*batch, stale []item) {
	o.mu.Lock()
	defer o.mu.Unlock()
	size := 0
	for _, to := range destinations {
		q := o.queues[to]
		if q == nil {
			continue // restarted meanwhile
		}
		for len(q.items) > 0 && size < roundBytes {
			b, late := o.cut(q)
			stale = append(stale, late...)
			if b == nil {
				continue
			}
			size += len(b.payload)
			round = append(round, b)
		}
	}
	o.ready = slices.DeleteFunc(o.ready, func(q *queue) bool { return len(q.items) == 0 })
	return round, stale
}

// cut takes the next batch off a queue; nil if nothing is left but what is
// stale. The caller holds mu.
func (o *outbox) cut(q *queue) (b *batch, stale []item) {
	b = &batch{from: o.from, to: q.to}
	bytes := 0
	for len(q.items) > 0 {
		it := q.items[0]
		if gone := it.ask != nil && it.ask.left.Load(); gone || o.stale(it) {
			stale = append(stale, it)
			q.dropped = q.dropped || !gone
		} else if len(b.items) > 0 && bytes+len(it.wire) > batchBytes {
			break
		} else {
			b.items = append(b.items, it)
			bytes += len(it.wire)
		}
		q.items[0] = item{}
		q.items = q.items[1:]
	}
	if len(q.items) == 0 {
		q.items = nil
	}
	if len(b.items) == 0 {
		q.report()
		return nil, stale
	}
	q.skip()
	q.sequence++
	q.underWay++
	b.sequence = q.sequence
	b.payload = appendBatch(make([]byte, 0, bytes+64), b.from, b.sequence, b.items)
	return b, stale
}

// stale reports whether a message is too old to be published.
func (o *outbox) stale(it item) bool { return time.Since(it.at) > o.hold }

// skip uses up a number for what was dropped since the last batch.
func (q *queue) skip() {
	if q.dropped {
		q.sequence++
		q.dropped = false
	}
}

// report makes a drop part of what the beat tells, if no batch is to follow by
// which the receiver would notice.
func (q *queue) report() {
	if q.dropped && len(q.items) == 0 && q.settled == q.sequence {
		q.skip()
		q.settled = q.sequence
	}
}

// settle notes a batch that is published or given up.
func (o *outbox) settle(b *batch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b.items[0].queue.underWay--
	if q := o.queues[b.to]; q != nil && b.from == o.from {
		q.settled = max(q.settled, b.sequence)
		q.report()
	}
	o.done(b.items)
}

// discard notes messages that take part no more.
func (o *outbox) discard(items []item) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.done(items)
}

// done lets go of messages. The caller holds mu.
func (o *outbox) done(items []item) {
	for _, it := range items {
		it.queue.bytes -= len(it.wire)
		o.bytes -= len(it.wire)
		if o.open[it.period]--; o.open[it.period] == 0 {
			delete(o.open, it.period)
		}
	}
	if o.moved != nil {
		close(o.moved)
		o.moved = nil
	}
}

// drop notes messages that are not published, for why.
func (o *outbox) drop(items []item, why error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, it := range items {
		o.miss(it, why)
	}
}

// miss lets flush know of a message that was dropped. Who asks is told
// otherwise. The caller holds mu.
func (o *outbox) miss(it item, why error) {
	if it.ask == nil {
		o.missed[it.period] = why
	}
}

// flush waits until everything put so far is published or given up. It returns
// an error if something was given up that was put since the last flush, or
// before it and was still under way.
func (o *outbox) flush(ctx context.Context) error {
	o.mu.Lock()
	until := o.period
	since := until
	for period := range o.open {
		since = min(since, period)
	}
	o.period++
	o.flushing++
	o.mu.Unlock()
	defer o.flushed()
	for {
		moved := o.under(until)
		if moved == nil {
			return unavailable("publish", o.loss(since, until))
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// loss returns why something was dropped within some periods, or nil.
func (o *outbox) loss(since, until uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for period, why := range o.missed {
		if since <= period && period <= until {
			return why
		}
	}
	return nil
}

// flushed forgets what was dropped once nobody waits who may ask for it.
func (o *outbox) flushed() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.flushing--; o.flushing == 0 {
		maps.DeleteFunc(o.missed, func(period uint64, _ error) bool { return period < o.period })
	}
}

// under returns nil if nothing of the periods up to the given one is under way,
// and else what is closed when that may have changed.
func (o *outbox) under(until uint64) <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	for period := range o.open {
		if period <= until {
			if o.moved == nil {
				o.moved = make(chan struct{})
			}
			return o.moved
		}
	}
	return nil
}

// settled returns the last number settled for each destination, for the beat.
func (o *outbox) settled() map[string]uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	sent := make(map[string]uint64, len(o.queues))
	for to, q := range o.queues {
		if q.settled > 0 {
			sent[to] = q.settled
		}
	}
	return sent
}

// restart numbers the batches from 1 again, under a new id of the sender.
func (o *outbox) restart(from string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.from == from {
		return
	}
	o.from = from
	for to, q := range o.queues {
		if len(q.items) == 0 {
			delete(o.queues, to)
			continue
		}
		q.sequence, q.settled = 0, 0
	}
}

// destinations lists the nodes that something was sent to.
func (o *outbox) destinations() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	ids := make([]string, 0, len(o.queues))
	for id := range o.queues {
		ids = append(ids, id)
	}
	return ids
}

// forget drops what is known of a destination that is gone, unless there is
// something to send.
func (o *outbox) forget(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if q := o.queues[id]; q != nil && len(q.items) == 0 {
		delete(o.queues, id)
	}
}

// queued returns the bytes that wait or are under way.
func (o *outbox) queued() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes
}

// end refuses what comes from now on and returns what was never published.
func (o *outbox) end() []item {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	var left []item
	for _, q := range o.ready {
		left = append(left, q.items...)
		q.items = nil
	}
	o.ready = nil
	for _, it := range left {
		o.miss(it, errEnded)
	}
	o.done(left)
	return left
}

// appendMessage appends msg as one element of Batch.messages. Encoding a
// message where it is sent bounds a queue by what it will put on the wire, and
// keeps one that cannot be encoded out of everybody else's batch.
func appendMessage(b []byte, msg *clusterv1.Message) ([]byte, error) {
	opt := proto.MarshalOptions{}
	b = protowire.AppendTag(b, batchMessages, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(opt.Size(msg)))
	return opt.MarshalAppend(b, msg)
}

// Field numbers of clusterv1.Batch.
const (
	batchFrom     = 1
	batchSequence = 2
	batchMessages = 3
)

// appendBatch appends a clusterv1.Batch of messages that are encoded already.
func appendBatch(b []byte, from string, sequence uint64, items []item) []byte {
	b = protowire.AppendTag(b, batchFrom, protowire.BytesType)
	b = protowire.AppendString(b, from)
	b = protowire.AppendTag(b, batchSequence, protowire.VarintType)
	b = protowire.AppendVarint(b, sequence)
	for _, it := range items {
		b = append(b, it.wire...)
	}
	return b
}
