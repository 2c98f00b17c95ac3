package directory

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// wait returns when so many wait in a lane.
func (g *gate) wait(t *testing.T, l lane, n int) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		if _, waiting := g.load(l); waiting == n {
			return
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("it does not come to %d waiting logins, reads, ... of kind %v", n, l)
		}
	}
}

func mustEnter(t *testing.T, g *gate, l lane) (leave func()) {
	t.Helper()
	leave, err := g.enter(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	return leave
}

func TestNoKindOfCallTakesAllPlaces(t *testing.T) {
	for l, want := range map[lane]int{logins: 8, reads: 12, edits: 12, accounts: 4} {
		g := newGate(16, 8, 0, time.Minute)
		for range want {
			mustEnter(t, g, l)
		}
		if _, err := g.enter(t.Context(), l); !errors.Is(err, errCrowded) {
			t.Errorf("%v: want %d at once, got one more and %v", l, want, err)
		}
	}
	g := newGate(16, 8, 0, time.Minute)
	for range 8 {
		mustEnter(t, g, logins)
		mustEnter(t, g, edits)
	}
	if _, err := g.enter(t.Context(), reads); !errors.Is(err, errCrowded) {
		t.Errorf("a seventeenth call came in: %v", err)
	}
}

func TestWaitingForATurnEnds(t *testing.T) {
	left, leave := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	leave(gone)
	for _, tc := range []struct {
		name     string
		ctx      context.Context
		lane     lane
		queue    int
		patience time.Duration
		want     error
	}{
		{"when the queue is full, at once", t.Context(), logins, 0, time.Hour, errCrowded},
		{"when it has lasted too long", t.Context(), edits, 1, time.Millisecond, errCrowded},
		{"when the caller has left", left, reads, 1, time.Hour, gone},
		{"when the caller has left, also for the operator", left, accounts, 1, time.Nanosecond, gone},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newGate(1, 1, tc.queue, tc.patience)
			leave := mustEnter(t, g, reads)
			if _, err := g.enter(tc.ctx, tc.lane); !errors.Is(err, tc.want) {
				t.Errorf("want %v, got %v", tc.want, err)
			}
			if _, waiting := g.load(tc.lane); waiting != 0 {
				t.Errorf("%d still wait", waiting)
			}
			leave()
			mustEnter(t, g, tc.lane)
		})
	}
}

// A herd of logins waits behind the backs of those who are in, and is not
// forgotten either.
func TestTurnsAreSpread(t *testing.T) {
	g := newGate(1, 1, 100, time.Hour)
	leave := mustEnter(t, g, reads)
	entered := make(chan lane)
	next := make(chan struct{})
	var all sync.WaitGroup
	for l, n := range [lanes]int{logins: 60, reads: 10, edits: 8, accounts: 2} {
		for range n {
			all.Go(func() {
				leave, err := g.enter(t.Context(), lane(l))
				if err != nil {
					t.Error(err)
					return
				}
				entered <- lane(l)
				<-next
				leave()
			})
		}
		g.wait(t, lane(l), n)
	}
	leave()
	var first, then [lanes]int
	for i := range 80 {
		l := <-entered
		if i < 22 {
			first[l]++
		} else {
			then[l]++
		}
		next <- struct{}{}
	}
	all.Wait()
	if want := [lanes]int{logins: 2, reads: 10, edits: 8, accounts: 2}; first != want {
		t.Errorf("of the first 22, want %v, got %v", want, first)
	}
	if want := [lanes]int{logins: 58}; then != want {
		t.Errorf("of the others, want %v, got %v", want, then)
	}
}

func TestEveryPlaceIsGivenBack(t *testing.T) {
	const places = 5
	g := newGate(places, 2, 10, 2*time.Millisecond)
	var all sync.WaitGroup
	var mu sync.Mutex
	inside, most, refused := 0, 0, 0
	for i := range 64 {
		rng := rand.New(rand.NewPCG(1, uint64(i)))
		all.Go(func() {
			for range 200 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.Int64N(int64(4*time.Millisecond))))
				leave, err := g.enter(ctx, lane(rng.IntN(int(lanes))))
				cancel()
				mu.Lock()
				if err != nil {
					refused++
					mu.Unlock()
					continue
				}
				inside++
				most = max(most, inside)
				mu.Unlock()
				time.Sleep(time.Duration(rng.Int64N(int64(200 * time.Microsecond))))
				mu.Lock()
				inside--
				mu.Unlock()
				leave()
			}
		})
	}
	all.Wait()
	if most != places || refused == 0 {
		t.Errorf("want %d inside at most and some refused, got %d and %d", places, most, refused)
	}
	if g.free != places {
		t.Errorf("want all %d places back, got %d", places, g.free)
	}
	for l := range lanes {
		if busy, waiting := g.load(l); busy != 0 || waiting != 0 {
			t.Errorf("%v: %d at work, %d waiting", l, busy, waiting)
		}
	}
}

func TestAPanicGivesItsPlaceBack(t *testing.T) {
	g := newGate(1, 1, 0, time.Hour)
	leave := mustEnter(t, g, edits)
	func() {
		defer func() { _ = recover() }()
		_, _ = inside(t.Context(), leave, func(context.Context) (int, error) { panic("at work") })
	}()
	mustEnter(t, g, edits)
}

func TestKindsHaveNames(t *testing.T) {
	var names []string
	for l := range lanes {
		names = append(names, l.String())
	}
	if got, want := strings.Join(names, " "), "login read edit account"; got != want {
		t.Errorf("want %s, got %s", want, got)
	}
}
