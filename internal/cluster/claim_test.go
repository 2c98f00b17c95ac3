package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

func TestClaimDisplacesAndReleaseFrees(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a, b := e.start(t), e.start(t)
		ctx := t.Context()
		first := session("alice@example.com")
		if displaced, err := a.Claim(ctx, first); err != nil || len(displaced) != 0 {
			t.Fatalf("Claim: %v, %v", displaced, err)
		}
		if first.Node != a.ID() || first.Epoch == 0 {
			t.Errorf("claimed: %v", first)
		}
		second := session("alice@example.com")
		displaced, err := b.Claim(ctx, second)
		if err != nil || len(displaced) != 1 || displaced[0].Id != first.Id || displaced[0].Node != a.ID() || displaced[0].Epoch != first.Epoch {
			t.Fatalf("Claim: %v, %v; want %v displaced", displaced, err, first)
		}
		if second.Epoch <= first.Epoch {
			t.Errorf("epoch %d after %d", second.Epoch, first.Epoch)
		}
		if _, _, err := a.Reclaim(ctx, first); !errors.Is(err, ErrDisplaced) {
			t.Errorf("Reclaim of the displaced: %v", err)
		}
		if err := a.Release(ctx, first); err != nil {
			t.Error(err)
		}
		if got := place(t, a.client, second.Email); got.GetId() != second.Id || got.Dialect != "MSNP7" {
			t.Errorf("after the release of the displaced: %v", got)
		}
		if changed, displaced, err := b.Reclaim(ctx, second); err != nil || changed || len(displaced) != 0 {
			t.Errorf("Reclaim of one's own: %t, %v, %v", changed, displaced, err)
		}
		for range 2 { // again does no harm
			if err := b.Release(ctx, second); err != nil {
				t.Error(err)
			}
		}
		if got := place(t, a.client, second.Email); got != nil {
			t.Errorf("after the release: %v", got)
		}
		third := login(t, a, "alice@example.com")
		if third.Epoch <= second.Epoch {
			t.Errorf("epoch %d after %d", third.Epoch, second.Epoch)
		}
	})
}

// What a session leaves behind is kept for a while, and not for ever.
func TestEpochIsKeptForAMinute(t *testing.T) {
	e := embedded(t)
	e.mini.ClockTTL(false)
	n := e.start(t)
	s := login(t, n, "alice@example.com")
	if err := n.Release(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	key := n.client.keys.session(s.Email)
	if ttl := e.mini.TTL(key); ttl != time.Minute {
		t.Errorf("kept for %v", ttl)
	}
	again := login(t, n, s.Email)
	if ttl := e.mini.TTL(key); ttl != 0 {
		t.Errorf("the record of a session lives for %v", ttl)
	}
	if again.Epoch <= s.Epoch {
		t.Errorf("epoch %d after %d", again.Epoch, s.Epoch)
	}
}

// Many logins of one user on several nodes at once: one is left.
func TestManyLoginsAtOnce(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		nodes := []*node{e.start(t), e.start(t), e.start(t)}
		var (
			mu       sync.Mutex
			all      = make(map[string]*clusterv1.Session)
			told     = make(map[string]uint64)
			together sync.WaitGroup
		)
		for i := range 30 {
			together.Go(func() {
				s := session("alice@example.com")
				displaced, err := nodes[i%3].Claim(t.Context(), s)
				if err != nil {
					t.Errorf("Claim: %v", err)
				}
				mu.Lock()
				defer mu.Unlock()
				all[s.Id] = s
				for _, d := range displaced {
					told[d.Id] = max(told[d.Id], d.Epoch)
				}
			})
		}
		together.Wait()
		var left []*clusterv1.Session
		for id, s := range all {
			if told[id] < s.Epoch {
				left = append(left, s)
			}
		}
		if len(left) != 1 {
			t.Fatalf("%d sessions were not told of their displacement", len(left))
		}
		if got := place(t, nodes[0].client, "alice@example.com"); got.GetId() != left[0].Id || got.Epoch != left[0].Epoch {
			t.Errorf("record is %v, want %v", got, left[0])
		}
	})
}

