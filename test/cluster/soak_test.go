package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/test/cluster/network"
)

const (
	// soakTime is how long a soak goes on where MONARCH_SOAK_TIME does not say.
	soakTime = 20 * time.Second
	// troubleEvery is the time from one trouble to the next, whether or not the
	// last one is over.
	troubleEvery = 20 * time.Second
	// checkEvery is how many troubles pass between two moments of rest, in
	// which all views are compared.
	checkEvery = 5
	// soakPatience is how long the truth may take after several troubles.
	soakPatience = 3 * time.Minute
)

// soaking reports whether there is time for what takes long.
func soaking() bool { return os.Getenv("MONARCH_SOAK_TIME") != "" }

// Troubles come at random and overlap, as long as MONARCH_SOAK_TIME says, to a
// network on each kind of Redis in turn. In the end nobody has been told
// anything wrong, no acknowledged edit is lost, and nothing is left behind: no
// record, no key, no goroutine, no file.
func TestSoak(t *testing.T) {
	t.Parallel()
	network.RequireStores(t)
	each := soakTime
	kinds := []string{"one Redis"}
	if text := os.Getenv("MONARCH_SOAK_TIME"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("MONARCH_SOAK_TIME: %v", err)
		}
		kinds = slices.Sorted(maps.Keys(soakStages))
		each = d / time.Duration(len(kinds))
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Logf("promise: whatever happens, nobody is told anything wrong, nothing acknowledged is lost, nothing is left behind")
			s, troubles := soakStages[kind](t)
			s.soak(t, each, troubles)
		})
	}
}

// soakStages make a scene by the kind of its Redis, with the troubles that fit.
var soakStages = map[string]func(t *testing.T) (*scene, []trouble){
	"one Redis": func(t *testing.T) (*scene, []trouble) {
		s := soakScene(t, "")
		s.servers = []*network.Redis{s.Redis}
		return s, slices.Concat(processTroubles, redisTroubles)
	},
	"Redis with Sentinels": func(t *testing.T) (*scene, []trouble) {
		redis := network.StartSentinel(t, 3)
		s := soakScene(t, redis.URL)
		s.servers = redis.Servers
		strike := func(name string, strike func(ctx context.Context, old *network.Redis) error) trouble {
			return trouble{name: name, play: func(ctx context.Context, s *scene) (string, error) {
				return s.onStore(redis.Servers[0].Process, func() error {
					old, err := redis.Master(ctx)
					if err != nil {
						return err
					}
					return strike(ctx, old)
				})
			}}
		}
		return s, append(slices.Clone(processTroubles),
			strike("the master dies", func(ctx context.Context, old *network.Redis) error {
				if _, err := redis.KillMaster(ctx); err != nil {
					return err
				}
				if _, err := redis.AwaitMaster(ctx, old); err != nil {
					return err
				}
				return redis.Revive(ctx, old)
			}),
			strike("a failover is ordered", func(ctx context.Context, _ *network.Redis) error {
				_, err := redis.Failover(ctx)
				return err
			}),
		)
	},
	"Redis Cluster": func(t *testing.T) (*scene, []trouble) {
		redis := network.StartRedisCluster(t)
		s := soakScene(t, redis.URL)
		s.servers = redis.Servers
		on := func(name string, play func(ctx context.Context, key string) error) trouble {
			return trouble{name: name, play: func(ctx context.Context, s *scene) (string, error) {
				return s.onStore(redis.Servers[0].Process, func() error {
					return play(ctx, fmt.Sprintf("monarch:session:{%s}", someUser(s)))
				})
			}}
		}
		return s, append(slices.Clone(processTroubles),
			on("a master dies", func(ctx context.Context, key string) error {
				old, err := redis.KillMaster(ctx, key)
				if err != nil {
					return err
				}
				if _, err := redis.AwaitMaster(ctx, key, old); err != nil {
					return err
				}
				return redis.Revive(ctx, old)
			}),
			on("a failover is ordered", func(ctx context.Context, key string) error {
				old, err := redis.Master(ctx, key)
				if err != nil {
					return err
				}
				if err := redis.Failover(ctx, key); err != nil {
					return err
				}
				_, err = redis.AwaitMaster(ctx, key, old)
				return err
			}),
			on("a slot moves", redis.MoveSlot),
		)
	},
}

