package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/monarch-msn/monarch/internal/node"
)

const (
	// thriftFrom is how many bytes are alive where memory begins to count more
	// than time: one or two thousand sessions.
	thriftFrom = 16 << 20
	// thriftEvery is how often that is looked at. A node takes some seconds to fill.
	thriftEvery = time.Second
)

// garbagePercent is what GOGC is while so many bytes are alive. Nearly all of a
// notification node's memory is sessions that do nothing. With the usual 100 as
// much again would be garbage; with 40 a session takes a quarter less.
// In a small heap it saves little and costs much, for it is collected often.
func garbagePercent(alive uint64) int {
	if alive < thriftFrom {
		return 100
	}
	return 40
}

// thrift keeps GOGC by garbagePercent, unless the operator has set it to gogc.
func thrift(gogc string) node.Service {
	return node.Service{Name: "thrift", Run: func(ctx context.Context) error {
		if gogc != "" {
			<-ctx.Done()
			return nil
		}
		alive := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		ticker := time.NewTicker(thriftEvery)
		defer ticker.Stop()
		for percent := 100; ; {
			select {
			case <-ctx.Done():
				return nil
			case <-ticker.C:
			}
			metrics.Read(alive)
			if now := garbagePercent(alive[0].Value.Uint64()); now != percent {
				percent = now
				debug.SetGCPercent(percent)
			}
		}
	}}
}
