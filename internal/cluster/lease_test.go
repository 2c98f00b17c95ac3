package cluster

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// persist repeats what Redis did not do. When a server is back the library
// takes up to a second to believe it.
func persist(t *testing.T, do func() error) error {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if err := do(); !errors.Is(err, ErrUnavailable) || time.Now().After(end) {
			return err
		}
	}
}

// session makes a session of a user, not yet claimed.
func session(email string) *clusterv1.Session {
	return &clusterv1.Session{Id: newID(), Email: email, Dialect: "MSNP7"}
}

// login claims a session on a node.
func login(t *testing.T, n *node, email string) *clusterv1.Session {
	t.Helper()
	s := session(email)
	err := persist(t, func() error {
		_, err := n.Claim(t.Context(), s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// place is where a user is logged in, nil for nowhere.
func place(t *testing.T, c *Client, email string) *clusterv1.Session {
	t.Helper()
	var found map[string]*clusterv1.Session
	err := persist(t, func() (err error) {
		found, err = c.Lookup(t.Context(), []string{email})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found[email]
}

// reclaim is what an audit does.
func reclaim(t *testing.T, n *node, s *clusterv1.Session) (changed bool, displaced []*clusterv1.Session, err error) {
	t.Helper()
	err = persist(t, func() (err error) {
		changed, displaced, err = n.Reclaim(t.Context(), s)
		return err
	})
	return changed, displaced, err
}

func TestJoinAndLeave(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a := e.start(t, func(c *MemberConfig) {
			c.Node.Addresses = []*clusterv1.Address{{Address: "a.example.com:1863"}}
			c.Node.Version = "1.2.3"
			c.Load = func() int { return 17 }
		})
		b := e.start(t)
		meet(t, a, b)
		b.sees(t, "the load of a", func(v *View) bool { return v.Node(a.ID()).GetSessions() == 17 })
		n := b.View().Node(a.ID())
		if n.Role != clusterv1.Role_ROLE_NOTIFICATION || n.State != clusterv1.State_STATE_SERVING ||
			n.Addresses[0].Address != "a.example.com:1863" || n.Version != "1.2.3" || n.Started == 0 {
			t.Errorf("record of a: %v", n)
		}

		a.SetState(clusterv1.State_STATE_DRAINING)
		b.sees(t, "a draining", func(v *View) bool { return v.Node(a.ID()).GetState() == clusterv1.State_STATE_DRAINING })

		s := login(t, a, "alice@example.com")
		if err := a.Release(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		a.Send(b.ID(), notice("goodbye"))
		a.stop()
		if got := b.await(t, "deliver", 1); got[0].text != "goodbye" {
			t.Errorf("delivered: %v", got)
		}
		if got := b.await(t, "gone", 1); got[0].peer != a.ID() {
			t.Errorf("gone: %v", got)
		}
		if ids, err := b.client.rdb.SMembers(t.Context(), b.client.keys.nodes()).Result(); err != nil || !slices.Equal(ids, []string{b.ID()}) {
			t.Errorf("listed after a has left: %v, %v", ids, err)
		}
	})
}

// A node that dies is gone for the others within its lease and a few beats, not
// sooner than the lease, and its users' records are freed.
func TestDeadNodeIsBuriedAndSwept(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a, b, c := e.start(t), e.start(t), e.start(t)
		meet(t, a, b, c)
		s := login(t, a, "alice@example.com")
		stays := login(t, b, "bob@example.com")
		// By now a and b are old enough to bury.
		time.Sleep(e.timing.Lease + e.timing.Beat)

		dead := a.ID()
		a.kill()
		begun := time.Now()
		for _, n := range []*node{b, c} {
			if got := n.await(t, "gone", 1); got[0].peer != dead {
				t.Errorf("gone: %v", got)
			}
		}
		if took := time.Since(begun); e.mini != nil {
			earliest := e.timing.Lease - e.timing.Beat
			latest := e.timing.Lease + (buryBeats+2)*e.timing.Beat + 2*e.timing.Refresh
			if took < earliest || took > latest {
				t.Errorf("buried after %v, want %v to %v", took, earliest, latest)
			}
		}
		b.sees(t, "the record freed", func(*View) bool { return place(t, b.client, s.Email) == nil })
		b.sees(t, "the id unlisted", func(*View) bool {
			listed, err := b.client.rdb.SIsMember(t.Context(), b.client.keys.nodes(), dead).Result()
			return err == nil && !listed
		})
		if got := place(t, b.client, stays.Email); got.GetId() != stays.Id {
			t.Errorf("the living node's session: %v", got)
		}
		again := login(t, b, s.Email)
		if again.Epoch <= s.Epoch {
			t.Errorf("epoch %d follows %d", again.Epoch, s.Epoch)
		}
		time.Sleep(e.timing.Lease)
		for _, n := range []*node{b, c} {
			if got := n.noted("gone"); len(got) != 1 {
				t.Errorf("gone: %v, want once", got)
			}
			if got := n.noted("resync"); len(got) != 0 {
				t.Errorf("resync: %v, want none", got)
			}
		}
	})
}

// A node buries nobody within a lease after its own join.
func TestYoungNodeBuriesNobody(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a := e.start(t)
		joined := time.Now()
		b := e.start(t)
		meet(t, b, a)
		a.stop() // gone at once, no lease to run out
		b.await(t, "gone", 1)
		if took := time.Since(joined); e.mini != nil && took < e.timing.Lease {
			t.Errorf("buried %v after the join", took)
		}
	})
}

// A Redis that comes back empty knows no node and no session, while all of them
// are alive.
func TestRedisEmptied(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		nodes := []*node{e.start(t), e.start(t), e.start(t)}
		meet(t, nodes...)
		sessions := make(map[*node]*clusterv1.Session)
		for i, n := range nodes {
			sessions[n] = login(t, n, string(rune('a'+i))+"@example.com")
		}
		time.Sleep(e.timing.Lease + e.timing.Beat)
		old := make(map[string]bool)
		for _, n := range nodes {
			old[n.ID()] = true
			n.forget()
		}

		e.empty(t)
		emptied := time.Now()
		for _, n := range nodes {
			got := n.await(t, "resync", 1)
			if got[0] != (event{"resync", "", ResyncLease}) {
				t.Errorf("resync: %v", got)
			}
			if old[n.ID()] {
				t.Errorf("node %s kept its id", n.ID())
			}
			s := sessions[n]
			epoch := s.Epoch
			changed, displaced, err := reclaim(t, n, s)
			if err != nil || !changed || len(displaced) > 0 || s.Epoch <= epoch || s.Node != n.ID() {
				t.Errorf("Reclaim: changed %t, displaced %v, %v; session %v after epoch %d", changed, displaced, err, s, epoch)
			}
		}
		meet(t, nodes...)
		for _, n := range nodes {
			for _, s := range sessions {
				if got := place(t, n.client, s.Email); got.GetId() != s.Id {
					t.Errorf("%s is at %v, want %v", s.Email, got, s)
				}
			}
		}
		// Later the old ids are buried, and only those.
		for _, n := range nodes {
			n.await(t, "gone", 2)
			if took := time.Since(emptied); e.mini != nil && took < e.timing.Lease {
				t.Errorf("buried %v after the loss", took)
			}
		}
		time.Sleep(e.timing.Lease)
		for _, n := range nodes {
			got := n.noted("gone")
			if len(got) != 2 || !old[got[0].peer] || !old[got[1].peer] {
				t.Errorf("gone: %v, want the two old ids of the others", got)
			}
			if got := n.noted("resync"); len(got) != 1 {
				t.Errorf("resync: %v, want one", got)
			}
		}
	})
}

