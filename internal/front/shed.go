package front

import (
	"context"
	"math/rand/v2"
	"time"
)

// Shed closes the connections that are open now, with ReasonShutdown, evenly
// over a time and in random order, so that the clients that come back do not
// all come at once. It blocks until the last one is told; those that end on
// their own meanwhile leave their moment empty. When ctx is done it stops and
// leaves the rest open.
//
// Connections accepted later are not touched: what becomes of them is up to
// their handlers until Serve ends.
func (s *Server) Shed(ctx context.Context, over time.Duration) {
	conns := s.of(nil)
	rand.Shuffle(len(conns), func(i, j int) { conns[i], conns[j] = conns[j], conns[i] })
	timer := time.NewTimer(0)
	defer timer.Stop()
	start := time.Now()
	for i, c := range conns {
		// Each has a slot of equal length, and its moment somewhere within:
		// several nodes that shed together then do not beat in step.
		at := time.Duration((float64(i) + rand.Float64()) / float64(len(conns)) * float64(over))
		timer.Reset(at - time.Since(start))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		c.Close(ReasonShutdown)
	}
}
