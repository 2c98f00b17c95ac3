package main

import (
	"context"
	"runtime/metrics"
	"testing"
)

// A large heap is kept lean, a small one quick, and the metric that tells them
// apart is one that this Go has.
func TestGarbageOfLargeHeapsIsBounded(t *testing.T) {
	if small, large := garbagePercent(thriftFrom-1), garbagePercent(thriftFrom); small != 100 || large != 40 {
		t.Errorf("GOGC is %d, and %d for a large heap: want 100 and 40", small, large)
	}
	alive := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(alive)
	if alive[0].Value.Kind() != metrics.KindUint64 {
		t.Errorf("%s is of kind %d", alive[0].Name, alive[0].Value.Kind())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, gogc := range []string{"", "100"} {
		if err := thrift(gogc).Run(ctx); err != nil {
			t.Errorf("GOGC=%q: %v", gogc, err)
		}
	}
}