// One node cannot reach Redis for longer than its lease: the others bury it,
// somebody logs in elsewhere, and then it is back.
func TestNodeCutOffLongerThanItsLease(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a, b := e.start(t), e.start(t)
		meet(t, a, b)
		moved := login(t, a, "moved@example.com")
		stayed := login(t, a, "stayed@example.com")
		time.Sleep(e.timing.Lease + e.timing.Beat)

		old := a.ID()
		a.wire.cut()
		if got := b.await(t, "gone", 1); got[0].peer != old {
			t.Errorf("gone: %v", got)
		}
		newer := login(t, b, moved.Email)
		ctx, cancel := context.WithTimeout(t.Context(), e.timing.Beat)
		defer cancel()
		if _, err := a.Claim(ctx, session("new@example.com")); !errors.Is(err, ErrUnavailable) {
			t.Errorf("Claim without Redis: %v", err)
		}
		a.wire.mend()

		a.until(t, "a new lease", func() bool {
			return slices.Contains(a.noted("resync"), event{"resync", "", ResyncLease})
		})
		if a.ID() == old || !a.IsSelf(old) || !a.IsSelf(a.ID()) {
			t.Errorf("id %s after %s", a.ID(), old)
		}
		if _, _, err := reclaim(t, a, moved); !errors.Is(err, ErrDisplaced) {
			t.Errorf("Reclaim of a session that moved: %v", err)
		}
		if err := persist(t, func() error { return a.Release(t.Context(), moved) }); err != nil {
			t.Errorf("Release: %v", err)
		}
		epoch := stayed.Epoch
		if changed, _, err := reclaim(t, a, stayed); err != nil || !changed || stayed.Epoch <= epoch {
			t.Errorf("Reclaim: changed %t, %v, epoch %d after %d", changed, err, stayed.Epoch, epoch)
		}
		if got := place(t, b.client, moved.Email); got.GetId() != newer.Id {
			t.Errorf("moved is at %v", got)
		}
		if got := place(t, b.client, stayed.Email); got.GetId() != stayed.Id || got.GetNode() != a.ID() {
			t.Errorf("stayed is at %v", got)
		}
		if got := a.noted("gone"); len(got) > 0 {
			t.Errorf("the node that was away buried %v", got)
		}
		meet(t, a, b)
		a.Send(b.ID(), notice("back"))
		b.await(t, "deliver", 1)
	})
}

