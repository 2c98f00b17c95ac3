package cluster

import (
	"sync"
	"time"
)

// maxEpoch is far above any clock in microseconds. A record from outside that
// claims more is not believed, or it would leave nothing to count up to.
const maxEpoch = 1 << 62

// epochs draws session epochs, from a clock of its own that never steps back.
// It counts microseconds, and goes on by the monotonic clock from the highest of
//
//   - the clock of Redis, at each beat,
//   - every epoch seen in a record or a message,
//   - the epoch clock of every other node (beats carry it).
//
// While all is well it is the clock of Redis. Where Redis was emptied, stepped
// back, or failed over to a server whose clock is behind, the epoch clocks of
// all nodes go on from where they were, still in agreement: a session that
// begins later has the higher epoch even where no record is left of the earlier
// one and no beat has passed in between. Where Redis steps forward, they do not
// follow it back. The time of day of a node decides nothing.
type epochs struct {
	mu sync.Mutex
	// The epoch clock stood at reached, at this moment of ours; zero until
	// anything is known.
	reached uint64
	at      time.Time
	// What Redis's clock told, and the moment of ours to which that belongs.
	redis    time.Time
	measured time.Time
	// clock is what tests put in the place of time.Now.
	clock func() time.Time
}

// now is a moment for durations; its time of day means nothing.
func (e *epochs) now() time.Time {
	if e.clock != nil {
		return e.clock()
	}
	return time.Now()
}

// standing is where the epoch clock stands at a moment.
func (e *epochs) standing(t time.Time) uint64 {
	if e.at.IsZero() {
		return 0
	}
	return e.reached + uint64(max(0, t.Sub(e.at).Microseconds()))
}

// raise sets the epoch clock forward, if it is behind.
func (e *epochs) raise(epoch uint64, t time.Time) {
	if epoch > e.standing(t) && epoch < maxEpoch {
		e.reached, e.at = epoch, t
	}
}

// measure notes Redis's clock as it was told between two moments of ours.
func (e *epochs) measure(told, asked, answered time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.redis, e.measured = told, asked.Add(answered.Sub(asked)/2)
	// When the answer came, Redis's clock showed this or more; so a slow answer
	// does not set the epoch clock ahead of it.
	if now := told.UnixMicro(); now > 0 {
		e.raise(uint64(now), answered)
	}
}

// time is Redis's clock now, as it was last measured; zero if it never was.
func (e *epochs) time() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.measured.IsZero() {
		return time.Time{}
	}
	return e.redis.Add(e.now().Sub(e.measured))
}

// observe notes an epoch that somebody has, or where a node's clock stands.
func (e *epochs) observe(epoch uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.raise(epoch, e.now())
}

// highest returns where the epoch clock stands: not below any epoch seen, drawn
// ones included.
func (e *epochs) highest() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.standing(e.now())
}

// next draws an epoch that is greater than above, and than any seen before.
func (e *epochs) next(above uint64) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	epoch := max(e.standing(now), above) + 1
	e.raise(epoch, now)
	return epoch
}

// Clock returns the time by Redis's clock, which is the same for all nodes of a
// cluster whatever their own clocks show. It is continued from the last beat of
// a member of this client, and exact to about half a round trip to Redis; zero
// before the first beat. It steps where Redis's clock steps, so nothing may be
// decided by it: it is for what people read. Memory only.
func (c *Client) Clock() time.Time { return c.epochs.time() }
