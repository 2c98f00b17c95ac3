package cluster

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// stepBack is what a step of Redis's clock does to every key that ends by it.
func (e *engine) stepBack(t *testing.T, nodes []*node, step time.Duration) {
	t.Helper()
	if e.mini != nil {
		e.mini.FastForward(-step)
		return
	}
	for _, n := range nodes {
		c := nodes[0].client
		key := c.keys.node(n.ID())
		left, err := c.rdb.PTTL(t.Context(), key).Result()
		if err == nil && left > 0 {
			err = c.rdb.PExpire(t.Context(), key, left+step).Err()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Leases end by Redis's clock. Where that steps back by ten minutes, a node that
// has died is gone within two leases all the same, and those that live are not
// disturbed.
func TestADeadNodeIsGoneSoonThoughTheClockOfRedisStepsBack(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a, b, dead := e.start(t), e.start(t), e.start(t)
		meet(t, a, b, dead)
		ids := []string{a.ID(), b.ID(), dead.ID()}
		e.stepBack(t, []*node{a, b, dead}, 10*time.Minute)
		dead.kill()
		for _, n := range []*node{a, b} {
			if gone := n.await(t, "gone", 1); gone[0].peer != ids[2] {
				t.Errorf("node %s is gone, want %s", gone[0].peer, ids[2])
			}
		}
		if got := []string{a.ID(), b.ID()}; got[0] != ids[0] || got[1] != ids[1] {
			t.Errorf("living nodes became %q, were %q", got, ids[:2])
		}
		if n, err := a.client.rdb.Exists(t.Context(), a.client.keys.node(ids[2])).Result(); err != nil || n != 0 {
			t.Errorf("the lease of the dead node still stands: %d, %v", n, err)
		}
	})
}

// A lease that is too long is only shortened, never given.
func TestShorteningALeaseDoesNotBringItBack(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a := e.start(t)
		a.view.shorten(t.Context(), []string{"nobody"})
		if err := a.client.rdb.Get(t.Context(), a.client.keys.node("nobody")).Err(); !errors.Is(err, redis.Nil) {
			t.Errorf("lease of a node that never was: %v", err)
		}
	})
}

// The time of day of a node is what people read of it, and no more.
func TestTheTimeOfDayIsThatOfTheOptions(t *testing.T) {
	day := time.Date(1999, 7, 22, 12, 0, 0, 0, time.UTC)
	c, err := Open("redis://nowhere", Options{Now: func() time.Time { return day }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.Member(MemberConfig{}, nil).node.Started; got != day.UnixMilli() {
		t.Errorf("the node says that it started at %d, want %d", got, day.UnixMilli())
	}
	if at := c.Clock(); !at.IsZero() {
		t.Errorf("Redis's clock before anybody asked for it: %v", at)
	}
}
