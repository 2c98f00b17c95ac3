package front

import (
	"sync"
	"time"

	"github.com/monarch-msn/monarch/msnp"
)

// Rate remembers what users have done, to allow each so much in a while. It is
// kept by user and not by connection: one may have several, or come back on
// another. Its methods may be called from any goroutine; the zero Rate with both
// fields set is ready.
type Rate struct {
	// Limit is how often something may be done within the Window.
	Limit  int
	Window time.Duration

	mu     sync.Mutex
	byUser map[msnp.Email][]time.Time
	swept  time.Time
}

// Full reports whether the user has to wait.
func (r *Rate) Full(user msnp.Email, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.recent(user, now)) >= r.Limit
}

// Add counts one. Users whose times are all past are forgotten once a window, so
// that no more are remembered than have done something lately.
func (r *Rate) Add(user msnp.Email, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byUser == nil {
		r.byUser = make(map[msnp.Email][]time.Time)
	}
	if now.Sub(r.swept) >= r.Window {
		r.swept = now
		for u := range r.byUser {
			if len(r.recent(u, now)) == 0 {
				delete(r.byUser, u)
			}
		}
	}
	r.byUser[user] = append(r.recent(user, now), now)
}

// recent is what the user has done within the window; times ascend.
func (r *Rate) recent(user msnp.Email, now time.Time) []time.Time {
	times := r.byUser[user]
	for len(times) > 0 && now.Sub(times[0]) >= r.Window {
		times = times[1:]
	}
	return times
}
