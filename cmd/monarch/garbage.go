package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/monarch-msn/monarch/internal/node"
)

const (
	// smallHeap is how many bytes are alive where memory begins to count more
	// than time: one or two thousand sessions. A process may have as much garbage
	// in any case.
	smallHeap = 16 << 20
	// smallPercent is the highest GOGC; more saves no more time.
	smallPercent = 400
	// sessionsPercent is the GOGC of a notification node that is no small heap.
	// Nearly all of its memory is sessions that do nothing. With the usual 100 as
	// much again would be garbage; with 40 a session takes a quarter less.
	sessionsPercent = 40
	// usualPercent is Go's own.
	usualPercent = 100
	// garbageEvery is how often the heap is looked at. A node takes some seconds
	// to fill.
	garbageEvery = time.Second
)

// garbagePercent is what GOGC is while so many bytes are alive, if large is what
// it is for large heaps. A small one would be collected often and saves little.
func garbagePercent(alive uint64, large int) int {
	if alive >= smallHeap {
		return large
	}
	return min(smallPercent, smallHeap*100/int(max(alive, 1)))
}

// collect keeps GOGC by garbagePercent, unless the operator has set it.
func collect(large int) node.Service {
	return node.Service{Name: "garbage", Run: func(ctx context.Context) error {
		if os.Getenv("GOGC") != "" {
			<-ctx.Done()
			return nil
		}
		alive := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		ticker := time.NewTicker(garbageEvery)
		defer ticker.Stop()
		for percent := usualPercent; ; {
			metrics.Read(alive)
			if now := garbagePercent(alive[0].Value.Uint64(), large); now != percent {
				percent = now
				debug.SetGCPercent(percent)
			}
			select {
			case <-ctx.Done():
				return nil
			case <-ticker.C:
			}
		}
	}}
}
