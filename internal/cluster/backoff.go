package cluster

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	backoffFirst = 50 * time.Millisecond
	backoffLast  = time.Second
)

// backoff spaces out attempts: from 50 ms, doubling, to a second, each between
// half and all of that, so that nodes do not return to Redis in step.
type backoff struct{ next time.Duration }

// sleep waits, and returns false if ctx ended meanwhile.
func (b *backoff) sleep(ctx context.Context) bool {
	b.next = min(max(backoffFirst, 2*b.next), backoffLast)
	timer := time.NewTimer(b.next/2 + rand.N(b.next/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (b *backoff) reset() { b.next = 0 }