// soakScene is a network with a database of its own, to which things happen
// too.
func soakScene(t *testing.T, redis string) *scene {
	postgres := network.StartPostgresPair(t)
	s := newScene(t, network.Options{
		Notifications: 3, Switchboards: 2, Directories: 2, Dispatches: 2, Redis: redis, Database: postgres.URL,
	}, soakUsers())
	s.postgres = postgres
	return s
}

// soakUsers is how many there are.
func soakUsers() int {
	if soaking() {
		return 200
	}
	return 80
}

// someUser is somebody of the crowd.
func someUser(s *scene) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("user%d@crowd.example.com", s.rng.IntN(soakUsers()))
}

// onStore plays a trouble of a store to which nothing else happens; p stands
// for it.
func (s *scene) onStore(p *network.Process, play func() error) (string, error) {
	if _, _, err := s.take([]*network.Process{p}); err != nil {
		return "", err
	}
	defer s.give(p)
	return "", play()
}

// databaseTroubles are those of the scene's own PostgreSQL.
var databaseTroubles = []trouble{
	{name: "the database is restarted", play: func(ctx context.Context, s *scene) (string, error) {
		return s.onDatabase(func() error { return s.postgres.Restart(ctx) })
	}},
	{name: "the database crashes", play: func(ctx context.Context, s *scene) (string, error) {
		return s.onDatabase(func() error {
			if err := s.postgres.Crash(); err != nil {
				return err
			}
			pause(ctx, 3*time.Second)
			return s.postgres.Start(ctx)
		})
	}},
	{name: "the database fails over to its standby", play: func(ctx context.Context, s *scene) (string, error) {
		return s.onDatabase(func() error {
			if err := s.postgres.Failover(ctx); err != nil {
				return err
			}
			pause(ctx, 2*time.Second)
			return s.postgres.Rejoin(ctx)
		})
	}},
	{name: "the database answers nothing for ten seconds", play: func(ctx context.Context, s *scene) (string, error) {
		return s.onDatabase(func() error {
			if err := s.postgres.Pause(); err != nil {
				return err
			}
			pause(ctx, 10*time.Second)
			return s.postgres.Resume()
		})
	}},
}

// onDatabase is onStore for PostgreSQL, whose operator stands for it.
func (s *scene) onDatabase(play func() error) (string, error) {
	return s.onStore(s.Roles.Operator, play)
}

// soak plays troubles at random for a while, and looks at what is left.
func (s *scene) soak(t *testing.T, d time.Duration, troubles []trouble) {
	troubles = append(troubles, databaseTroubles...)
	before, begun := s.crowd.Figures(), time.Now()
	played := map[string]int{}
	worst := time.Duration(0)
	for n := 0; n == 0 || time.Since(begun) < d; {
		took, err := s.several(t.Context(), troubles, min(checkEvery, 1+int((d-time.Since(begun))/troubleEvery)), played)
		if err != nil {
			t.Fatalf("after %v of %v: %v", played, time.Since(begun).Round(time.Second), err)
		}
		worst = max(worst, took)
		n++
	}
	t.Logf("figure: %d troubles in %v, %v", troublesIn(played), time.Since(begun).Round(time.Second), played)
	t.Logf("figure: %.1f s to converge at most, wrong views: 0, acknowledged edits lost: 0", worst.Seconds())
	t.Logf("figure: %v", s.crowd.Figures().Since(before))
	s.crowd.Stop()
	if err := s.nothingLeft(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("figure: session records, keys, goroutines and files left behind: 0")
}

// several plays so many troubles, each begun a while after the one before, and
// waits for the truth. It returns how long that took.
func (s *scene) several(ctx context.Context, troubles []trouble, n int, played map[string]int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(n)*troubleEvery+soakPatience)
	defer cancel()
	var playing sync.WaitGroup
	var mu sync.Mutex
	var wrong []error
	for range n {
		playing.Go(func() {
			name, err := s.some(ctx, troubles)
			mu.Lock()
			defer mu.Unlock()
			played[name]++
			if err != nil {
				wrong = append(wrong, fmt.Errorf("%s: %w", name, err))
			}
		})
		pause(ctx, troubleEvery)
	}
	playing.Wait()
	if err := errors.Join(wrong...); err != nil {
		return 0, err
	}
	if err := s.recorded(ctx); err != nil {
		return 0, err
	}
	return s.crowd.Converge(ctx)
}

