package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"testing"
)

// A large heap is kept lean, a small one quick, and the metric that tells them
// apart is one that this Go has.
func TestGarbageOfLargeHeapsIsBounded(t *testing.T) {
	for _, c := range []struct {
		alive uint64
		want  int
	}{{0, 400}, {smallHeap / 4, 400}, {smallHeap / 2, 200}, {smallHeap - 1, 100}, {smallHeap, 40}, {100 * smallHeap, 40}} {
		if got := garbagePercent(c.alive, 40); got != c.want {
			t.Errorf("GOGC with %d bytes alive: want %d, got %d", c.alive, c.want, got)
		}
	}
	alive := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(alive)
	if alive[0].Value.Kind() != metrics.KindUint64 {
		t.Errorf("%s is of kind %d", alive[0].Name, alive[0].Value.Kind())
	}
}

func TestTheOperatorsGOGCStands(t *testing.T) {
	const chosen = 123
	before := debug.SetGCPercent(chosen)
	defer debug.SetGCPercent(before)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		gogc   string
		stands bool
	}{{"123", true}, {"", false}} {
		t.Setenv("GOGC", c.gogc)
		if err := collect(40).Run(ctx); err != nil {
			t.Errorf("GOGC=%q: %v", c.gogc, err)
		}
		if got := debug.SetGCPercent(chosen); (got == chosen) != c.stands {
			t.Errorf("GOGC=%q is %d afterwards", c.gogc, got)
		}
	}
}
