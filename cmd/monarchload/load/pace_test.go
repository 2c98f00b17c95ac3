package load

import (
	"context"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// worker is a job that the test finishes.
type worker struct {
	begun chan int64 // when each was due
	gone  bool
}

func (w *worker) begin(due int64) bool {
	if w.gone {
		return false
	}
	w.begun <- due
	return true
}

// At a rate, an operation that finds nobody free is begun as soon as somebody
// is, and still counts from when it was due: a server that stands still for ten
// milliseconds makes ten operations slow, and not one.
func TestLatencyCountsFromWhenAnOperationWasDue(t *testing.T) {
	r := newRun(Config{})
	w := &worker{begun: make(chan int64, 1)}
	p := newPacer(r.statuses, 1000, 0, []job{w})
	begin := r.now()
	until := begin + int64(10*time.Millisecond)
	p.until.Store(until)
	r.until.Store(until)
	r.from.Store(begin)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.run(t.Context(), begin)
	}()
	stop := make(chan struct{})
	var due []int64
	for range 10 {
		at := <-w.begun
		due = append(due, (at-begin)/int64(time.Millisecond))
		// The server stands still until all are due and the run is over.
		if len(due) == 1 {
			for r.now() < until {
				runtime.Gosched()
			}
			go func() {
				defer close(stop)
				p.stop(until, time.Minute)
			}()
		}
		r.statuses.done(at, begin+int64(20*time.Millisecond))
		p.done(w)
	}
	<-done
	<-stop
	if want := []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}; !slices.Equal(due, want) {
		t.Errorf("want operations due at %v ms, got %v", want, due)
	}
	got := latencyOf(r.statuses.latency)
	for _, tt := range []struct {
		name      string
		want, got float64
	}{{"p50", 0.015, got.P50}, {"max", 0.020, got.Max}, {"mean", 0.0155, got.Mean}} {
		if tt.got < tt.want*0.999 || tt.got > tt.want*1.001 {
			t.Errorf("want %s %g, got %g", tt.name, tt.want, tt.got)
		}
	}
}

// What was due and is not begun by the end counts, with the time it has waited.
func TestOperationsThatAreNeverBegunCount(t *testing.T) {
	r := newRun(Config{})
	p := newPacer(r.statuses, 1000, 0, nil)
	begin := r.now() - int64(50*time.Millisecond)
	until := begin + int64(50*time.Millisecond)
	r.until.Store(until)
	r.from.Store(begin)
	p.stop(until, time.Minute) // Nothing is under way, and nobody will come.
	p.run(t.Context(), begin)
	if got := r.faults.errors["status: not begun"]; got != 50 {
		t.Errorf("want 50 operations not begun, got %d", got)
	}
	if got := r.statuses.latency.TotalCount(); got != 50 {
		t.Errorf("want 50 latencies, got %d", got)
	}
}

func TestSoManyAreUnderWay(t *testing.T) {
	r := newRun(Config{})
	workers := make([]*worker, 5)
	p := newPacer(r.statuses, 0, 3, nil)
	begun := make(chan int64, 16)
	for i := range workers {
		workers[i] = &worker{begun: begun}
		p.push(workers[i])
	}
	p.fill()
	if len(begun) != 3 {
		t.Fatalf("want 3 begun, got %d", len(begun))
	}
	p.done(workers[0])
	if len(begun) != 4 {
		t.Errorf("one is done: want 4 begun, got %d", len(begun))
	}
	workers[4].gone = true
	p.done(workers[1]) // The fifth can do nothing: the first is next.
	if len(begun) != 5 || p.running != 3 || p.n != 1 {
		t.Errorf("want 5 begun, 3 of them under way and one free, got %d, %d, %d", len(begun), p.running, p.n)
	}
	p.stop(0, 0) // Waits for nobody.
	for range 3 {
		select {
		case <-p.over:
			t.Error("something is under way, and all is over")
		default:
		}
		p.done(workers[2])
	}
	<-p.over
	if len(begun) != 5 {
		t.Errorf("want nothing begun behind the end, got %d in all", len(begun))
	}
}

func TestJobsThatComeOnceAreExhausted(t *testing.T) {
	r := newRun(Config{})
	for _, rate := range []float64{0, 100_000} {
		begun := make(chan int64, 3)
		p := newPacer(r.logins, rate, 1, nil)
		for range 3 {
			p.push(&worker{begun: begun})
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 3 {
				<-begun
				p.dropped()
			}
		}()
		begin := r.now()
		p.until.Store(begin + int64(25*time.Microsecond))
		p.fill()
		p.run(t.Context(), begin)
		if err := p.exhaust(t.Context()); err != nil {
			t.Error(err)
		}
		<-done
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := newPacer(r.logins, 0, 0, []job{&worker{}})
	if err := p.exhaust(ctx); err == nil {
		t.Error("want an error: nobody will do anything")
	}
}

// A refusal comes sooner than a login would: were it a latency, a network that
// refuses everybody would look fast. What ran out of time is one.
func TestRefusedLoginsHaveNoLatency(t *testing.T) {
	r := newRun(Config{})
	r.from.Store(0)
	for _, tt := range []struct {
		err  error
		want int64
	}{
		{codeError("911"), 0},
		{io.EOF, 0},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, 0},
		{os.ErrDeadlineExceeded, 1},
	} {
		before := r.logins.latency.TotalCount()
		r.logins.failed(0, 1, tt.err)
		if got := r.logins.latency.TotalCount() - before; got != tt.want {
			t.Errorf("%v: want %d latencies, got %d", tt.err, tt.want, got)
		}
	}
	if got := r.faults.sum(); got != 4 {
		t.Errorf("want 4 errors, got %d", got)
	}
}

// Where no server is there a login is followed by a pause, ever longer up to
// a bound, but not one that a server has refused, nor at a rate.
func TestLoginsRestWhereNoServerIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRun(Config{})
		refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		j := &loginJob{pacer: newPacer(r.logins, 0, 1, nil)}
		for _, tt := range []struct {
			err  error
			want time.Duration
		}{
			{refused, firstPause},
			{io.EOF, 2 * firstPause},
			{codeError("911"), 0},
			{refused, firstPause},
			{refused, 2 * firstPause},
			{refused, 4 * firstPause},
			{refused, 8 * firstPause},
			{refused, 16 * firstPause},
			{refused, lastPause},
			{refused, lastPause},
		} {
			before := time.Now()
			j.rest(tt.err)
			if got := time.Since(before); got != tt.want {
				t.Errorf("%v: want a pause of %s, got %s", tt.err, tt.want, got)
			}
		}
		paced := &loginJob{pacer: newPacer(r.logins, 10, 0, nil)}
		before := time.Now()
		paced.rest(refused)
		j.pacer.stop(0, 0)
		j.rest(refused) // The end of the run ends the pause.
		if got := time.Since(before); got != 0 {
			t.Errorf("want no pause at a rate or behind the end, got %s", got)
		}
	})
}
