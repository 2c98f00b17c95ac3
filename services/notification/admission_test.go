package notification

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/metric/noop"

	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
)

func testAdmission(t *testing.T, cfg LoginConfig, capacity int) *admission {
	t.Helper()
	a, err := newAdmission(cfg.withDefaults(), capacity, noop.Meter{})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestSeatsAreKeptForThoseWhoAreChallenged(t *testing.T) {
	now := time.Unix(1e9, 0)
	a := testAdmission(t, LoginConfig{}, 2)
	first, second := a.hold(now), a.hold(now.Add(time.Second))
	if first == nil || second == nil {
		t.Fatal("no seat on an empty node")
	}
	if a.hold(now.Add(heldFor-1)) != nil {
		t.Error("a third seat while two are held and there are two")
	}
	if !a.take(second, now.Add(2*time.Second)) {
		t.Error("a seat that is held could not be taken")
	}
	// The first has not answered, and loses its seat to a third.
	late := now.Add(heldFor)
	third := a.hold(late)
	if third == nil {
		t.Error("no seat although the first was held for too long")
	}
	if a.take(first, late) {
		t.Error("who was late has taken a third seat of two")
	}
	a.free(third)
	if !a.take(first, late) {
		t.Error("who was late could not take a seat that is free")
	}
	if got := a.load(); got != 2 {
		t.Errorf("load: want 2, got %d", got)
	}
	for range 2 { // a seat can be given back more than once
		a.free(first)
		a.free(second)
		a.free(third)
		a.free(nil)
	}
	if got := a.load(); got != 0 {
		t.Errorf("load when all are gone: want 0, got %d", got)
	}
}

// Whatever order clients come, answer, are late and leave in, there are never
// more than fit, and all seats are free in the end.
func TestNeverMoreSeatsThanCapacity(t *testing.T) {
	const capacity, clients, steps = 7, 40, 20_000
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	a := testAdmission(t, LoginConfig{}, capacity)
	now := time.Unix(1e9, 0)
	var seats [clients]*seat
	in := make(map[int]bool)
	for step := range steps {
		now = now.Add(time.Duration(rng.Int64N(int64(heldFor / 10))))
		i := rng.IntN(clients)
		switch {
		case seats[i] == nil:
			seats[i] = a.hold(now)
		case !in[i] && rng.IntN(3) > 0:
			in[i] = a.take(seats[i], now)
		default:
			a.free(seats[i])
			seats[i], in[i] = nil, false
		}
		inside := 0
		for _, is := range in {
			if is {
				inside++
			}
		}
		if inside > capacity || a.taken != inside || a.load() > capacity {
			t.Fatalf("seed %d, step %d: %d are inside, %d seats are taken and %d kept, of %d", seed, step, inside, a.taken, a.load(), capacity)
		}
		if len(a.holds) > steps/10 {
			t.Fatalf("seed %d, step %d: %d holds are remembered", seed, step, len(a.holds))
		}
	}
	for _, s := range seats {
		a.free(s)
	}
	if a.load() != 0 || a.hold(now) == nil {
		t.Errorf("seed %d: when all have left, %d seats are kept", seed, a.load())
	}
}

// fakeClient is a client that can hang up.
type fakeClient struct{ gone chan struct{} }

func newFakeClient() *fakeClient { return &fakeClient{make(chan struct{})} }

func (c *fakeClient) Await(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-c.gone:
		return io.EOF
	}
}

// entry is the result of an enter that is under way.
func entry(a *admission, c *fakeClient) <-chan error {
	result := make(chan error, 1)
	go func() { result <- a.enter(c) }()
	synctest.Wait() // it is done, or stands in the queue
	return result
}

func wantRefused(t *testing.T, err error, reason front.Reason, code msnp.Code) {
	t.Helper()
	var end *front.Close
	var got msnp.Code
	if !errors.As(err, &end) || end.Reason != reason || errors.As(err, &got) && got != code {
		t.Errorf("want the end of the connection for %q with %d, got %v", reason, code, err)
	}
}

