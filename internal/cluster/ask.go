package cluster

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// asks are the questions that wait for an answer.
type asks struct {
	mu      sync.Mutex
	last    uint64
	waiting map[uint64]*asked
}

// asked is one of them.
type asked struct {
	number uint64
	once   sync.Once
	ended  chan struct{}
	reply  *clusterv1.Message
	err    error
	left   atomic.Bool // the asker waits no more
}

// end completes the question; the first call counts.
func (a *asked) end(reply *clusterv1.Message, err error) {
	a.once.Do(func() {
		a.reply, a.err = reply, err
		close(a.ended)
	})
}

func (q *asks) open() *asked {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last++
	a := &asked{number: q.last, ended: make(chan struct{})}
	if q.waiting == nil {
		q.waiting = make(map[uint64]*asked)
	}
	q.waiting[a.number] = a
	return a
}

func (q *asks) close(a *asked) {
	a.left.Store(true)
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.waiting, a.number)
}

// answer hands an answer to who asked, if anybody still waits.
func (q *asks) answer(reply *clusterv1.Message) {
	q.mu.Lock()
	a := q.waiting[reply.Answer]
	q.mu.Unlock()
	if a != nil {
		a.end(reply, nil)
	}
}

// Ask sends a message and waits for the answer. It returns [ErrNobody] as soon
// as it is known that nobody hears that inbox, [ErrUnavailable] if the message
// had to be dropped, and the context's error when that ends; give it a deadline.
// Ask fills in msg.Ask. Do not call it from a Handler.
func (m *Member) Ask(ctx context.Context, to string, msg *clusterv1.Message) (*clusterv1.Message, error) {
	a := m.asks.open()
	defer m.asks.close(a)
	msg.Ask = a.number
	m.send(to, msg, a)
	select {
	case <-a.ended:
	case <-ctx.Done():
		a.end(nil, ctx.Err())
	case <-m.ended:
		a.end(nil, unavailable("ask", errEnded))
	}
	if <-a.ended; a.err != nil {
		return nil, fmt.Errorf("ask node %s: %w", to, a.err)
	}
	return a.reply, nil
}

// Answer answers an ask that Deliver brought: to and ask are its from and
// m.Ask. It fills in msg.Answer and sends.
func (m *Member) Answer(to string, ask uint64, msg *clusterv1.Message) {
	msg.Answer = ask
	m.send(to, msg, nil)
}
