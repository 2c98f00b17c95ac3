package cluster

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// replicated starts a Redis Cluster for one test, each master with a replica,
// and returns an engine on it.
func replicated(t *testing.T) (*engine, []*server) {
	t.Helper()
	needServers(t)
	servers, err := launchCluster(t.TempDir(), clusterMasters)
	t.Cleanup(func() {
		for _, s := range servers {
			s.close()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var addrs []string
	for _, s := range servers {
		addrs = append(addrs, s.addr)
	}
	e := external(t, "redis+cluster://"+strings.Join(addrs, ","))
	return e, servers
}

// shardOf returns which master has a key at the start; its replica is
// clusterMasters further on. It is for keys with a hash tag, as ours all are.
func shardOf(key string) int {
	_, tag, _ := strings.Cut(key, "{")
	tag, _, _ = strings.Cut(tag, "}")
	var crc uint16 // CRC-16/XMODEM, as Redis Cluster has it
	for _, c := range []byte(tag) {
		crc ^= uint16(c) << 8
		for range 8 {
			carry := crc&0x8000 != 0
			if crc <<= 1; carry {
				crc ^= 0x1021
			}
		}
	}
	slot := int(crc) % clusterSlots
	for shard := range clusterMasters {
		if slot < (shard+1)*clusterSlots/clusterMasters {
			return shard
		}
	}
	return -1
}

// onShard starts a node whose lease and inbox are with one of the masters.
func (e *engine) onShard(t *testing.T, shard int) *node {
	t.Helper()
	for {
		n := e.prepare(t, func(cfg *MemberConfig) {
			cfg.Node.Addresses = []*clusterv1.Address{{Address: newID() + ":1863"}}
		})
		if shardOf(n.client.keys.node(n.ID())) == shard {
			n.run(t)
			n.awaitClosed(t, n.Ready(), "the node to join")
			return n
		}
		_ = n.client.Close()
	}
}

// emailOn returns an email whose record is with one of the masters.
func emailOn(n *node, shard int) string {
	for i := 0; ; i++ {
		email := fmt.Sprintf("user%d@example.com", i)
		if shardOf(n.client.keys.session(email)) == shard {
			return email
		}
	}
}

// replies waits until a message from one node reaches another, however often
// that takes.
func replies(t *testing.T, from, to *node, text string) {
	t.Helper()
	to.until(t, "a message after the failover", func() bool {
		from.Send(to.ID(), notice(text))
		return slices.ContainsFunc(to.noted("deliver"), func(e event) bool { return e.text == text })
	})
}

// A master dies, and its replica takes its place: nodes whose lease and inbox
// were there go on under the ids that they had, others hardly notice, and all
// compare what they have told with what is written.
func TestRedisClusterMasterDies(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*server) error{
		// A machine that is gone refuses connections; one that hangs takes them
		// and keeps those that it has.
		"killed": func(s *server) error { s.kill(); return nil },
		"hangs":  func(s *server) error { return s.cmd.Process.Signal(syscall.SIGSTOP) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, servers := replicated(t)
			e.timing.Lease = 15 * time.Second // longer than Redis takes
			dying := shardOf(e.prefix + "{nodes}")
			a, b := e.onShard(t, dying), e.onShard(t, (dying+1)%clusterMasters)
			meet(t, a, b)
			ids := []string{a.ID(), b.ID()}
			alice := login(t, b, emailOn(b, dying))
			bob := login(t, b, emailOn(b, (dying+2)%clusterMasters))

			begun := time.Now()
			if err := fault(servers[dying]); err != nil {
				t.Fatal(err)
			}
			// What other servers have is there all the time.
			if got := place(t, b.client, bob.Email); got.GetId() != bob.Id {
				t.Errorf("bob is at %v", got)
			}
			if d := time.Since(begun); d > 2*time.Second {
				t.Errorf("it took %v to find bob, whose record is on another server", d)
			}
			if err := servers[dying+clusterMasters].await("role:master", "info", "replication"); err != nil {
				t.Fatal(err)
			}
			promoted := time.Since(begun)
			replies(t, b, a, "through the new master")
			t.Logf("promoted after %.1f s, first message %.1f s later", promoted.Seconds(), (time.Since(begun) - promoted).Seconds())
			replies(t, a, b, "back")
			for _, n := range []*node{a, b} {
				n.until(t, "the resync", func() bool {
					return slices.Contains(n.noted("resync"), event{"resync", "", ResyncFailover})
				})
			}
			if _, _, err := reclaim(t, b, alice); err != nil {
				t.Errorf("reclaim on the new master: %v", err)
			}
			if heard, err := b.client.Hears(t.Context(), a.ID()); err != nil || !heard {
				t.Errorf("the inbox of a node that lives is heard: %t, %v", heard, err)
			}
			if got := []string{a.ID(), b.ID()}; !slices.Equal(got, ids) {
				t.Errorf("nodes are %v, were %v", got, ids)
			}
			if gone := append(a.noted("gone"), b.noted("gone")...); len(gone) > 0 {
				t.Errorf("buried: %v", gone)
			}
			_ = servers[dying].cmd.Process.Signal(syscall.SIGCONT) // so that it can be ended
		})
	}
}

// A master steps down in good order, and its connections stay: the inbox must
// be opened with the one that follows it, where publishers count who hears.
func TestInboxFollowsTheMaster(t *testing.T) {
	t.Parallel()
	e, servers := replicated(t)
	a := e.onShard(t, 0)
	b := e.onShard(t, 1)
	meet(t, a, b)
	if err := servers[clusterMasters].rdb.Do(t.Context(), "cluster", "failover").Err(); err != nil {
		t.Fatal(err)
	}
	if err := servers[0].await("role:slave", "info", "replication"); err != nil {
		t.Fatal(err)
	}
	b.until(t, "the inbox to be heard with the new master", func() bool {
		n, err := servers[clusterMasters].rdb.PubSubShardNumSub(t.Context(), b.client.keys.inbox(a.ID())).Result()
		heard, errHears := b.client.Hears(t.Context(), a.ID())
		return err == nil && errHears == nil && heard && n[b.client.keys.inbox(a.ID())] == 1
	})
	replies(t, b, a, "after")
	if got := b.noted("undelivered"); len(got) > 0 && got[len(got)-1].text == "after" && len(a.noted("deliver")) == 0 {
		t.Errorf("undelivered: %v", got)
	}
}

// One master is emptied, which takes some leases and leaves others: those whose
// leases are gone join anew, and are not taken for dead by the others.
func TestOneMasterIsEmptied(t *testing.T) {
	t.Parallel()
	e, servers := replicated(t)
	a, b := e.onShard(t, 0), e.onShard(t, 1)
	meet(t, a, b)
	b.until(t, "a lease of its own", func() bool { return time.Since(b.joined) > e.timing.Lease })
	old := a.ID()
	if err := servers[0].rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	v := b.View()
	v.mu.Lock()
	seen := v.present[old].at
	v.mu.Unlock()
	a.until(t, "a new lease", func() bool { return a.ID() != old })
	b.until(t, "the old id to be buried", func() bool {
		return slices.Contains(b.noted("gone"), event{"gone", old, ""})
	})
	if d := time.Since(seen); d < e.timing.Lease*3/4 {
		t.Errorf("buried %v after it was seen, want a lease to claim sessions again", d)
	}
	b.sees(t, "the node under its new id", func(v *View) bool { return v.Node(a.ID()) != nil })
}

// A view goes on with those servers that answer: a node whose lease is on one
// that does not stays as it was, another may come and go.
func TestViewOfAClusterInPart(t *testing.T) {
	t.Parallel()
	e, servers := replicated(t)
	e.timing.Lease = 8 * time.Second // as long as a message may wait
	// The others must serve without it, and nobody is to replace it.
	for _, s := range servers[:clusterMasters] {
		if err := s.rdb.ConfigSet(t.Context(), "cluster-require-full-coverage", "no").Err(); err != nil {
			t.Fatal(err)
		}
	}
	hanging := (shardOf(e.prefix+"{nodes}") + 1) % clusterMasters
	servers[hanging+clusterMasters].kill()
	a, b := e.onShard(t, hanging), e.onShard(t, (hanging+1)%clusterMasters)
	c, d := e.onShard(t, (hanging+2)%clusterMasters), e.onShard(t, (hanging+2)%clusterMasters)
	meet(t, a, b, c, d)
	b.until(t, "a lease of its own", func() bool { return time.Since(b.joined) > e.timing.Lease })
	if err := servers[hanging].cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	c.kill()
	b.until(t, "the burial of the node that died", func() bool {
		return slices.Contains(b.noted("gone"), event{"gone", c.ID(), ""})
	})
	if b.View().Node(a.ID()) == nil {
		t.Error("a node whose lease cannot be read is not seen any more")
	}
	if got := b.noted("gone"); len(got) != 1 {
		t.Errorf("gone: %v", got)
	}
	// What is sent to a node that cannot be reached holds up nothing else, while
	// it is tried for as long as a message may wait.
	b.Send(a.ID(), notice("waits"))
	b.Send(d.ID(), notice("goes"))
	d.await(t, "deliver", 1)
	if b.out.queued() == 0 {
		t.Error("the message to the node that cannot be reached was given up first")
	}
	if err := servers[hanging].cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	replies(t, b, a, "again")
}
