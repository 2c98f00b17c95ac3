package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/internal/cluster"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"github.com/monarch-msn/monarch/test/cluster/crowd"
	"github.com/monarch-msn/monarch/test/cluster/network"
)

// A scene is a network with a crowd at work on it, to which things happen.
type scene struct {
	*network.Network
	crowd *crowd.Crowd
	redis *cluster.Client
	// servers are those of Redis, and postgres the database, where a soak looks
	// at them and hurts them.
	servers  []*network.Redis
	postgres *network.Postgres

	rng *rand.Rand
	// alone says that one trouble is played at a time, so that it can be said
	// of each what it must not cause.
	alone bool
	// outage is how long Redis is away, where it is.
	outage time.Duration

	mu    sync.Mutex
	taken map[*network.Process]bool
}

// A trouble is something that happens to a network, and what is promised about
// it. Whatever the fault, once it is over everybody is told the truth again,
// and nobody was told anything wrong meanwhile.
type trouble struct {
	name, promise string
	// slow ones are for soaks only.
	slow bool
	// play brings the fault about, and mends what an operator or a supervisor
	// would. It returns what it measured.
	play func(ctx context.Context, s *scene) (figure string, err error)
}

// processTroubles are those of Monarch's own processes.
var processTroubles = []trouble{
	{
		name:    "a notification node is killed",
		promise: "its users come back elsewhere at once, those who stay away are offline to everybody, once",
		play:    func(ctx context.Context, s *scene) (string, error) { return killNotification(ctx, s, 1) },
	},
	{
		name:    "two notification nodes are killed, the second while the first is buried",
		promise: "as if it were one",
		slow:    true,
		play:    func(ctx context.Context, s *scene) (string, error) { return killNotification(ctx, s, 2) },
	},
	{
		name:    "a switchboard is killed",
		promise: "its conversations break off, new ones begin elsewhere, no session is lost",
		play: func(ctx context.Context, s *scene) (string, error) {
			return s.restart(ctx, s.Roles.Switchboards, kill, func(f crowd.Figures) bool { return f.Lost == 0 && f.Refused == 0 })
		},
	},
	{
		name:    "a dispatch server is killed",
		promise: "clients come in by the other one, no session is lost",
		play: func(ctx context.Context, s *scene) (string, error) {
			return s.restart(ctx, s.Roles.Dispatches, kill, func(f crowd.Figures) bool { return f.Lost == 0 })
		},
	},
	{
		name:    "a directory is killed",
		promise: "no client notices: the others answer",
		play: func(ctx context.Context, s *scene) (string, error) {
			return s.restart(ctx, s.Roles.Directories, kill, func(f crowd.Figures) bool { return f.Lost+f.Refused+f.Failed+f.Unknown == 0 })
		},
	},
	{
		name:    "a notification node drains",
		promise: "its clients are sent away and find another node, nobody is refused",
		play: func(ctx context.Context, s *scene) (string, error) {
			return s.restart(ctx, s.Roles.Notifications, terminate, func(f crowd.Figures) bool { return f.Lost+f.Refused == 0 })
		},
	},
	{
		name:    "a switchboard drains",
		promise: "new conversations begin elsewhere, those under way end in their own time",
		play: func(ctx context.Context, s *scene) (string, error) {
			return s.restart(ctx, s.Roles.Switchboards, terminate, func(f crowd.Figures) bool { return f.Lost+f.Refused+f.Broken == 0 })
		},
	},
	{
		name:    "a directory drains",
		promise: "no client notices",
		play: func(ctx context.Context, s *scene) (string, error) {
			return s.restart(ctx, s.Roles.Directories, terminate, func(f crowd.Figures) bool { return f.Lost+f.Refused+f.Failed+f.Unknown == 0 })
		},
	},
	{
		name:    "a notification node is stopped for longer than its lease and goes on",
		promise: "its users are seen going and coming back, those who moved elsewhere are not disturbed",
		play:    stopNotification,
	},
}

