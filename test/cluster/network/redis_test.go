package network_test

import (
	"context"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/test/cluster/network"
)

// A server that is started again in place has its port, and nothing else.
func TestRedisStartsAgainEmpty(t *testing.T) {
	network.RequireStores(t)
	r := network.StartRedis(t)
	do := func(args ...any) any {
		t.Helper()
		reply, err := r.Do(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
	do("SET", "key", "value")
	r.Kill()
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	r.AwaitReady()
	if n := do("DBSIZE"); n != int64(0) {
		t.Errorf("%v keys after the start, want none", n)
	}
}

// Masters die and are ordered to step down, time and again.
func TestSentinelFailsOver(t *testing.T) {
	network.RequireStores(t)
	s := network.StartSentinel(t, 3)
	first := s.Servers[0]
	for round := range 2 {
		begun := time.Now()
		old, err := s.KillMaster(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 && old != first {
			t.Errorf("killed %s, want the first server, which began as the master", old.Name)
		}
		master, err := s.AwaitMaster(t.Context(), old)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("figure: %s took over within %.1f s", master.Name, time.Since(begun).Seconds())
		if err := s.Revive(t.Context(), old); err != nil {
			t.Fatal(err)
		}
	}
	old, err := s.Master(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if master, err := s.Failover(t.Context()); err != nil || master == old {
		t.Errorf("ordered to fail over from %s: %v", old.Name, err)
	}
}

// Masters die, step down and hand slots over; what was written stays.
func TestRedisClusterFailsOver(t *testing.T) {
	network.RequireStores(t)
	begun := time.Now()
	c := network.StartRedisCluster(t)
	t.Logf("figure: started within %.1f s", time.Since(begun).Seconds())
	const key = "{some}key"
	write := func(value string) {
		t.Helper()
		if _, err := c.Do(t.Context(), key, "SET", key, value); err != nil {
			t.Fatal(err)
		}
		master, err := c.Master(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if err := master.AwaitReplicas(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	read := func(want string) {
		t.Helper()
		if got, err := c.Do(t.Context(), key, "GET", key); err != nil || got != want {
			t.Errorf("read %v, %v, want %q", got, err, want)
		}
	}
	replaced := func(how string, bring func(ctx context.Context, key string) error) *network.Redis {
		t.Helper()
		old, err := c.Master(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if err := bring(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		master, err := c.AwaitMaster(t.Context(), key, old)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("figure: %s %s, %s took over within %.1f s", old.Name, how, master.Name, time.Since(begun).Seconds())
		return old
	}

	write("moved")
	replaced("gave the slot away", c.MoveSlot)
	read("moved")
	for range 2 {
		write("survives")
		old := replaced("was killed", func(ctx context.Context, key string) error {
			_, err := c.KillMaster(ctx, key)
			return err
		})
		read("survives")
		if err := c.Revive(t.Context(), old); err != nil {
			t.Fatal(err)
		}
	}
	write("handed over")
	replaced("stepped down", c.Failover)
	read("handed over")
}
