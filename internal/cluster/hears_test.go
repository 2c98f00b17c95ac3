package cluster

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"github.com/redis/go-redis/v9"
)

func TestHears(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a, b := e.start(t), e.start(t)
		hears := func() bool {
			t.Helper()
			heard, err := a.c.Hears(t.Context(), b.ID())
			if err != nil {
				t.Fatal(err)
			}
			return heard
		}
		if !hears() {
			t.Error("a node that runs: want its inbox heard")
		}
		b.kill()
		a.until(t, "the inbox of a dead node is heard by nobody", func() bool { return !hears() })
	})
}

// Nobody is sent to a node that has just died, though its lease still stands.
func TestPickAlive(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a, b := e.start(t), e.start(t)
		meet(t, a, b)
		role := b.View().Node(b.ID()).GetRole()
		b.kill()
		a.until(t, "the inbox of a dead node is heard by nobody", func() bool { return !a.View().Alive(t.Context(), b.ID()) })
		// Whoever finds Redis too slow takes the dead for alive, for a moment.
		a.until(t, "nobody but the living is picked", func() bool {
			for range 20 {
				if n, err := a.View().PickAlive(t.Context(), role); err != nil || n.GetId() != a.ID() {
					return false
				}
			}
			return true
		})
		a.until(t, "nobody is picked where only the dead are left", func() bool {
			_, err := a.View().PickAlive(t.Context(), role, a.ID())
			return errors.Is(err, ErrNoNode)
		})
		a.SetState(clusterv1.State_STATE_DRAINING)
		a.until(t, "nobody is left", func() bool {
			_, err := a.View().PickAlive(t.Context(), role)
			return errors.Is(err, ErrNoNode)
		})
	})
}

// Redis may have thrown all subscribers out a moment ago: where nobody at all
// is heard, nodes are picked by their leases.
func TestPickAliveWhereNobodyIsHeard(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a, b := e.start(t), e.start(t)
		meet(t, a, b)
		role := b.View().Node(b.ID()).GetRole()
		client := e.client(t)
		v := client.Watch(e.timing, nil)
		r, err := client.readNodes(t.Context(), nil, e.timing.Lease)
		if err != nil {
			t.Fatal(err)
		}
		v.install(r)
		a.kill()
		b.kill()
		for begun := time.Now(); v.Alive(t.Context(), a.ID()) || v.Alive(t.Context(), b.ID()); time.Sleep(10 * time.Millisecond) {
			if time.Since(begun) > time.Minute {
				t.Fatal("the dead are heard")
			}
		}
		if _, err := v.PickAlive(t.Context(), role); err != nil {
			t.Error(err)
		}
	})
}

// questions counts how often Redis is asked who is heard.
type questions struct{ n atomic.Int32 }

func (*questions) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*questions) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (q *questions) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "pubsub" {
			q.n.Add(1)
		}
		return next(ctx, cmd)
	}
}

// However many nodes are dead, a reading does not ask for each by itself, and not
// at all where the answer proves nothing.
func TestAReadingAsksForAllTheDeadAtOnce(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		ctx := t.Context()
		c := e.client(t)
		dead := make([]any, page+1)
		for i := range dead {
			dead[i] = newID()
		}
		if err := c.rdb.SAdd(ctx, c.keys.nodes(), dead...).Err(); err != nil {
			t.Fatal(err)
		}
		asked := new(questions)
		c.rdb.AddHook(asked)
		r, err := c.readNodes(ctx, nil, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		want, deaf := int32(2), len(dead) // two pages
		if c.sharded {
			want, deaf = 0, 0
		}
		if n := asked.n.Load(); n != want || len(r.absent) != len(dead) || len(r.deaf) != deaf {
			t.Errorf("a reading with %d dead nodes asked %d times, want %d, and found %d heard by nobody, want %d",
				len(r.absent), n, want, len(r.deaf), deaf)
		}
		if node := e.start(t); !c.sharded && len(c.unheard(ctx, []string{node.ID()})) != 0 {
			t.Error("a node that runs: want its inbox heard")
		}
	})
}

// A node that has joined since the view was read is found by who would have to
// refuse somebody, and by all others who would.
func TestPickAliveFindsNewcomers(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		v := e.client(t).Watch(e.timing, nil) // never read
		a, b := e.start(t), e.start(t)
		role := a.node.Role
		picked, faults := make([]string, 20), make([]error, 20)
		// Not at the first attempt where they join meanwhile, or Redis is slow.
		a.until(t, "everybody to be sent to one of both newcomers", func() bool {
			v.last.Store(&reading{})
			v.looked = time.Time{}
			var group sync.WaitGroup
			for i := range picked {
				group.Go(func() {
					time.Sleep(time.Duration(i) * time.Millisecond)
					var n *clusterv1.Node
					n, faults[i] = v.PickAlive(t.Context(), role)
					picked[i] = n.GetId()
				})
			}
			group.Wait()
			return errors.Join(faults...) == nil && slices.Contains(picked, a.ID()) && slices.Contains(picked, b.ID())
		})
		if n, err := v.PickAlive(t.Context(), role, a.ID(), b.ID()); !errors.Is(err, ErrNoNode) {
			t.Errorf("with the newcomers left out: picked %v, %v", n, err)
		}
		select {
		case <-v.Ready():
			t.Error("a view that was not read counts as read")
		default:
		}
	})
}

// What was read ahead of the view does not bring back who has left since.
func TestALateLookAddsNobody(t *testing.T) {
	v := new(Client).Watch(Timing{}, nil)
	begun := time.Now()
	v.install(&reading{started: begun, byID: map[string]*clusterv1.Node{}})
	gone := []*clusterv1.Node{{Id: "gone"}}
	v.add(&reading{started: begun.Add(-time.Second), nodes: gone})
	if n := v.Nodes(); len(n) != 0 {
		t.Errorf("who had left is back: %v", n)
	}
	v.add(&reading{started: begun.Add(time.Second), nodes: gone})
	if v.Node("gone") == nil || len(v.Nodes()) != 1 {
		t.Errorf("who has joined is not there: %v", v.Nodes())
	}
}
