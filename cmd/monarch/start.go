package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/monarch-msn/monarch/internal/node"
)

// startFlags bound the start of a role. Services wait for each other, so they
// may be started in any order.
type startFlags struct {
	StartTimeout time.Duration `name:"start.timeout" default:"2m" placeholder:"TIME" help:"Most time to wait for a store that cannot be reached at the start." group:"process"`
}

// Pauses between two attempts to reach a store.
const (
	firstPause = 250 * time.Millisecond
	maxPause   = 10 * time.Second
)

// waiting is told why an attempt failed and when the next one comes.
type waiting func(err error, again time.Duration)

// waits tells the log and /readyz.
func waits(p *node.Process) waiting {
	return func(err error, again time.Duration) {
		p.Log.Warn("waits for what the start needs", "error", err, "again", again.Round(time.Millisecond).String())
		p.Waits(err)
	}
}

// await tries until attempt succeeds, fails with an error that passing tells
// will not go away, or timeout is over. The error is that of the last attempt.
func await(ctx context.Context, tell waiting, timeout time.Duration, passing func(error) bool, attempt func(ctx context.Context) error) error {
	deadline := time.Now().Add(timeout)
	tries, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		err := attempt(tries)
		if err == nil || !passing(err) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err() // nobody waits any more, and the store is not to blame
		}
		// Half of it at random: roles that start together come apart.
		wait := pause/2 + rand.N(pause/2)
		if time.Until(deadline) < wait {
			return fmt.Errorf("%w (given up after %s, see --start.timeout)", err, timeout)
		}
		tell(err, wait)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}
