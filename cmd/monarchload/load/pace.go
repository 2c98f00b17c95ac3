package load

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// job is somebody who can do one operation at a time.
type job interface {
	// begin begins one that was due then. Its end is told by pacer.done, from
	// any goroutine. False means that this job can do nothing any more.
	begin(due int64) bool
}

// pacer begins operations: at a rate, or so many at a time. Who has been idle
// for longest comes first.
//
// At a rate, operations are due at fixed times, whether or not somebody is
// free; one that finds nobody waits, and its latency counts from when it was
// due. A server that stands still is so held to account for all that it kept
// waiting.
type pacer struct {
	tally    *tally
	rate     float64 // operations a second; 0 for so many at a time
	underWay int
	share    float64      // of all operations of the run
	until    atomic.Int64 // what is due later is not begun

	mu      sync.Mutex
	free    []job // a ring
	head, n int
	running int
	ended   bool          // nothing is begun any more
	changed chan struct{} // has an element when something has come free, or ended
	stopped chan struct{} // closed at the end
	over    chan struct{} // closed once nothing is under way behind it
	late    chan struct{} // closed when not even what is under way is waited for
}

func newPacer(t *tally, rate float64, underWay int, jobs []job) *pacer {
	p := &pacer{
		tally: t, rate: rate, underWay: underWay, share: 1, free: jobs, n: len(jobs),
		changed: make(chan struct{}, 1), stopped: make(chan struct{}), over: make(chan struct{}), late: make(chan struct{}),
	}
	p.until.Store(math.MaxInt64)
	return p
}

// run begins operations at the rate, from the time begin on, until there are
// enough, or ctx is done, and returns when none is begun any more. In a closed
// loop there is nothing to do for it.
func (p *pacer) run(ctx context.Context, begin int64) {
	if p.rate == 0 {
		return
	}
	// What is due is under way, so to speak, until it was begun.
	p.mu.Lock()
	p.running++
	p.mu.Unlock()
	defer p.dropped()
	bell := newAlarm()
	defer bell.close()
	for k := 0; ; k++ {
		due := begin + int64(float64(k)/p.rate*1e9)
		if !p.await(ctx, bell, due) {
			return
		}
		for {
			j := p.take(ctx)
			if j == nil {
				p.abandon(due, begin, k)
				return
			}
			if j.begin(due) {
				break
			}
			p.dropped()
		}
	}
}

// aSleep is how long nobody is woken who sleeps.
const aSleep = 10 * time.Millisecond

// await waits until something is due. It returns false if it will not be begun.
func (p *pacer) await(ctx context.Context, bell alarm, due int64) bool {
	if d := time.Duration(due - p.tally.run.now()); d > aSleep {
		t := time.NewTimer(d - aSleep/2)
		defer t.Stop()
		select {
		case <-t.C:
		case <-p.stopped: // Whatever is due from now on is after the end.
			return false
		case <-ctx.Done():
			return false
		}
	}
	if d := time.Duration(due - p.tally.run.now()); d > 0 {
		bell.sleep(d)
	}
	return due < p.until.Load() && ctx.Err() == nil
}

// exhaust returns once all jobs have done their operation, none of which comes
// free again, or ctx is done.
func (p *pacer) exhaust(ctx context.Context) error {
	for {
		p.mu.Lock()
		over := p.n == 0 && p.running == 0
		p.mu.Unlock()
		if over {
			return nil
		}
		select {
		case <-p.changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take waits for a job that is free. It returns nil if there will be none in
// time.
func (p *pacer) take(ctx context.Context) job {
	for {
		p.mu.Lock()
		if p.n > 0 {
			j := p.pop()
			p.running++
			p.mu.Unlock()
			return j
		}
		p.mu.Unlock()
		select {
		case <-p.changed:
		case <-p.late:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// abandon notes the operations from the k-th on, which were due and for which
// nobody came free.
func (p *pacer) abandon(due, begin int64, k int) {
	r := p.tally.run
	now := min(r.now(), p.until.Load())
	var n int64
	for ; due < now; k++ {
		if r.within(due) {
			p.tally.never(due, r.now())
			n++
		}
		due = begin + int64(float64(k+1)/p.rate*1e9)
	}
	if n > 0 {
		r.faults.error(p.tally.name+": not begun", n)
	}
}

// fill begins as many operations as may be under way, in a closed loop, which
// goes on by itself from there.
func (p *pacer) fill() {
	for {
		p.mu.Lock()
		if p.rate != 0 || p.ended || p.n == 0 || p.running >= p.underWay {
			p.mu.Unlock()
			return
		}
		j := p.pop()
		p.running++
		p.mu.Unlock()
		if !j.begin(p.tally.run.now()) {
			p.dropped()
		}
	}
}

// done is told that a job has finished its operation, and is free again.
func (p *pacer) done(j job) {
	p.mu.Lock()
	p.running--
	p.push(j)
	p.mu.Unlock()
	p.fill()
}

// dropped is told that an operation is over whose job does nothing any more,
// or not yet.
func (p *pacer) dropped() {
	p.mu.Lock()
	p.running--
	p.signal()
	p.mu.Unlock()
	p.fill()
}

// release is told that a job is free again.
func (p *pacer) release(j job) {
	p.mu.Lock()
	p.push(j)
	p.mu.Unlock()
	p.fill()
}

// stop lets nothing be begun any more but what was due before until, and
// returns when everything is over, or has not been for so long.
func (p *pacer) stop(until int64, patience time.Duration) {
	p.until.Store(min(until, p.until.Load()))
	p.mu.Lock()
	p.ended = true
	close(p.stopped)
	p.signal()
	p.mu.Unlock()
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-p.over:
	case <-t.C:
	}
	close(p.late)
}

func (p *pacer) push(j job) {
	if p.n == len(p.free) {
		free := make([]job, max(2*p.n, 16))
		for i := range p.n {
			free[i] = p.free[(p.head+i)%len(p.free)]
		}
		p.free, p.head = free, 0
	}
	p.free[(p.head+p.n)%len(p.free)] = j
	p.n++
	p.signal()
}

func (p *pacer) pop() job {
	j := p.free[p.head]
	p.free[p.head] = nil
	p.head = (p.head + 1) % len(p.free)
	p.n--
	return j
}

// signal wakes whoever waits. The caller holds mu.
func (p *pacer) signal() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
	if p.ended && p.running == 0 {
		select {
		case <-p.over:
		default:
			close(p.over)
		}
	}
}