// While Redis is away for all, nobody is dead and the view stands.
func TestRedisAwayForAll(t *testing.T) {
	for name, away := range map[string]func(Timing) time.Duration{
		"shorter than a lease": func(t Timing) time.Duration { return t.Lease / 2 },
		"longer than a lease":  func(t Timing) time.Duration { return 2 * t.Lease },
	} {
		t.Run(name, func(t *testing.T) {
			suite(t, func(t *testing.T, e *engine) {
				a, b := e.start(t), e.start(t)
				meet(t, a, b)
				time.Sleep(e.timing.Lease + e.timing.Beat)
				old := []string{a.ID(), b.ID()}
				a.wire.cut()
				b.wire.cut()
				time.Sleep(away(e.timing))
				if n := len(a.View().Nodes()); n != 2 {
					t.Errorf("view shows %d nodes while redis is away", n)
				}
				if _, err := a.View().Pick(clusterv1.Role_ROLE_NOTIFICATION); err != nil {
					t.Errorf("Pick while redis is away: %v", err)
				}
				if err := a.client.Ping(t.Context()); !errors.Is(err, ErrUnavailable) {
					t.Errorf("Ping: %v", err)
				}
				a.wire.mend()
				b.wire.mend()
				a.await(t, "resync", 1)
				b.await(t, "resync", 1)
				time.Sleep(2 * e.timing.Lease)
				meet(t, a, b)
				for _, n := range []*node{a, b} {
					for _, gone := range n.noted("gone") {
						if !slices.Contains(old, gone.peer) || gone.peer == a.ID() || gone.peer == b.ID() {
							t.Errorf("buried a living node: %v", gone)
						}
					}
				}
			})
		})
	}
}

