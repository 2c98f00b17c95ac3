package notification

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// guest is a leaver that notes when it was ended.
type guest struct {
	ended time.Time
	left  atomic.Bool
}

func (g *guest) gone() bool { return g.left.Load() }

func (g *guest) endForDrain() {
	g.ended = time.Now()
	g.left.Store(true)
}

func guests(n int) (all []*guest, here func() []leaver) {
	var leavers []leaver
	for range n {
		g := new(guest)
		all, leavers = append(all, g), append(leavers, g)
	}
	return all, func() []leaver { return leavers }
}

func nobodyComes() bool { return false }

// moments are when those were ended who were, in order.
func moments(start time.Time, all []*guest) (found []time.Duration) {
	for _, g := range all {
		if !g.ended.IsZero() {
			found = append(found, g.ended.Sub(start))
		}
	}
	slices.Sort(found)
	return found
}

func TestSheddingIsEven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 60
		all, here := guests(n)
		start := time.Now()
		new(leavers).shed(t.Context(), time.Minute, here, nobodyComes)
		onTheDot := 0
		got := moments(start, all)
		if len(got) != n {
			t.Fatalf("want %d to be ended, got %d", n, len(got))
		}
		for i, at := range got {
			slot := time.Duration(i) * time.Second
			if at < slot || at > slot+time.Second {
				t.Errorf("moment %d: want it within a second of %v, got %v", i, slot, at)
			}
			if at == slot {
				onTheDot++
			}
		}
		if onTheDot == n {
			t.Error("no jitter: everybody ended on the second")
		}
	})
}

func TestSheddingCanBeBrokenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		all, here := guests(60)
		start := time.Now()
		l := new(leavers)
		l.shed(ctx, time.Minute, here, nobodyComes)
		if got := len(moments(start, all)); got < 29 || got > 31 {
			t.Errorf("ended in half the time: want about 30 of 60, got %d", got)
		}
		late := new(guest)
		l.join(late)
		if s, _ := l.next(); s != nil {
			t.Error("somebody joined a drain that was broken off")
		}
	})
}

// The moments of those who leave by themselves go to the others, and those whose
// login was under way have theirs within the time.
func TestSheddingFollowsWhoComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, here := guests(60)
		start := time.Now()
		l := new(leavers)
		var loggingIn atomic.Bool
		loggingIn.Store(true)
		late := new(guest)
		time.AfterFunc(10*time.Second, func() {
			for _, g := range all {
				g.left.Store(true)
			}
		})
		time.AfterFunc(40*time.Second, func() {
			l.join(late)
			loggingIn.Store(false)
		})
		l.shed(t.Context(), time.Minute, here, loggingIn.Load)
		if got := len(moments(start, all)); got < 9 || got > 11 {
			t.Errorf("ended before the others left: want about 10, got %d", got)
		}
		if at := late.ended.Sub(start); at < 40*time.Second || at > time.Minute {
			t.Errorf("who came later: want the moment between 40 s and a minute, got %v", at)
		}
	})
}

func TestSheddingNobodyTakesNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		new(leavers).shed(t.Context(), time.Hour, func() []leaver { return nil }, nobodyComes)
		if took := time.Since(start); took > 0 {
			t.Errorf("took %v", took)
		}
	})
}

// A login that does not come to its end does not hold a drain up beyond its
// time.
func TestSheddingEndsWithItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		new(leavers).shed(t.Context(), time.Minute, func() []leaver { return nil }, func() bool { return true })
		if took := time.Since(start); took < time.Minute || took > time.Minute+shedTick {
			t.Errorf("took %v, want a minute", took)
		}
	})
}