// redisTroubles are those of the network's own Redis.
var redisTroubles = []trouble{
	{
		name:    "Redis is emptied while nobody does anything",
		promise: "no client is told anything",
		play: func(ctx context.Context, s *scene) (string, error) {
			if _, _, err := s.take([]*network.Process{s.Redis.Process}); err != nil {
				return "", err
			}
			defer s.give(s.Redis.Process)
			quiet := make(chan error, 1)
			go func() { quiet <- s.crowd.Hold(ctx, leaseTime+5*time.Second) }()
			time.Sleep(time.Second) // the crowd has come to rest, or will while this happens
			_, err := s.Redis.Do(ctx, "FLUSHALL")
			if quiet := <-quiet; s.alone && err == nil {
				err = quiet
			}
			return "lines of presence: 0", err
		},
	},
	{
		name:    "Redis is emptied under load",
		promise: "sessions stay, and everybody has a record again within seconds",
		play: func(ctx context.Context, s *scene) (string, error) {
			return s.sessionsStay(ctx, func() error {
				pause(ctx, 3*time.Second)
				_, err := s.Redis.Do(ctx, "FLUSHALL")
				return err
			})
		},
	},
	{
		name:    "Redis dies and starts empty",
		promise: "sessions stay",
		play: func(ctx context.Context, s *scene) (string, error) {
			return s.sessionsStay(ctx, func() error {
				pause(ctx, 3*time.Second)
				s.Redis.Kill()
				return s.Redis.Start()
			})
		},
	},
	{
		name:    "Redis answers nothing for longer than a lease",
		promise: "sessions stay, logins are refused meanwhile",
		play: func(ctx context.Context, s *scene) (string, error) {
			return s.sessionsStay(ctx, func() error {
				if err := s.Redis.Signal(syscall.SIGSTOP); err != nil {
					return err
				}
				pause(ctx, s.outage)
				return s.Redis.Signal(syscall.SIGCONT)
			})
		},
	},
	{
		name:    "Redis cannot be reached for longer than a lease",
		promise: "sessions stay, logins are refused meanwhile",
		slow:    true,
		play: func(ctx context.Context, s *scene) (string, error) {
			return s.sessionsStay(ctx, func() error {
				s.Redis.Kill()
				pause(ctx, s.outage)
				return s.Redis.Start()
			})
		},
	},
	{
		name:    "Redis is emptied, and is full then for longer than a lease",
		promise: "sessions stay, logins are refused meanwhile",
		play: func(ctx context.Context, s *scene) (string, error) {
			return s.sessionsStay(ctx, func() error {
				if _, err := s.Redis.Do(ctx, "FLUSHALL"); err != nil {
					return err
				}
				// The nodes join anew, and are about to claim their sessions again.
				pause(ctx, 2*time.Second)
				// By default nothing is thrown out to make room: a command that may
				// need some is refused, and what was written before can be read.
				if _, err := s.Redis.Do(ctx, "CONFIG", "SET", "maxmemory", "1"); err != nil {
					return err
				}
				pause(ctx, s.outage)
				_, err := s.Redis.Do(ctx, "CONFIG", "SET", "maxmemory", "0")
				return err
			})
		},
	},
	{
		name:    "Redis throws the subscribers out, again and again",
		promise: "what was lost is made up for, by differences only",
		play: func(ctx context.Context, s *scene) (string, error) {
			return s.sessionsStay(ctx, func() error {
				for range 100 {
					if _, err := s.Redis.Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub"); err != nil {
						return err
					}
					pause(ctx, 50*time.Millisecond)
				}
				return nil
			})
		},
	},
}

// leaseTime is the lease of a node, by default.
const leaseTime = 10 * time.Second

// pause lets something go on for a while.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// kill ends a process as a machine that loses power does, and terminate as an
// operator does.
func kill(p *network.Process) { p.Kill() }

func terminate(p *network.Process) {
	p.Terminate()
	p.Wait()
}

