package cluster

import (
	"testing"
	"time"
)

// epochClock is an epochs on a clock that the test moves.
func epochClock() (e *epochs, now *time.Time) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now = &begin
	return &epochs{clock: func() time.Time { return *now }}, now
}

func drawn(t *testing.T, e *epochs, what string, above, want uint64) {
	t.Helper()
	if got := e.next(above); got != want {
		t.Errorf("%s: epoch %d, want %d", what, got, want)
	}
	if got := e.highest(); got != want {
		t.Errorf("%s: the epoch clock stands at %d, want %d", what, got, want)
	}
}

func TestEpochsFollowTheClockOfRedis(t *testing.T) {
	e, now := epochClock()
	if at := e.time(); !at.IsZero() {
		t.Errorf("before it was measured Redis's clock is %v", at)
	}
	if got := e.highest(); got != 0 {
		t.Errorf("before anything is known the epoch clock stands at %d", got)
	}
	drawn(t, e, "without a clock", 0, 1)

	// The epoch clock takes what was told for the moment of the answer, the
	// clock that people read the middle between question and answer.
	begin := *now
	told := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	micro := uint64(told.UnixMicro())
	*now = begin.Add(2 * time.Second)
	e.measure(told, begin, *now)
	drawn(t, e, "by the clock", 0, micro+1)
	if got, want := e.time(), told.Add(time.Second); !got.Equal(want) {
		t.Errorf("Redis's clock is %v, want %v", got, want)
	}
	drawn(t, e, "at the same time", 0, micro+2)
	*now = now.Add(3 * time.Second)
	drawn(t, e, "three seconds later", 0, micro+2+3e6+1)
	if got, want := e.time(), told.Add(4*time.Second); !got.Equal(want) {
		t.Errorf("Redis's clock is %v, want %v", got, want)
	}

	// A measurement that took long does not set the epoch clock back.
	slow := now.Add(time.Second)
	e.measure(told.Add(4*time.Second), *now, slow)
	*now = slow
	drawn(t, e, "after a slow answer", 0, micro+2+3e6+1+1e6+1)
}

func TestEpochsGoOnWhereTheClockOfRedisStepsBack(t *testing.T) {
	for _, behind := range []time.Time{time.Date(2029, 12, 31, 23, 50, 0, 0, time.UTC), time.Unix(-1000, 0)} {
		e, now := epochClock()
		told := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		e.measure(told, *now, *now)
		last := e.next(0)
		e.measure(behind, *now, *now)
		drawn(t, e, "at the step", 0, last+1)
		*now = now.Add(time.Second)
		drawn(t, e, "a second later", 0, last+1+1e6+1)
		if got, want := e.time(), behind.Add(time.Second); !got.Equal(want) {
			t.Errorf("Redis's clock is %v, want %v", got, want)
		}
	}
}

func TestEpochsDoNotFollowTheClockOfRedisBackFromAStepForward(t *testing.T) {
	e, now := epochClock()
	told := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	e.measure(told, *now, *now)
	e.measure(told.Add(time.Hour), *now, *now)
	last := e.next(0)
	if want := uint64(told.Add(time.Hour).UnixMicro()) + 1; last != want {
		t.Errorf("after the step: %d, want %d", last, want)
	}
	e.measure(told, *now, *now)
	drawn(t, e, "after the step back", 0, last+1)
}

func TestEpochsAreAboveThoseOfRecordsAndOfOtherNodes(t *testing.T) {
	e, now := epochClock()
	last := e.next(0)
	drawn(t, e, "above a record", last+1000, last+1001)
	e.observe(last + 5000)
	e.observe(last + 3000)
	drawn(t, e, "above what others have seen", 0, last+5001)
	// What others have seen counts as their clocks do.
	*now = now.Add(time.Second)
	drawn(t, e, "a second later", 0, last+5001+1e6+1)
	// Nonsense from outside does not use up what there is to count.
	e.observe(maxEpoch)
	e.observe(^uint64(0))
	e.measure(time.UnixMicro(maxEpoch), *now, *now)
	drawn(t, e, "after nonsense", 0, last+5001+1e6+2)
}

// Two nodes of which one has drawn an epoch that the other was never told of:
// Redis was emptied behind a step back, and no beat has passed.
func TestALaterEpochIsHigherThoughNothingIsLeftOfTheEarlier(t *testing.T) {
	a, now := epochClock()
	b := &epochs{clock: a.clock}
	told := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, e := range []*epochs{a, b} {
		e.measure(told, *now, *now)
		e.measure(told.Add(-10*time.Minute), *now, *now)
	}
	var earlier uint64
	for range 100 {
		earlier = a.next(0)
	}
	*now = now.Add(time.Millisecond)
	if later := b.next(0); later <= earlier {
		t.Errorf("epoch %d after %d", later, earlier)
	}
}
