package convergence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/monarch-msn/monarch/internal/cluster"
	"github.com/monarch-msn/monarch/services/allinone"
	"github.com/monarch-msn/monarch/services/notification"
	"github.com/monarch-msn/monarch/test/cluster/network"
)

// dayClock is a time of day and nothing more: it can be set, and has no
// monotonic part by which a difference would come out right all the same.
type dayClock struct{ ahead atomic.Int64 }

func (c *dayClock) step(d time.Duration) { c.ahead.Add(int64(d)) }

func (c *dayClock) now() time.Time { return time.Now().Round(0).Add(time.Duration(c.ahead.Load())) }

// restless is a time of day that is another with each look at it.
func restless() time.Time {
	return time.Now().Round(0).Add(rand.N(20*time.Minute) - 10*time.Minute)
}

// ledger is a log that notes the epochs of the sessions of each user, in the
// order in which they began.
type ledger struct {
	*epochLedger
	email string
}

type epochLedger struct {
	mu     sync.Mutex
	epochs map[string][]uint64
	anew   int // sessions claimed anew
}

func newLedger() ledger {
	return ledger{epochLedger: &epochLedger{epochs: make(map[string][]uint64)}}
}

func (ledger) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (l ledger) WithGroup(string) slog.Handler { return l }

func (l ledger) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		if a.Key == "email" {
			l.email = a.Value.String()
		}
	}
	return l
}

func (l ledger) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch r.Message {
	case "session claimed anew":
		l.anew++
	case "login":
		r.Attrs(func(a slog.Attr) bool {
			if a.Key == "epoch" {
				l.epochs[l.email] = append(l.epochs[l.email], a.Value.Uint64())
			}
			return true
		})
	}
	return nil
}

// count returns how many sessions began, and how often one was claimed anew.
func (l ledger) count() (logins, anew int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, epochs := range l.epochs {
		logins += len(epochs)
	}
	return logins, l.anew
}

// descents says where a later session of a user does not have the higher epoch.
func (l ledger) descents() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var faults []error
	for email, epochs := range l.epochs {
		for i := 1; i < len(epochs); i++ {
			if epochs[i] <= epochs[i-1] {
				faults = append(faults, fmt.Errorf("%s: session %d has epoch %d, after %d", email, i+1, epochs[i], epochs[i-1]))
			}
		}
	}
	return errors.Join(faults...)
}

// last returns the epoch under which the user's newest session began.
func (l ledger) last(email string) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	epochs := l.epochs[email]
	if len(epochs) == 0 {
		return 0
	}
	return epochs[len(epochs)-1]
}

// clocked is a world whose every clock can be set.
type clocked struct {
	*world
	ledger ledger
	redis  *dayClock
	store  *network.Redis
	rdb    *redis.Client
	seed   uint64
}

