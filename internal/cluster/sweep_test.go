package cluster

import (
	"context"
	"strings"
	"sync"
	"testing"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"github.com/redis/go-redis/v9"
)

// beforeScript is a hook that does something once, ahead of the first script.
type beforeScript struct {
	once sync.Once
	do   func()
}

func (*beforeScript) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*beforeScript) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h *beforeScript) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if strings.HasPrefix(cmd.Name(), "eval") {
			h.once.Do(h.do)
		}
		return next(ctx, cmd)
	}
}

// A record that is written again while it is swept, under the name of the dead
// node still, must not slip out of the set by which it is found.
func TestSweepLosesARace(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		c, late := e.client(t), e.client(t)
		ctx := t.Context()
		dead, email := newID(), "alice@example.com"
		write := func(epoch uint64) {
			t.Helper()
			value, err := encode(&clusterv1.Session{Id: "session", Email: email, Node: dead, Epoch: epoch})
			if err != nil {
				t.Fatal(err)
			}
			if err := late.rdb.Set(ctx, late.keys.session(email), value, 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
		for key, member := range map[string]string{c.keys.nodes(): dead, c.keys.members(dead): email} {
			if err := c.rdb.SAdd(ctx, key, member).Err(); err != nil {
				t.Fatal(err)
			}
		}
		write(1)
		lost := false
		c.rdb.AddHook(&beforeScript{do: func() {
			lost = true
			write(2)
		}})

		freed, err := c.sweep(ctx, dead)
		if err != nil || freed != 1 {
			t.Errorf("sweep: %d freed, %v", freed, err)
		}
		if !lost {
			t.Fatal("nobody was ahead of the sweep")
		}
		if got := place(t, c, email); got != nil {
			t.Errorf("after the sweep alice is at %v", got)
		}
		if n, err := c.rdb.Exists(ctx, c.keys.members(dead)).Result(); err != nil || n != 0 {
			t.Errorf("members of the dead node: %d, %v", n, err)
		}
	})
}

// A failover can lose that a node stood in the list. Once the node is dead the
// others put it back, and it is swept like any other.
func TestANodeThatTheListHasLostIsSwept(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a, b := e.start(t), e.start(t)
		meet(t, a, b)
		login(t, b, "alice@example.com")
		b.kill()
		ctx := t.Context()
		if err := a.client.rdb.SRem(ctx, a.client.keys.nodes(), b.ID()).Err(); err != nil {
			t.Fatal(err)
		}
		a.until(t, "the members of the dead node are gone", func() bool {
			n, err := a.client.rdb.Exists(ctx, a.client.keys.members(b.ID())).Result()
			return err == nil && n == 0
		})
	})
}

// What a node was called before is swept too, also if Redis has lost that.
func TestAFormerIDThatTheListHasLostIsSwept(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a := e.start(t)
		alice := login(t, a, "alice@example.com")
		ctx, former := t.Context(), a.ID()
		c := e.client(t)
		if err := c.rdb.SRem(ctx, c.keys.nodes(), former).Err(); err != nil {
			t.Fatal(err)
		}
		if err := c.rdb.Del(ctx, c.keys.node(former)).Err(); err != nil {
			t.Fatal(err)
		}
		a.await(t, "resync", 1)
		if _, _, err := reclaim(t, a, alice); err != nil {
			t.Fatal(err)
		}
		a.until(t, "the members under the former id are gone", func() bool {
			n, err := c.rdb.Exists(ctx, c.keys.members(former)).Result()
			return err == nil && n == 0
		})
	})
}