// take gives one of the processes, at random, to whom nothing else happens.
func (s *scene) take(from []*network.Process) (p *network.Process, i int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.rng.Perm(len(from)) {
		if !s.taken[from[i]] {
			s.taken[from[i]] = true
			return from[i], i, nil
		}
	}
	return nil, 0, errTaken
}

var errTaken = fmt.Errorf("all of them are troubled already")

func (s *scene) give(p *network.Process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.taken, p)
}

// restart ends one of the processes, lets the crowd live without it for a
// while, starts it again and sees that nothing has happened that must not.
func (s *scene) restart(ctx context.Context, from []*network.Process, end func(*network.Process), good func(crowd.Figures) bool) (string, error) {
	p, _, err := s.take(from)
	if err != nil {
		return "", err
	}
	defer s.give(p)
	before := s.crowd.Figures()
	begun := time.Now()
	end(p)
	ended := time.Since(begun)
	pause(ctx, 2*time.Second)
	if err := p.Start(); err != nil {
		return "", err
	}
	if err := p.Await(ctx); err != nil {
		return "", err
	}
	pause(ctx, time.Second)
	since := s.crowd.Figures().Since(before)
	if s.alone && !good(since) {
		err = fmt.Errorf("%s: %v\n%s", p.Name, since, s.crowd.Losses())
	}
	return fmt.Sprintf("%s ended after %.1f s", p.Name, ended.Seconds()), err
}

// killNotification kills so many nodes, each while the one before is still
// being buried.
func killNotification(ctx context.Context, s *scene, nodes int) (string, error) {
	var dead []*network.Process
	var absent []string
	var last time.Time
	for range nodes {
		if last != (time.Time{}) {
			pause(ctx, leaseTime)
		}
		p, i, err := s.take(s.Roles.Notifications)
		if err != nil {
			return "", err
		}
		defer s.give(p)
		users := s.crowd.At(s.Notification(i))
		last = time.Now()
		p.Kill()
		dead = append(dead, p)
		s.crowd.Leave(users[:len(users)/3]...)
		absent = append(absent, users[:len(users)/3]...)
	}
	figure := ""
	if s.alone {
		_, err := s.crowd.Converge(ctx)
		if err != nil {
			return "", fmt.Errorf("while they are away: %w", err)
		}
		figure = fmt.Sprintf("offline to everybody %.1f s after the kill: %d users", time.Since(last).Seconds(), len(absent))
	}
	s.crowd.Return(absent...)
	for _, p := range dead {
		if err := p.Start(); err != nil {
			return "", err
		}
	}
	for _, p := range dead {
		if err := p.Await(ctx); err != nil {
			return "", err
		}
	}
	return figure, nil
}

// stopNotification stops a node for longer than its lease. A third of its
// clients give up meanwhile and come back elsewhere, the rest wait.
func stopNotification(ctx context.Context, s *scene) (string, error) {
	p, i, err := s.take(s.Roles.Notifications)
	if err != nil {
		return "", err
	}
	defer s.give(p)
	before := s.crowd.Figures()
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return "", err
	}
	users := s.crowd.At(s.Notification(i))
	s.crowd.Excuse(users...)
	pause(ctx, leaseTime/2)
	moving := users[:len(users)/3]
	s.crowd.Move(moving...)
	pause(ctx, leaseTime)
	if err := p.Signal(syscall.SIGCONT); err != nil {
		return "", err
	}
	if !s.alone {
		return "", nil
	}
	took, err := s.crowd.Converge(ctx)
	if err != nil {
		return "", err
	}
	if f := s.crowd.Figures().Since(before); f.Lost > 0 {
		err = fmt.Errorf("%d sessions were lost", f.Lost)
	}
	return fmt.Sprintf("truth %.1f s after it went on; %d users had moved, %d had waited", took.Seconds(), len(moving), len(users)-len(moving)), err
}