// startClocked starts three nodes whose times of day are minutes apart, and the
// third's another with each look, over a Redis with a clock of its own.
func startClocked(t *testing.T) *clocked {
	t.Helper()
	fast, slow, store, sessions := new(dayClock), new(dayClock), new(dayClock), newLedger()
	fast.step(5 * time.Minute)
	slow.step(-5 * time.Minute)
	start, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, err := allinone.Start(start, allinone.Options{
		DataDir: t.TempDir(), NotificationNodes: 3, Timing: quick, Log: slog.New(sessions),
		Clocks: []func() time.Time{fast.now, slow.now, restless}, RedisClock: store.now,
		// Audits amid it all: they are what would close the wrong session.
		Notification: notification.Config{ResyncTime: 500 * time.Millisecond, AuditInterval: time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w, err := newWorld(t.Context(), n, fmt.Sprintf("c%d.example.com", seed), users)
	if err != nil {
		t.Fatal(err)
	}
	opt, err := redis.ParseURL(n.Redis())
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(opt)
	t.Cleanup(func() { _ = rdb.Close() })
	return &clocked{w, sessions, store, &network.Redis{URL: n.Redis()}, rdb, seed}
}

// step sets Redis's clock, and returns once Redis goes by it.
func (c *clocked) step(t *testing.T, d time.Duration) {
	t.Helper()
	c.redis.step(d)
	eventually(t, func(ctx context.Context) error {
		shows, err := c.rdb.Time(ctx).Result()
		if err != nil {
			return err
		}
		if away := c.redis.now().Sub(shows).Abs(); away > time.Minute {
			return fmt.Errorf("Redis's clock is %s away", away)
		}
		return nil
	})
}

// amid has everybody act until f has returned, so that it happens in the midst.
func (c *clocked) amid(t *testing.T, f func()) {
	t.Helper()
	var group errgroup.Group
	done := make(chan struct{})
	group.Go(func() error {
		for {
			c.seed++
			if err := c.acting(t.Context(), c.seed, acts); err != nil {
				return err
			}
			select {
			case <-done:
				return nil
			default:
			}
		}
	})
	f()
	close(done)
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// everybodyElsewhere has every user log in anew on another node, which closes
// the session that is there, and be seen.
func (c *clocked) everybodyElsewhere(t *testing.T, node int) {
	t.Helper()
	var group errgroup.Group
	for i, u := range c.users {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err := u.login(ctx, c.network.Notification(node+i))
			if err == nil {
				err = u.change(ctx, "NLN")
			}
			if err != nil {
				return fmt.Errorf("%s: %w\n%s", u.email, err, u.tail())
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// settled waits until the records are there again and audits have passed over
// every session, and then compares all there is to compare.
func (c *clocked) settled(t *testing.T) {
	t.Helper()
	recovered(t, c.world, c.store)
	eventually(t, c.compare)
	if err := c.ledger.descents(); err != nil {
		t.Errorf("epochs do not grow:\n%v", err)
	}
	client, err := cluster.Open(c.store.URL, cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, u := range c.users {
		if u.client == nil {
			continue
		}
		found, err := client.Lookup(t.Context(), []string{u.email})
		if err != nil {
			t.Fatal(err)
		}
		if got, began := found[u.email].GetEpoch(), c.ledger.last(u.email); got < began || began == 0 {
			t.Errorf("%s: the record has epoch %d, the session began under %d", u.email, got, began)
		}
	}
}

func (c *clocked) empty(t *testing.T) {
	t.Helper()
	if err := c.rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestClocksThatDifferAndStepAreNoticedByNobody(t *testing.T) {
	for _, test := range []struct {
		name, promise string
		disturb       func(t *testing.T, c *clocked)
	}{
		{
			"nodes minutes apart",
			"nodes whose clocks differ by ten minutes, and one whose clock jumps, serve as one",
			func(t *testing.T, c *clocked) { c.amid(t, func() {}) },
		},
		{
			"Redis steps back",
			"a Redis whose clock steps back by ten minutes amid the work disturbs nobody",
			func(t *testing.T, c *clocked) {
				c.amid(t, func() { c.step(t, -10*time.Minute) })
				c.everybodyElsewhere(t, 1)
			},
		},
		{
			"Redis steps back and forgets",
			"a Redis that steps back and then forgets everything brings no displaced session back, and lets later sessions win",
			func(t *testing.T, c *clocked) {
				c.amid(t, func() { c.step(t, -10*time.Minute) })
				c.empty(t)
				c.everybodyElsewhere(t, 2)
			},
		},
		{
			"Redis steps forward",
			"a Redis whose clock steps forward by an hour amid the work, ending every lease and ticket, is repaired behind it",
			func(t *testing.T, c *clocked) {
				c.lossy = true
				c.amid(t, func() { c.step(t, time.Hour) })
				c.everybodyElsewhere(t, 3)
			},
		},
		{
			"Redis steps forward, back and forgets",
			"after an hour forward and back, and everything forgotten, later sessions still win",
			func(t *testing.T, c *clocked) {
				c.step(t, time.Hour)
				c.everybodyElsewhere(t, 4)
				c.step(t, -time.Hour)
				c.empty(t)
				c.everybodyElsewhere(t, 5)
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := startClocked(t)
			t.Logf("promise: %s", test.promise)
			// From here on everybody is there, and watched by some.
			c.everybodyElsewhere(t, 0)
			if err := c.round(t.Context(), c.seed, acts); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			test.disturb(t, c)
			c.settled(t)
			took := time.Since(begun)
			c.seed++
			if err := c.round(t.Context(), c.seed, acts); err != nil {
				t.Fatal(err)
			}
			logins, anew := c.ledger.count()
			t.Logf("figure: right again and seen to stay so within %.1f s; %d sessions of %d users, later ones always under higher epochs; %d claimed anew; wrong views: 0",
				took.Seconds(), logins, len(c.users), anew)
		})
	}
}