// A lease that is lost is followed by another id; who has not heard of it yet
// is still heard for a while.
func TestOldInboxIsHeardForALease(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a, b := e.start(t), e.start(t)
		old := a.ID()
		const before = 20 // batches: what follows is under fewer numbers
		for range before {
			a.Send(b.ID(), notice("from the old id"))
			if err := a.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		b.await(t, "deliver", before)
		if err := b.client.rdb.Del(t.Context(), b.client.keys.node(old)).Err(); err != nil {
			t.Fatal(err)
		}
		if got := a.await(t, "resync", 1); got[0] != (event{"resync", "", ResyncLease}) {
			t.Errorf("resync: %v", got)
		}
		b.Send(old, notice("to the old id"))
		b.Send(a.ID(), notice("to the new id"))
		a.await(t, "deliver", 2)
		a.Send(b.ID(), notice("from the new id"))
		if got := b.await(t, "deliver", before+1); got[0].peer != old || got[before].peer != a.ID() {
			t.Errorf("delivered: %v", got)
		}
		time.Sleep(2 * e.timing.Lease)
		b.Send(old, notice("too late"))
		if got := b.await(t, "undelivered", 1); got[0].text != "too late" {
			t.Errorf("undelivered: %v", got)
		}
		if got := a.noted("resync"); len(got) != 1 {
			t.Errorf("resync: %v", got)
		}
		if got := b.noted("resync"); len(got) != 0 {
			t.Errorf("resync of one who lost nothing: %v", got)
		}
	})
}

func TestANodeIsSettledWithALeaseBehindIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { time.Sleep(2 * time.Second) }) // see suite
		e := embedded(t)
		a := e.start(t)
		check := func(when string, want bool) {
			t.Helper()
			if a.Settled() != want {
				t.Errorf("%s: settled %v, want %v", when, !want, want)
			}
		}
		check("just joined", false)
		time.Sleep(e.timing.Lease)
		check("a lease later", true)
		a.wire.cut()
		time.Sleep(e.timing.Lease)
		check("cut off for a lease", false)
		a.wire.mend()
		a.until(t, "the node to join anew", func() bool {
			return slices.Contains(a.noted("resync"), event{"resync", "", ResyncLease})
		})
		check("just joined anew", false)
		time.Sleep(e.timing.Lease)
		check("a lease after that", true)
	})
}

// From a former id sessions are shown until they are claimed again, however long
// that takes: it is heard, and not gone.
func TestAFormerIDIsNotGoneBeforeAllIsClaimed(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		var unclaimed atomic.Bool
		a, b := e.start(t, func(cfg *MemberConfig) { cfg.Unclaimed = unclaimed.Load }), e.start(t)
		meet(t, a, b)
		old := a.ID()
		unclaimed.Store(true)
		if err := b.client.rdb.Del(t.Context(), b.client.keys.node(old)).Err(); err != nil {
			t.Fatal(err)
		}
		a.await(t, "resync", 1)
		time.Sleep(5 * e.timing.Lease / 2)
		if got := b.noted("gone"); len(got) != 0 {
			t.Errorf("gone: %v", got)
		}
		b.Send(old, notice("to the old id"))
		a.await(t, "deliver", 1)
		unclaimed.Store(false)
		if got := b.await(t, "gone", 1); got[0].peer != old {
			t.Errorf("gone: %v, want %s", got, old)
		}
		b.Send(old, notice("too late"))
		if got := b.await(t, "undelivered", 1); got[0].text != "too late" {
			t.Errorf("undelivered: %v", got)
		}
	})
}

// A node that the list has lost lists itself again.
func TestUnlistedNodeListsItself(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a, b := e.start(t), e.start(t)
		meet(t, a, b)
		if err := b.client.rdb.SRem(t.Context(), b.client.keys.nodes(), a.ID()).Err(); err != nil {
			t.Fatal(err)
		}
		b.until(t, "a listed again", func() bool {
			listed, err := b.client.rdb.SIsMember(t.Context(), b.client.keys.nodes(), a.ID()).Result()
			return err == nil && listed
		})
		if b.View().Node(a.ID()) == nil {
			t.Error("a was missing from the view, while its lease stood")
		}
	})
}