// sessionsStay sees that a fault costs nobody the session.
func (s *scene) sessionsStay(ctx context.Context, play func() error) (string, error) {
	p := s.Redis.Process
	s.mu.Lock()
	taken := s.taken[p]
	s.taken[p] = true
	s.mu.Unlock()
	if taken {
		return "", errTaken
	}
	defer s.give(p)
	before := s.crowd.Figures()
	if err := play(); err != nil {
		return "", err
	}
	mended := time.Now()
	if err := s.recorded(ctx); err != nil {
		return "", err
	}
	f := s.crowd.Figures().Since(before)
	if s.alone && f.Lost+f.Away > 0 {
		return "", fmt.Errorf("%d sessions were lost, %d sent away\n%s", f.Lost, f.Away, s.crowd.Losses())
	}
	return fmt.Sprintf("sessions lost: 0, all records there %.1f s later, logins refused meanwhile: %d", time.Since(mended).Seconds(), f.Refused), nil
}

// recorded waits until everybody who has a session has a record of it in Redis.
func (s *scene) recorded(ctx context.Context) error {
	var err error
	for ctx.Err() == nil {
		var emails []string
		for i := range s.Roles.Notifications {
			emails = append(emails, s.crowd.At(s.Notification(i))...)
		}
		var found map[string]*clusterv1.Session
		if found, err = s.redis.Lookup(ctx, emails); err == nil && len(found) == len(emails) {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("%d of %d sessions have a record", len(found), len(emails))
		}
		pause(ctx, 100*time.Millisecond)
	}
	return err
}

// newScene starts a network with a crowd.
func newScene(t *testing.T, opt network.Options, users int) *scene {
	t.Helper()
	opt.Args = crowd.Args()
	opt.Args["notification"] = append(opt.Args["notification"], "--notification.drain-time=5s")
	opt.Args["switchboard"] = append(opt.Args["switchboard"], "--switchboard.drain-time=20s")
	if opt.Binary == nil {
		opt.Binary = plainly(t)
	}
	n := network.Start(t, opt)
	seed := rand.Uint64()
	setFromEnvironment(t, "MONARCH_CLUSTER_SEED", func(s string) (err error) {
		seed, err = strconv.ParseUint(s, 10, 64)
		return err
	})
	t.Logf("MONARCH_CLUSTER_SEED=%d makes the same choices again", seed)
	s := &scene{Network: n, rng: rand.New(rand.NewPCG(seed, 0)), outage: 30 * time.Second, taken: map[*network.Process]bool{}}
	var dispatch []string
	for i := range n.Roles.Dispatches {
		dispatch = append(dispatch, n.DispatchAt(i))
	}
	var err error
	if s.redis, err = cluster.Open(n.RedisURL, cluster.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.redis.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), network.Patience)
	defer cancel()
	c, err := crowd.Start(ctx, crowd.Options{Users: users, Dispatch: dispatch, Accounts: n.Accounts(), Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	s.crowd = c
	return s
}

// Each trouble in turn happens to a network on which hundreds of users are at
// work, and its promise holds.
func TestTroubles(t *testing.T) {
	t.Parallel()
	s := newScene(t, network.Options{Notifications: 3, Switchboards: 2, Directories: 2, Dispatches: 2}, 200)
	s.alone, s.outage = true, leaseTime+2*time.Second
	for _, f := range slices.Concat(processTroubles, redisTroubles) {
		if f.slow && !soaking() {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			t.Logf("promise: %s", f.promise)
			ctx, cancel := context.WithTimeout(t.Context(), network.Patience)
			defer cancel()
			before := s.crowd.Figures()
			figure, err := f.play(ctx, s)
			if err != nil {
				t.Fatal(err)
			}
			took, err := s.crowd.Converge(ctx)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("figure: %s", figure)
			t.Logf("figure: %.1f s to converge, wrong views: 0, acknowledged edits lost: 0", took.Seconds())
			t.Logf("figure: %v", s.crowd.Figures().Since(before))
			s.alone = s.alone && !t.Failed()
		})
	}
}
