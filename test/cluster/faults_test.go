package cluster

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/test/cluster/crowd"
	"github.com/monarch-msn/monarch/test/cluster/network"
)

// A scene is a network with a crowd at work on it, to which things happen.
type scene struct {
	*network.Network
	crowd *crowd.Crowd
	rng   *rand.Rand
	// alone says that one fault is played at a time, so that it can be said of
	// each what it must not cause.
	alone bool

	mu    sync.Mutex
	taken map[*network.Process]bool
}

// A trouble is something that happens to a network, and what is promised about
// it. Whatever the fault, once it is over everybody is told the truth again,
// and nobody was told anything wrong meanwhile.
type trouble struct {
	name, promise string
	// play brings the fault about, and mends what an operator or a supervisor
	// would. It returns what it measured.
	play func(ctx context.Context, s *scene) (figure string, err error)
}

var faults = []trouble{
	{
		"a notification node is killed",
		"its users come back elsewhere at once, those who stay away are offline to everybody, once",
		func(ctx context.Context, s *scene) (string, error) { return killNotification(ctx, s, 1) },
	},
	{
		"two notification nodes are killed, the second while the first is buried",
		"as if it were one",
		func(ctx context.Context, s *scene) (string, error) { return killNotification(ctx, s, 2) },
	},
	{
		"a switchboard is killed",
		"its conversations break off, new ones begin elsewhere, no session is lost",
		func(ctx context.Context, s *scene) (string, error) {
			return s.restart(ctx, s.Roles.Switchboards, kill, func(f crowd.Figures) bool { return f.Lost == 0 && f.Refused == 0 })
		},
	},
	{
		"a dispatch server is killed",
		"clients come in by the other one, no session is lost",
		func(ctx context.Context, s *scene) (string, error) {
			return s.restart(ctx, s.Roles.Dispatches, kill, func(f crowd.Figures) bool { return f.Lost == 0 })
		},
	},
	{
		"a directory is killed",
		"no client notices: the others answer",
		func(ctx context.Context, s *scene) (string, error) {
			return s.restart(ctx, s.Roles.Directories, kill, func(f crowd.Figures) bool { return f.Lost+f.Refused+f.Failed+f.Unknown == 0 })
		},
	},
	{
		"a notification node drains",
		"its clients are sent away and find another node, nobody is refused",
		func(ctx context.Context, s *scene) (string, error) {
			return s.restart(ctx, s.Roles.Notifications, terminate, func(f crowd.Figures) bool { return f.Lost+f.Refused+f.Unknown == 0 })
		},
	},
	{
		"a switchboard drains",
		"new conversations begin elsewhere, those under way end in their own time",
		func(ctx context.Context, s *scene) (string, error) {
			return s.restart(ctx, s.Roles.Switchboards, terminate, func(f crowd.Figures) bool { return f.Lost+f.Refused+f.Broken == 0 })
		},
	},
	{
		"a directory drains",
		"no client notices",
		func(ctx context.Context, s *scene) (string, error) {
			return s.restart(ctx, s.Roles.Directories, terminate, func(f crowd.Figures) bool { return f.Lost+f.Refused+f.Failed+f.Unknown == 0 })
		},
	},
	{
		"a notification node is stopped for longer than its lease and goes on",
		"its users are seen going and coming back, those who moved elsewhere are not disturbed",
		stopNotification,
	},
	{
		"Redis is emptied while nobody does anything",
		"no client is told anything",
		func(ctx context.Context, s *scene) (string, error) {
			quiet := make(chan error, 1)
			go func() { quiet <- s.crowd.Hold(ctx, leaseTime+5*time.Second) }()
			time.Sleep(time.Second) // the crowd has come to rest, or will while this happens
			err := s.order("FLUSHALL")
			if quiet := <-quiet; s.alone && err == nil {
				err = quiet
			}
			return "lines of presence: 0", err
		},
	},
	{
		"Redis is emptied under load",
		"sessions stay, and everybody has a record again within seconds",
		func(ctx context.Context, s *scene) (string, error) {
			return s.sessionsStay(ctx, func() error { return s.order("FLUSHALL") })
		},
	},
	{
		"Redis dies and starts empty",
		"sessions stay",
		func(ctx context.Context, s *scene) (string, error) {
			return s.sessionsStay(ctx, func() error {
				s.Redis.Kill()
				return s.Redis.Start()
			})
		},
	},
	{
		"Redis answers nothing for 30 seconds",
		"sessions stay, logins are refused meanwhile",
		func(ctx context.Context, s *scene) (string, error) {
			return s.sessionsStay(ctx, func() error {
				if err := s.Redis.Signal(syscall.SIGSTOP); err != nil {
					return err
				}
				pause(ctx, 30*time.Second)
				return s.Redis.Signal(syscall.SIGCONT)
			})
		},
	},
	{
		"Redis cannot be reached for 30 seconds",
		"sessions stay, logins are refused meanwhile",
		func(ctx context.Context, s *scene) (string, error) {
			return s.sessionsStay(ctx, func() error {
				s.Redis.Kill()
				pause(ctx, 30*time.Second)
				return s.Redis.Start()
			})
		},
	},
	{
		"Redis throws the subscribers out, again and again",
		"what was lost is made up for, by differences only",
		func(ctx context.Context, s *scene) (string, error) {
			return s.sessionsStay(ctx, func() error {
				for range 100 {
					if err := s.order("CLIENT KILL TYPE pubsub"); err != nil {
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
func (s *scene) sessionsStay(_ context.Context, play func() error) (string, error) {
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
	f := s.crowd.Figures().Since(before)
	if s.alone && f.Lost+f.Away > 0 {
		return "", fmt.Errorf("%d sessions were lost, %d sent away", f.Lost, f.Away)
	}
	return fmt.Sprintf("sessions lost: 0, logins refused meanwhile: %d", f.Refused), nil
}

// order sends one command to Redis.
func (s *scene) order(command string) error {
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.Redis.URL, "redis://"))
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, command+"\r\n"); err != nil {
		return err
	}
	answer := make([]byte, 64)
	n, err := conn.Read(answer)
	if err == nil && answer[0] == '-' {
		err = fmt.Errorf("%s: %s", command, answer[:n])
	}
	return err
}

// newScene starts a network with a crowd.
func newScene(t *testing.T, opt network.Options, users int) *scene {
	t.Helper()
	opt.Args = crowd.Args()
	opt.Args["notification"] = append(opt.Args["notification"], "--notification.drain-time=5s")
	opt.Args["switchboard"] = append(opt.Args["switchboard"], "--switchboard.drain-time=20s")
	n := network.Start(t, opt)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := &scene{Network: n, rng: rand.New(rand.NewPCG(seed, 0)), taken: map[*network.Process]bool{}}
	var dispatch []string
	for i := range n.Roles.Dispatches {
		dispatch = append(dispatch, n.DispatchAt(i))
	}
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

// Each fault in turn happens to a network on which hundreds of users are at
// work, and its promise holds.
func TestFaults(t *testing.T) {
	s := newScene(t, network.Options{Notifications: 3, Switchboards: 2, Directories: 2, Dispatches: 2}, 200)
	s.alone = true
	for _, f := range faults {
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
			if figure != "" {
				t.Logf("figure: %s", figure)
			}
			t.Logf("figure: %.1f s to converge, wrong views: 0, acknowledged edits lost: 0", took.Seconds())
			t.Logf("figure: %v", s.crowd.Figures().Since(before))
		})
	}
}