// While the lease may have run out no record is written: Claim waits for the
// next beat.
func TestClaimWaitsForTheLease(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		n := e.prepare(t)
		ctx, cancel := context.WithTimeout(t.Context(), e.timing.Beat)
		defer cancel()
		early := session("alice@example.com")
		if _, err := n.Claim(ctx, early); !errors.Is(err, ErrUnavailable) || early.Node != "" {
			t.Errorf("Claim before the join: %v, %v", early, err)
		}
		if err := n.Release(t.Context(), early); err != nil {
			t.Errorf("Release of what was never claimed: %v", err)
		}
		claimed := make(chan error)
		go func() {
			_, err := n.Claim(t.Context(), session("alice@example.com"))
			claimed <- err
		}()
		n.run(t)
		if err := <-claimed; err != nil {
			t.Errorf("Claim during the join: %v", err)
		}
	})
}

// The first node of a restarted cluster finds what the dead have left.
func TestFreshClusterIsSwept(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		before := e.start(t)
		var left []*clusterv1.Session
		for range 3 * page / 2 {
			left = append(left, login(t, before, newID()+"@example.com"))
		}
		old := before.ID()
		before.kill()

		after := e.start(t)
		after.sees(t, "the old id unlisted", func(*View) bool {
			listed, err := after.client.rdb.SIsMember(t.Context(), after.client.keys.nodes(), old).Result()
			return err == nil && !listed
		})
		for _, s := range left {
			if got := place(t, after.client, s.Email); got != nil {
				t.Fatalf("%s is still at %v", s.Email, got)
			}
		}
		if n, err := after.client.rdb.Exists(t.Context(), after.client.keys.members(old)).Result(); err != nil || n != 0 {
			t.Errorf("members of the dead node: %d, %v", n, err)
		}
	})
}

// A Redis whose clock steps back, as after a failover, does not make epochs
// shrink: neither for one user nor between users.
func TestClockStepsBack(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a := e.start(t)
		b := e.start(t)
		first := login(t, a, "alice@example.com")
		if e.mini != nil {
			e.mini.SetTime(time.Now().Add(-time.Hour))
			time.Sleep(3 * e.timing.Beat) // measured again
		} else {
			for _, n := range []*node{a, b} {
				now := time.Now()
				n.client.epochs.measure(now.Add(-time.Hour), now, now)
			}
		}
		b.sees(t, "the epoch that a has seen", func(v *View) bool { return v.Node(a.ID()).GetEpoch() >= first.Epoch })
		// No record tells of the first epoch here, only the beat of a.
		other := login(t, b, "bob@example.com")
		second := login(t, b, "alice@example.com")
		if second.Epoch <= first.Epoch || other.Epoch <= first.Epoch {
			t.Errorf("epochs %d and %d after %d", second.Epoch, other.Epoch, first.Epoch)
		}
	})
}

// Redis is not there yet when a node starts.
func TestStartBeforeRedis(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a := e.prepare(t)
		a.wire.cut()
		a.run(t)
		time.Sleep(2 * e.timing.Beat)
		select {
		case <-a.Ready():
			t.Fatal("ready without redis")
		default:
		}
		id := a.ID()
		a.wire.mend()
		a.awaitClosed(t, a.Ready(), "the node to join")
		if a.ID() != id {
			t.Errorf("id changed from %s to %s before the first join", id, a.ID())
		}
		if got := a.noted("resync"); len(got) > 0 {
			t.Errorf("resync at the start: %v", got)
		}

		never := e.prepare(t)
		never.wire.cut()
		never.run(t)
		never.stop() // returns although it never joined
	})
}
