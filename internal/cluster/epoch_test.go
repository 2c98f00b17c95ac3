package cluster

import (
	"testing"
	"time"
)

func TestEpochsGrow(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := begin
	e := epochs{clock: func() time.Time { return now }}
	if got := e.next(0); got != 1 {
		t.Errorf("without a clock: %d, want 1", got)
	}

	// Redis's clock counts, taken in the middle between question and answer.
	told := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	e.measure(told, begin, begin.Add(2*time.Second))
	now = begin.Add(time.Second)
	if got, want := e.next(0), uint64(told.UnixMicro()); got != want {
		t.Errorf("by the clock: %d, want %d", got, want)
	}
	now = begin.Add(3 * time.Second)
	last := e.next(0)
	if want := uint64(told.Add(2 * time.Second).UnixMicro()); last != want {
		t.Errorf("two seconds later: %d, want %d", last, want)
	}
	if got := e.next(0); got != last+1 {
		t.Errorf("at the same time: %d, want %d", got, last+1)
	}

	// A failover to a clock that is behind, or before 1970.
	for _, behind := range []time.Time{told.Add(-time.Hour), time.Unix(-1000, 0)} {
		e.measure(behind, now, now)
		if got := e.next(0); got != last+2 {
			t.Errorf("clock behind: %d, want %d", got, last+2)
		}
		last++
	}
	last = e.next(0)
	if got := e.next(last + 1000); got != last+1001 {
		t.Errorf("above a record: %d, want %d", got, last+1001)
	}
	e.observe(last + 5000)
	e.observe(last + 3000)
	if got := e.next(0); got != last+5001 || e.highest() != got {
		t.Errorf("above what others have seen: %d, want %d; highest %d", got, last+5001, e.highest())
	}
	// Nonsense from outside does not use up what there is to count.
	e.observe(maxEpoch)
	e.observe(^uint64(0))
	if got := e.next(0); got != last+5002 {
		t.Errorf("after nonsense: %d, want %d", got, last+5002)
	}
}