func TestLoginsAreDoneInTheOrderTheyCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := testAdmission(t, LoginConfig{LoginsAtOnce: 2}, 10)
		for range 2 {
			if err := <-entry(a, newFakeClient()); err != nil {
				t.Fatal(err)
			}
		}
		var waiting []<-chan error
		for range 5 {
			waiting = append(waiting, entry(a, newFakeClient()))
		}
		for i, next := range waiting {
			for j, other := range waiting[i:] {
				if len(other) != 0 {
					t.Fatalf("login %d is done although only %d have been", i+j, i)
				}
			}
			a.exit()
			synctest.Wait()
			if len(next) != 1 {
				t.Fatalf("login %d is not done although it is its turn", i)
			}
			if err := <-next; err != nil {
				t.Fatal(err)
			}
		}
		a.exit()
		a.exit()
		if a.running != 0 || a.waiting.Len() != 0 {
			t.Errorf("in the end %d run and %d wait", a.running, a.waiting.Len())
		}
	})
}

func TestLoginThatWaitsForTooLongIsToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := testAdmission(t, LoginConfig{LoginsAtOnce: 1, LoginWait: 3 * time.Second}, 10)
		if err := <-entry(a, newFakeClient()); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		wantRefused(t, <-entry(a, newFakeClient()), front.ReasonRefused, msnp.CodeBusy)
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("want the answer after 3s, got it after %v", took)
		}
		a.exit()
		if err := <-entry(a, newFakeClient()); err != nil {
			t.Errorf("once there is room again: %v", err)
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := testAdmission(t, LoginConfig{LoginsAtOnce: 1, LoginQueue: 2}, 10)
		if err := <-entry(a, newFakeClient()); err != nil {
			t.Fatal(err)
		}
		first, second := entry(a, newFakeClient()), entry(a, newFakeClient())
		start := time.Now()
		wantRefused(t, <-entry(a, newFakeClient()), front.ReasonRefused, msnp.CodeBusy)
		if took := time.Since(start); took != 0 {
			t.Errorf("want the answer at once, got it after %v", took)
		}
		for _, next := range []<-chan error{first, second} {
			a.exit()
			if err := <-next; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestWhoHangsUpLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := testAdmission(t, LoginConfig{LoginsAtOnce: 1, LoginQueue: 2}, 10)
		if err := <-entry(a, newFakeClient()); err != nil {
			t.Fatal(err)
		}
		impatient := newFakeClient()
		gone, next := entry(a, impatient), entry(a, newFakeClient())
		close(impatient.gone)
		wantRefused(t, <-gone, front.ReasonClient, 0)
		// There is room in the queue again, and the turn goes to the next.
		last := entry(a, newFakeClient())
		for _, c := range []<-chan error{next, last} {
			a.exit()
			if err := <-c; err != nil {
				t.Error(err)
			}
		}
	})
}

// A turn that comes at the moment when its client is gone is not lost.
func TestNoTurnIsLost(t *testing.T) {
	const clients = 500
	a := testAdmission(t, LoginConfig{LoginsAtOnce: 3, LoginQueue: clients, LoginWait: time.Millisecond}, 10)
	var all sync.WaitGroup
	for i := range clients {
		c := newFakeClient()
		all.Go(func() {
			if a.enter(c) == nil {
				a.exit()
			}
		})
		if i%3 == 0 {
			close(c.gone)
		}
	}
	all.Wait()
	if a.running != 0 || a.waiting.Len() != 0 {
		t.Errorf("in the end %d run and %d wait", a.running, a.waiting.Len())
	}
}

func TestLoginConfigIsChecked(t *testing.T) {
	for _, cfg := range []LoginConfig{{LoginsAtOnce: -1}, {LoginQueue: -1}, {LoginWait: -1}} {
		if err := (Config{LoginConfig: cfg}).Validate(); err == nil {
			t.Errorf("%+v: want a fault, got none", cfg)
		}
	}
}
