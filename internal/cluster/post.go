package cluster

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"
)

// post publishes what the outbox holds until ctx ends, one round at a time.
func (m *Member) post(ctx context.Context) {
	if m.c.sharded {
		m.postSharded(ctx)
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.out.wake:
		}
		for to := m.out.waiting(); len(to) > 0 && ctx.Err() == nil; to = m.out.waiting() {
			m.postRound(ctx, m.round(ctx, to))
		}
	}
}

// postSharded is post for Redis Cluster: one round at a time on each server, so
// that one that does not answer holds up the destinations that it has, and no
// others.
func (m *Member) postSharded(ctx context.Context) {
	var (
		posting sync.WaitGroup
		busy    = make(map[any]bool) // servers with a round under way
		free    = make(chan any)
	)
	defer posting.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.out.wake:
		case server := <-free:
			delete(busy, server)
		}
		ready := make(map[any][]string)
		for _, to := range m.out.waiting() {
			if server := m.c.shard(ctx, m.c.keys.inbox(to)); !busy[server] {
				ready[server] = append(ready[server], to)
			}
		}
		for server, to := range ready {
			round := m.round(ctx, to)
			if len(round) == 0 {
				continue
			}
			busy[server] = true
			posting.Go(func() {
				m.postRound(ctx, round)
				select {
				case free <- server:
				case <-ctx.Done():
				}
			})
		}
	}
}

// round takes the next round for some destinations out of the outbox.
func (m *Member) round(ctx context.Context, to []string) []*batch {
	round, stale := m.out.take(to)
	if len(stale) > 0 {
		m.giveUp(ctx, m.out, stale)
		m.out.discard(stale)
	}
	return round
}

// postRound publishes a round of batches. While Redis is away it tries again
// until they are too old.
func (m *Member) postRound(ctx context.Context, round []*batch) {
	var wait backoff
	for len(round) > 0 {
		var again []*batch
		reached, errs := m.publish(ctx, round)
		for i, b := range round {
			switch {
			case errs[i] == nil:
				m.posted(ctx, b, reached[i])
			case ctx.Err() != nil || m.out.stale(b.items[0]):
				m.giveUp(ctx, m.out, b.items)
				m.out.settle(b)
			default:
				again = append(again, b)
			}
		}
		if len(again) > 0 {
			m.log.Debug("publish again", "batches", len(again))
			wait.sleep(ctx)
		}
		round = again
	}
}

// publish sends batches in one pipeline and returns, for each, the number of
// subscribers that it reached, or an error. After an error a batch may have been
// published all the same, so it keeps its number.
func (m *Member) publish(ctx context.Context, round []*batch) (reached []int64, errs []error) {
	ctx, cancel := m.c.bound(ctx)
	defer cancel()
	channels := make([]string, len(round))
	for i, b := range round {
		channels[i] = m.c.keys.inbox(b.to)
	}
	replies := make([]*redis.IntCmd, len(round))
	m.c.pipeline(ctx, channels, func(pipe redis.Pipeliner, i int) {
		replies[i] = m.c.publish(ctx, pipe, channels[i], round[i].payload)
	})
	for _, reply := range replies {
		n, err := reply.Result()
		reached = append(reached, n)
		errs = append(errs, err)
	}
	return reached, errs
}

// posted handles a batch that Redis took.
func (m *Member) posted(ctx context.Context, b *batch, reached int64) {
	m.metrics.sent.Add(ctx, 1, m.metrics.labels)
	if reached == 0 {
		m.metrics.undelivered.Add(ctx, int64(len(b.items)), m.metrics.labels)
		for _, it := range b.items {
			m.uncount(it.msg)
			if it.ask != nil {
				it.ask.end(nil, ErrNobody)
			} else {
				m.handler.Undelivered(b.to, it.msg)
			}
		}
	}
	m.out.settle(b)
}

// giveUp handles messages of an outbox that will not be published.
func (m *Member) giveUp(ctx context.Context, from *outbox, items []item) {
	from.drop(items, errStale)
	for _, it := range items {
		m.lose(ctx, it, errStale)
	}
}

// lose handles one message that is dropped.
func (m *Member) lose(ctx context.Context, it item, why error) {
	m.metrics.dropped.Add(ctx, 1, m.metrics.loss(why))
	m.uncount(it.msg)
	if it.ask != nil {
		it.ask.end(nil, unavailable("ask", why))
	}
}

// loop delivers the messages of the node to itself until ctx ends.
func (m *Member) loop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.local.wake:
		}
		for ctx.Err() == nil {
			round, stale := m.local.take(m.local.waiting())
			m.giveUp(ctx, m.local, stale)
			m.local.discard(stale)
			if len(round) == 0 {
				break
			}
			for _, b := range round {
				m.delivering.Lock()
				for _, it := range b.items {
					m.deliver(ctx, b.to, it.msg)
				}
				m.delivering.Unlock()
				m.local.settle(b)
			}
		}
	}
}
