package load

import (
	"context"
	"math"
	"sync"
	"time"
)

// A Second is what was seen within one second of a run.
type Second struct {
	At         float64 // seconds since the run began
	Clients    int64   // online
	Logins     int64
	Operations int64
	Deliveries int64
	Latency    Latency // of operations that were done
	Errors     int64   // up to now, of all kinds, and whatever was lost, doubled, changed or out of order
}

// series collects the seconds.
type series struct {
	mu      sync.Mutex
	seconds []Second
}

func (s *series) all() []Second {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seconds
}

// tick looks each second what is overdue, and what has been done.
func (r *run) tick(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	var before Second
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		r.sweep(int64(r.cfg.Deadline))
		now := r.second()
		s := now
		s.Logins -= before.Logins
		s.Operations -= before.Operations
		s.Deliveries -= before.Deliveries
		before = now
		r.series.mu.Lock()
		r.series.seconds = append(r.series.seconds, s)
		r.series.mu.Unlock()
		if r.cfg.Progress != nil {
			r.cfg.Progress(s)
		}
	}
}

// second reads the counters, and the latencies since it did so last.
func (r *run) second() Second {
	f := &r.faults
	s := Second{
		At: float64(r.now()) / 1e9, Clients: r.online.Load(), Logins: r.logins.operations.Load(),
		Errors: f.sum() + f.lost.Load() + f.doubled.Load() + f.changed.Load() + f.outOfOrder.Load(),
	}
	h := newHistogram()
	for _, t := range []*tally{r.logins, r.statuses, r.edits, r.messages} {
		if t == r.logins && r.cfg.Mode != Login && r.cfg.Mode != Mixed {
			continue
		}
		s.Operations += t.operations.Load()
		s.Deliveries += t.deliveries.Load()
		t.mu.Lock()
		h.Merge(t.second)
		t.second.Reset()
		t.mu.Unlock()
	}
	s.Latency = latencyOf(h)
	return s
}

// grace is how long somebody of whom was said that they are offline may take to
// notice.
const grace = time.Second

// sweep gives up what was begun longer ago than that.
func (r *run) sweep(age int64) {
	at := r.now()
	r.farewells.check(at - int64(grace))
	for _, c := range r.clients {
		c.overdue(at-age, at)
		if e := c.edit.Load(); e != nil {
			e.overdue(at-age, at)
		}
	}
	for _, m := range r.opened() {
		for _, one := range m.members {
			for i := range one.slots {
				one.slots[i].overdue(at-age, at)
			}
		}
	}
}

// opened are the rooms once all of them are there.
func (r *run) opened() []*room {
	if rooms := r.talk.Load(); rooms != nil {
		return *rooms
	}
	return nil
}

// settleUp gives up whatever is still under way at the end.
func (r *run) settleUp() {
	r.sweep(0)
	for until := r.now() + int64(grace); r.farewells.check(0) > 0 && r.now() < until; {
		time.Sleep(10 * time.Millisecond)
	}
	r.farewells.check(math.MaxInt64)
}

// leave logs everybody out, and returns when all connections have ended.
func (r *run) leave() {
	for _, c := range r.clients {
		c.steady.Store(false)
	}
	r.leaving.Store(true)
	for _, m := range r.opened() {
		for _, one := range m.members {
			one.hangUp()
		}
	}
	for _, c := range r.clients {
		c.logout()
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.connections.Wait()
	}()
	t := time.NewTimer(5 * time.Second)
	defer t.Stop()
	select {
	case <-ended:
		return
	case <-t.C:
	}
	for _, c := range r.clients {
		c.mu.Lock()
		if c.conn != nil {
			c.conn.close()
		}
		c.mu.Unlock()
	}
	<-ended
}
