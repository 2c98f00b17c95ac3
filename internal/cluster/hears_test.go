package cluster

import (
	"errors"
	"testing"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
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
		for range 20 {
			if n, err := a.View().PickAlive(t.Context(), role); err != nil || n.GetId() != a.ID() {
				t.Fatalf("picked %v, %v", n, err)
			}
		}
		if n, err := a.View().PickAlive(t.Context(), role, a.ID()); !errors.Is(err, ErrNoNode) {
			t.Errorf("where only the dead are left: picked %v, %v", n, err)
		}
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
