package load

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies are kept in nanoseconds, to three digits, from a microsecond up to
// what no run waits for.
const (
	leastLatency = 1_000
	mostLatency  = 1_000_000_000_000
)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(leastLatency, mostLatency, 3) }

// tally counts what becomes of one kind of operation.
type tally struct {
	run  *run
	name string
	// All since the start; the window is between two readings.
	operations, deliveries atomic.Int64
	// enough is closed with the operation of number goal, unless that is 0.
	goal    atomic.Int64
	reached sync.Once
	enough  chan struct{}

	mu sync.Mutex
	// latency and delivery are of operations that were due within the window:
	// until they were done, and until each of those whom they concern knew.
	latency, delivery *hdrhistogram.Histogram
	// second is of all operations since the last tick, all of the whole run.
	second, all *hdrhistogram.Histogram
}

func newTally(r *run, name string) *tally {
	return &tally{
		run: r, name: name, enough: make(chan struct{}),
		latency: newHistogram(), delivery: newHistogram(), second: newHistogram(), all: newHistogram(),
	}
}

// done counts an operation that is over.
func (t *tally) done(due, at int64) {
	if n, goal := t.operations.Add(1), t.goal.Load(); goal > 0 && n >= goal {
		t.reached.Do(func() { close(t.enough) })
	}
	t.mu.Lock()
	record(t.second, at-due)
	record(t.all, at-due)
	if t.run.within(due) {
		record(t.latency, at-due)
	}
	t.mu.Unlock()
}

// delivered counts one line that was caused by an operation.
func (t *tally) delivered(due, at int64) {
	t.deliveries.Add(1)
	if t.run.within(due) {
		t.mu.Lock()
		record(t.delivery, at-due)
		t.mu.Unlock()
	}
}

// never notes an operation that was not done by the end of the run: the
// latency that it has had so far keeps the figures from being flattered.
func (t *tally) never(due, at int64) {
	t.mu.Lock()
	record(t.latency, at-due)
	t.mu.Unlock()
}

func record(h *hdrhistogram.Histogram, d int64) {
	_ = h.RecordValue(min(max(d, leastLatency), mostLatency)) // within its bounds
}

// faults counts what must not be. The zero value is ready.
type faults struct {
	lost, doubled, changed, outOfOrder, late atomic.Int64

	mu       sync.Mutex
	errors   map[string]int64
	examples []string
}

// maxExamples is how many faults are told in words.
const maxExamples = 20

// error counts a fault of a kind, which is a short word or two.
func (f *faults) error(kind string, n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.errors == nil {
		f.errors = make(map[string]int64)
	}
	f.errors[kind] += n
}

// seen counts a fault and tells of it, if it is among the first.
func (f *faults) seen(counter *atomic.Int64, format string, args ...any) {
	counter.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.examples) < maxExamples {
		f.examples = append(f.examples, fmt.Sprintf(format, args...))
	}
}

// sum is how many errors there were, of all kinds.
func (f *faults) sum() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	var n int64
	for _, k := range f.errors {
		n += k
	}
	return n
}