func TestLookupAndSessions(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a, b := e.start(t), e.start(t)
		ctx := t.Context()
		want := make(map[string]string)
		var emails []string
		for i := range 2*page + 10 {
			n := []*node{a, b}[i%2]
			s := login(t, n, fmt.Sprintf("u%d@example.com", i))
			want[s.Email] = n.ID()
			emails = append(emails, s.Email)
		}
		gone := login(t, a, "gone@example.com")
		if err := a.Release(ctx, gone); err != nil {
			t.Fatal(err)
		}
		if err := a.client.rdb.Set(ctx, a.client.keys.session("broken@example.com"), "\xff\xff", 0).Err(); err != nil {
			t.Fatal(err)
		}
		found, err := a.client.Lookup(ctx, append(emails, "gone@example.com", "never@example.com", "broken@example.com"))
		if err != nil || len(found) != len(want) {
			t.Fatalf("Lookup: %d found, %v; want %d", len(found), err, len(want))
		}
		for email, s := range found {
			if s.Email != email || s.Node != want[email] {
				t.Errorf("%s is at %v", email, s)
			}
		}
		sessions, err := b.client.Sessions(ctx, a.ID())
		if err != nil || len(sessions) != page+5 {
			t.Errorf("Sessions: %d, %v; want %d", len(sessions), err, page+5)
		}
		if found, err := a.client.Lookup(ctx, nil); err != nil || len(found) != 0 {
			t.Errorf("Lookup of nobody: %v, %v", found, err)
		}
		// A record that nobody can read stands in nobody's way.
		login(t, a, "broken@example.com")
	})
}

func TestForget(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a, b := e.start(t), e.start(t)
		ctx := t.Context()
		ghost := login(t, a, "alice@example.com")
		found := place(t, b.client, ghost.Email)

		newer := login(t, a, "alice@example.com")
		if err := b.client.Forget(ctx, found); err != nil {
			t.Error(err)
		}
		if got := place(t, b.client, newer.Email); got.GetId() != newer.Id {
			t.Errorf("a record that had changed was forgotten: %v", got)
		}
		found = place(t, b.client, newer.Email)
		if err := b.client.Forget(ctx, found); err != nil {
			t.Error(err)
		}
		if got := place(t, b.client, newer.Email); got != nil {
			t.Errorf("not forgotten: %v", got)
		}
		// It was alive after all.
		epoch := newer.Epoch
		if changed, _, err := a.Reclaim(ctx, newer); err != nil || !changed || newer.Epoch <= epoch {
			t.Errorf("Reclaim: %t, %v, epoch %d after %d", changed, err, newer.Epoch, epoch)
		}
	})
}

func TestClaimWithoutRedis(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a := e.start(t)
		s := login(t, a, "alice@example.com")
		epoch := s.Epoch
		a.wire.cut()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := a.Claim(ctx, session("bob@example.com")); !errors.Is(err, ErrUnavailable) {
			t.Errorf("Claim: %v", err)
		}
		if _, _, err := a.Reclaim(ctx, s); !errors.Is(err, ErrUnavailable) || s.Epoch != epoch {
			t.Errorf("Reclaim: %v, epoch %d after %d", err, s.Epoch, epoch)
		}
		if err := a.Release(ctx, s); !errors.Is(err, ErrUnavailable) {
			t.Errorf("Release: %v", err)
		}
		if _, err := a.client.Lookup(ctx, []string{s.Email}); !errors.Is(err, ErrUnavailable) {
			t.Errorf("Lookup: %v", err)
		}
		a.wire.mend()
		a.until(t, "the release", func() bool { return a.Release(context.Background(), s) == nil })
		if n := len(a.emails.held); n != 0 {
			t.Errorf("%d locks are left", n)
		}
		if _, err := a.Claim(context.Background(), session("\xff@example.com")); err == nil {
			t.Error("Claim of an email that is not UTF-8 succeeded")
		}
	})
}

// A login takes two trips to Redis: the members, then the record.
func TestClaimTakesTwoCommands(t *testing.T) {
	e := embedded(t)
	e.mini.ClockTTL(false)
	n := e.start(t, func(c *MemberConfig) {
		c.Timing = Timing{Lease: time.Hour, Beat: time.Minute, Refresh: time.Hour}
	})
	n.awaitClosed(t, n.View().Ready(), "the first reading")
	before := e.mini.CommandCount()
	s := login(t, n, "alice@example.com")
	if got := e.mini.CommandCount() - before; got != 2 {
		t.Errorf("Claim took %d commands", got)
	}
	before = e.mini.CommandCount()
	if changed, _, err := n.Reclaim(t.Context(), s); err != nil || changed {
		t.Fatal(changed, err)
	}
	if got := e.mini.CommandCount() - before; got != 2 {
		t.Errorf("Reclaim of one's own record took %d commands", got)
	}
}
