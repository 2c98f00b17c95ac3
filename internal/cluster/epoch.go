package cluster

import (
	"sync"
	"time"
)

// maxEpoch is far above any clock in microseconds. A record from outside that
// claims more is not believed, or it would leave nothing to count up to.
const maxEpoch = 1 << 62

// epochs draws session epochs. An epoch is the greatest of
//
//   - the clock of Redis in microseconds,
//   - the epoch of the record that it replaces, plus one,
//   - the highest epoch that any node has seen, plus one (beats carry it).
//
// So epochs grow even where Redis was emptied, or failed over to a server whose
// clock is behind, and no node's own clock decides anything: between two
// measurements Redis's clock is continued by the monotonic one.
type epochs struct {
	mu    sync.Mutex
	seen  uint64
	redis int64     // Redis's clock in microseconds ...
	at    time.Time // ... at this moment of ours
	// clock is what tests put in the place of time.Now.
	clock func() time.Time
}

// measure notes Redis's clock as it was told between two moments of ours.
func (e *epochs) measure(told, asked, answered time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.redis = told.UnixMicro()
	e.at = asked.Add(answered.Sub(asked) / 2)
}

// observe notes an epoch that somebody has.
func (e *epochs) observe(epoch uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if epoch > e.seen && epoch < maxEpoch {
		e.seen = epoch
	}
}

// highest returns the highest epoch seen, drawn ones included.
func (e *epochs) highest() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seen
}

// next draws an epoch that is greater than above.
func (e *epochs) next(above uint64) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	epoch := max(e.seen, above) + 1
	if !e.at.IsZero() {
		elapsed := time.Since(e.at)
		if e.clock != nil {
			elapsed = e.clock().Sub(e.at)
		}
		if now := e.redis + elapsed.Microseconds(); now > 0 {
			epoch = max(epoch, uint64(now))
		}
	}
	if epoch < maxEpoch {
		e.seen = epoch
	}
	return epoch
}