// some plays a trouble drawn at random; one that finds its target troubled
// already makes room for another.
func (s *scene) some(ctx context.Context, troubles []trouble) (name string, err error) {
	for {
		s.mu.Lock()
		f := troubles[s.rng.IntN(len(troubles))]
		s.mu.Unlock()
		if _, err = f.play(ctx, s); !errors.Is(err, errTaken) {
			return f.name, err
		}
		pause(ctx, 100*time.Millisecond)
	}
}

func troublesIn(played map[string]int) (n int) {
	for _, times := range played {
		n += times
	}
	return n
}

// leftTime is how long what was needed may stay: a dead node's records until
// they are swept, and remains of sessions and tickets until they expire.
const leftTime = 3 * time.Minute

// Bounds of what a process has without clients: it keeps connections to its
// stores open, to each server of a Redis Cluster a pool of up to twenty.
const (
	idleGoroutines = 150
	idleFiles      = 180
)

// nothingLeft waits until no process and no Redis shows that there have ever
// been users.
func (s *scene) nothingLeft(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leftTime)
	defer cancel()
	var last error
	for {
		err := s.left(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(time.Second):
		}
	}
}

// left says what there is that should not be.
func (s *scene) left(ctx context.Context) error {
	var wrong []string
	nodes := len(s.Roles.Notifications) + len(s.Roles.Switchboards) + 2 // the operator, and the test itself
	all, err := s.keys(ctx)
	if err != nil {
		return err
	}
	leases := 0
	for _, k := range all {
		switch {
		case strings.HasPrefix(k.name, "monarch:node:"):
			leases++
		case strings.HasPrefix(k.name, "monarch:{nodes}"):
		case k.lasts:
			wrong = append(wrong, k.name)
		}
	}
	if leases != nodes {
		wrong = append(wrong, fmt.Sprintf("%d leases of %d nodes", leases, nodes))
	}
	for _, p := range slices.Concat(s.Roles.Notifications, s.Roles.Switchboards, s.Roles.Directories, s.Roles.Dispatches) {
		for metric, most := range map[string]float64{
			"go_goroutine_count": idleGoroutines, "process_open_fds": idleFiles,
			"monarch_sessions": 0, "monarch_connections": 0,
		} {
			n, err := p.Metric(ctx, metric)
			if err != nil {
				return err
			}
			if n > most || n == 0 && most > 0 {
				wrong = append(wrong, fmt.Sprintf("%s of %s: %.0f", metric, p.Name, n))
			}
		}
	}
	if wrong != nil {
		return fmt.Errorf("left behind: %s", strings.Join(wrong, ", "))
	}
	return nil
}

// key is one name in Redis; it lasts if it does not expire.
type key struct {
	name  string
	lasts bool
}

// keys lists what is in Redis, on every server that is a master.
func (s *scene) keys(ctx context.Context) ([]key, error) {
	var all []key
	for _, server := range s.servers {
		role, err := server.Do(ctx, "ROLE")
		if err != nil {
			return nil, err
		}
		if words, ok := role.([]any); !ok || words[0] != "master" {
			continue
		}
		names, err := server.Do(ctx, "KEYS", "*")
		if err != nil {
			return nil, err
		}
		for _, name := range names.([]any) {
			ttl, err := server.Do(ctx, "PTTL", name)
			if err != nil {
				return nil, err
			}
			all = append(all, key{fmt.Sprint(name), ttl == int64(-1)})
		}
	}
	return all, nil
}
