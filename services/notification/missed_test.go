package notification

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/internal/cluster"
)

// A record that Redis has lost comes again, and nobody knows how late: Redis may
// take no writes for long, or be away again before all is written.
func TestARecordThatMayComeAgainIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	var unclaimed atomic.Bool
	former := w.dead(func(cfg *cluster.MemberConfig) { cfg.Unclaimed = unclaimed.Load }).ID()
	n := w.node(Config{}, nil)
	svc := &Service{started: time.Now(), timing: cluster.Timing{Lease: time.Hour}, member: n.member}
	svc.auditor = newAuditor(svc)
	s := &session{svc: svc}
	c := &contact{place: place{makeNodeID(former), 7}}
	// missed looks for the record in vain, a lease after the last time.
	missed := func() {
		svc.started = svc.started.Add(-time.Hour)
		s.missed(c)
	}
	unclaimed.Store(true)
	w.until("the node to be seen", func() bool { return n.View().Node(former) != nil })
	if !w.redis.Del("monarch:node:{" + former + "}") {
		t.Fatal("there is no lease")
	}
	w.until("the node to join anew", func() bool { return n.View().Former(former) })
	w.until("the own node to have a lease behind it", n.member.Settled)
	for range 3 {
		missed()
		if c.place == (place{}) {
			t.Fatal("gone, though the contact's node has still to claim it")
		}
	}
	unclaimed.Store(false)
	w.until("all to be claimed", func() bool { return !n.View().Former(former) })
	missed()
	if c.place != (place{}) || !c.ended(7) {
		t.Errorf("not gone though nobody claims it: place %v, over %d", c.place, c.over)
	}
}
