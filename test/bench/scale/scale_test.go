package main

import (
	"testing"
	"time"
)

// TestBatches holds the simulation against what can be said without one.
func TestBatches(t *testing.T) {
	quiet := model{users: 1, watchers: 1, changes: 1, trip: time.Millisecond, publish: time.Microsecond}
	if r := quiet.run(2, 100); r.publishes != r.messages || r.share(r.messages) < 0.3 || r.share(r.messages) > 0.7 {
		t.Errorf("seldom: want each message published alone, and every other watcher elsewhere, got %d publishes of %d messages for %d deliveries",
			r.publishes, r.messages, r.deliveries)
	}
	// 1,000 changes a second on each of two nodes, half of which concern the
	// other one, gather for ten milliseconds.
	loud := model{users: 3600, watchers: 1, changes: 1000, trip: 10 * time.Millisecond, publish: time.Microsecond}
	if r := loud.run(2, 10_000); r.publishes*4 > r.messages || r.publishes*6 < r.messages {
		t.Errorf("often: want about 5 messages in a batch, got %d messages in %d", r.messages, r.publishes)
	}
}
