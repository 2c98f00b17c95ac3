// Package dispatch is the first server that a client meets: it answers the
// opening of a login and sends the client on to a notification node that has
// room. It knows no users; whether an account exists is the notification
// node's business.
package dispatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"github.com/monarch-msn/monarch/internal/cluster"
	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// Config tunes a dispatch server. The struct tags are flags with their
// defaults, read by the command.
type Config struct {
	front.Config `embed:""`

	Dialects        []string      `help:"Dialects served; empty serves MSNP2 to MSNP7. Keep it as on the notification nodes." placeholder:"MSNP7,..."`
	VERReplyList    bool          `name:"ver-reply-list" help:"Answer VER with all common dialects, as Gaim 0.60 and aMSN need it."`
	LoginTimeout    time.Duration `help:"Time from connect to referral." default:"60s"`
	ReferralTimeout time.Duration `help:"Time for a client to hang up after it was referred." default:"10s"`

	DownloadURL string `name:"download-url" help:"Where CVR says a client can be had." default:"http://messenger.example.com/download"`
	InfoURL     string `name:"info-url" help:"Where CVR says more can be read." default:"http://messenger.example.com/"`
}

// withDefaults replaces zero values by the defaults of their tags, so that the
// zero Config is usable.
func (c Config) withDefaults() Config {
	c.LoginTimeout = cmp.Or(c.LoginTimeout, time.Minute)
	c.ReferralTimeout = cmp.Or(c.ReferralTimeout, 10*time.Second)
	c.DownloadURL = cmp.Or(c.DownloadURL, "http://messenger.example.com/download")
	c.InfoURL = cmp.Or(c.InfoURL, "http://messenger.example.com/")
	return c
}

// Validate returns all faults of the configuration, joined.
func (c Config) Validate() error {
	faults := []error{c.Config.Validate()}
	for _, name := range c.Dialects {
		if _, ok := msnp.DialectByName(name); !ok {
			faults = append(faults, fmt.Errorf("dialects: %q is unknown, MSNP2 to MSNP7 are served", name))
		}
	}
	if c.LoginTimeout < 0 {
		faults = append(faults, fmt.Errorf("login-timeout: %s is negative", c.LoginTimeout))
	}
	if c.ReferralTimeout < 0 {
		faults = append(faults, fmt.Errorf("referral-timeout: %s is negative", c.ReferralTimeout))
	}
	return errors.Join(faults...)
}

// Deps are what a dispatch server works with. None may be nil.
type Deps struct {
	Cluster *cluster.Client
	Timing  cluster.Timing
	Log     *slog.Logger
	Meter   metric.Meter
	Tracer  trace.Tracer
}

// Service is one dispatch server.
type Service struct {
	cfg       Config
	dialects  []*msnp.Dialect
	log       *slog.Logger
	front     *front.Server
	commands  *front.Commands
	listeners []front.Listener
	view      *cluster.View
	drains    atomic.Bool
	// referable is set once a node was known that clients can be referred to.
	referable atomic.Bool
}

// New prepares a server for the listeners; Run does the rest.
func New(cfg Config, deps Deps, listeners ...front.Listener) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	s := &Service{
		cfg:       cfg,
		log:       deps.Log,
		listeners: listeners,
		view:      deps.Cluster.Watch(deps.Timing, deps.Log),
	}
	for _, name := range cfg.Dialects {
		d, _ := msnp.DialectByName(name)
		s.dialects = append(s.dialects, d)
	}
	var err error
	s.commands, err = front.NewCommands(msnp.Dispatch, "dispatch", deps.Meter, deps.Tracer)
	if err != nil {
		return nil, err
	}
	s.front, err = front.NewServer(cfg.Config, deps.Log, deps.Meter, "dispatch")
	return s, err
}

// Run serves until ctx ends. It returns when no goroutine of the server is
// left, with an error only where serving failed.
func (s *Service) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.view.Run(ctx) })
	for i := range s.listeners {
		l := &s.listeners[i]
		group.Go(func() error {
			return s.front.Serve(ctx, l, func(_ context.Context, conn *front.Conn) front.Session {
				conn.SetDeadline(time.Now().Add(s.cfg.LoginTimeout))
				return &session{
					svc:      s,
					conn:     conn,
					listener: l,
					phase:    msnp.Connected,
				}
			})
		})
	}
	return group.Wait()
}

// Ready returns nil once the server has known a node to refer clients to. If
// all go away later it stays ready, and tells its clients that the network is
// busy.
func (s *Service) Ready() error {
	select {
	case <-s.view.Ready():
	default:
		return errors.New("no view of the cluster: waiting for Redis")
	}
	if s.drains.Load() {
		return errors.New("draining")
	}
	if !s.referable.Load() {
		if !slices.ContainsFunc(s.view.Nodes(), serves) {
			return errors.New("no notification node: waiting for one to join")
		}
		s.referable.Store(true)
	}
	return nil
}

func serves(n *clusterv1.Node) bool {
	return n.GetRole() == clusterv1.Role_ROLE_NOTIFICATION && n.GetState() == clusterv1.State_STATE_SERVING
}

// errFull ends the connection of a client for which there is no node: none
// serves, or all are full.
var errFull = fmt.Errorf("no notification node has room: %w", msnp.CodeBusy)

// choose returns the notification node to which the next client is sent, or nil
// if all are full. The view counts a client that was sent somewhere until it is
// sure that the node has, so near the end of all room it takes nodes for full
// that are not. Rather than refuse somebody who fits, one of those is chosen
// that said so themselves; should it be full by now, it knows where there is
// room.
func (s *Service) choose(ctx context.Context) *clusterv1.Node {
	if node, err := s.view.PickAlive(ctx, clusterv1.Role_ROLE_NOTIFICATION); err == nil {
		return node
	}
	var room []*clusterv1.Node
	for _, n := range s.view.Nodes() {
		if serves(n) && n.GetSessions() < n.GetCapacity() && s.view.Alive(ctx, n.GetId()) {
			room = append(room, n)
		}
	}
	if len(room) == 0 {
		return nil
	}
	return room[rand.IntN(len(room))]
}

// View returns the server's view of the cluster.
func (s *Service) View() *cluster.View { return s.view }

// drainTime bounds the wait for clients that are being served.
const drainTime = 2 * time.Second

// Drain makes the server not ready, and waits a moment for the clients that are
// connected: their connections are short. New ones are served until Run's
// context ends.
func (s *Service) Drain(ctx context.Context) error {
	s.drains.Store(true)
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	s.front.AwaitOpen(ctx)
	return nil
}
