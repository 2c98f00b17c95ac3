// Package switchboard is the server on which people talk: each client has one
// connection per conversation, and all members of a conversation, which is a
// room, are on one node.
//
// The creator of a room brings a ticket from its notification node (USR).
// Whoever is in may call others (CAL): the callee's own session, on whatever
// notification node, decides whether it rings, and the callee enters with the
// cookie that rang (ANS). That cookie is known to the room alone. From there on
// the cluster is not involved any more: text goes from member to member in the
// memory of this node, and is kept nowhere.
//
//	Connected ─USR─▶ Present (a new room)
//	    └─────ANS─▶ Present (the room that called)
//
// A room's mutex guards its members and their order. A message is handed to
// every other member under it, which never blocks, so all members see one
// order of everything that happens in the room.
package switchboard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// DefaultOutboxBytes is how much may wait for one member: over a hundred
// messages of the largest size, and half a minute of a modem of the time. A
// chat has nothing as long as the lists of a login, for which front's own
// default is made.
const DefaultOutboxBytes = 256 << 10

// Config tunes a switchboard node. The struct tags are flags with their
// defaults, read by the command.
type Config struct {
	front.Config `embed:"" set:"outbox_bytes=262144"`

	LoginTimeout time.Duration `help:"Time from connect to USR or ANS." default:"60s"`
	CallTimeout  time.Duration `help:"Longest wait for Redis in one command." default:"5s"`
	// Capacity is compared with members, MaxConnections with connections.
	Capacity int `help:"Most members of all rooms together; beyond them new conversations go to other nodes." default:"20000"`

	MaxMembers  int           `help:"Most members of one room, those who are being called included." default:"30"`
	IdleTime    time.Duration `help:"A room in which nobody says anything for this long is closed." default:"15m"`
	RingTimeout time.Duration `help:"Longest wait of CAL for the callee's node." default:"2500ms"`
	RingTime    time.Duration `help:"How long an invitation can be answered." default:"2m"`
	RefusalStep time.Duration `help:"CAL says no only at multiples of this time, so that the time says nothing of the reason." default:"250ms"`
	MessageRate int           `help:"Messages a second that a member may send while another does not keep up." default:"50"`

	DrainTime   time.Duration `help:"Longest wait for rooms to end when the node drains; then they are closed." default:"60s"`
	ArrivalTime time.Duration `help:"When the node drains it waits at least this long for those who were sent here and have not come yet." default:"2s"`
}

// withDefaults replaces zero values by the defaults of their tags, so that the
// zero Config is usable.
func (c Config) withDefaults() Config {
	c.OutboxBytes = cmp.Or(c.OutboxBytes, DefaultOutboxBytes)
	c.LoginTimeout = cmp.Or(c.LoginTimeout, time.Minute)
	c.CallTimeout = cmp.Or(c.CallTimeout, 5*time.Second)
	c.Capacity = cmp.Or(c.Capacity, 20_000)
	c.MaxMembers = cmp.Or(c.MaxMembers, 30)
	c.IdleTime = cmp.Or(c.IdleTime, 15*time.Minute)
	c.RingTimeout = cmp.Or(c.RingTimeout, 2500*time.Millisecond)
	c.RingTime = cmp.Or(c.RingTime, 2*time.Minute)
	c.RefusalStep = cmp.Or(c.RefusalStep, 250*time.Millisecond)
	c.MessageRate = cmp.Or(c.MessageRate, 50)
	c.DrainTime = cmp.Or(c.DrainTime, time.Minute)
	c.ArrivalTime = cmp.Or(c.ArrivalTime, 2*time.Second)
	// A switchboard has no OUT to a client: it closes without a word.
	c.Silent = true
	return c
}

// Validate returns all faults of the configuration, joined.
func (c Config) Validate() error {
	faults := []error{c.Config.Validate()}
	for _, d := range []struct {
		name string
		time time.Duration
	}{
		{"login-timeout", c.LoginTimeout},
		{"call-timeout", c.CallTimeout},
		{"idle-time", c.IdleTime},
		{"ring-timeout", c.RingTimeout},
		{"ring-time", c.RingTime},
		{"refusal-step", c.RefusalStep},
		{"drain-time", c.DrainTime},
		{"arrival-time", c.ArrivalTime},
	} {
		if d.time < 0 {
			faults = append(faults, fmt.Errorf("%s: %s is negative", d.name, d.time))
		}
	}
	if c.Capacity < 0 {
		faults = append(faults, fmt.Errorf("capacity: %d is negative", c.Capacity))
	}
	if c.MaxMembers != 0 && c.MaxMembers < 2 {
		faults = append(faults, fmt.Errorf("max-members: %d leaves nobody to talk to", c.MaxMembers))
	}
	if c.MessageRate < 0 {
		faults = append(faults, fmt.Errorf("message-rate: %d is negative", c.MessageRate))
	}
	return errors.Join(faults...)
}

// Deps are what a node works with. None may be nil.
type Deps struct {
	Cluster *cluster.Client
	Timing  cluster.Timing
	Log     *slog.Logger
	Meter   metric.Meter
	Tracer  trace.Tracer
	// Version of the software, for the operator.
	Version string
}

// Service is one switchboard node.
type Service struct {
	cfg     Config
	cluster *cluster.Client
	timing  cluster.Timing
	log     *slog.Logger
	tracer  trace.Tracer
	metrics *metrics

	front     *front.Server
	commands  *front.Commands
	listeners []front.Listener
	member    *cluster.Member
	addresses []*clusterv1.Address

	rooms    rooms
	seated   atomic.Int64 // members of all rooms
	failures front.Rate   // calls that failed
	drain    *cluster.Drain
	pending  front.Tasks
}

// New prepares a node that serves the listeners; Run does the rest.
func New(cfg Config, deps Deps, listeners ...front.Listener) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Service{
		cfg:       cfg.withDefaults(),
		cluster:   deps.Cluster,
		timing:    deps.Timing,
		log:       deps.Log,
		tracer:    deps.Tracer,
		listeners: listeners,
	}
	s.failures.Limit, s.failures.Window = failureLimit, failureWindow
	for _, l := range listeners {
		s.addresses = append(s.addresses, &clusterv1.Address{Listener: l.Name, Address: l.Advertise})
	}
	var err error
	if s.metrics, err = newMetrics(deps.Meter, s); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	if s.commands, err = front.NewCommands(msnp.Switchboard, "switchboard", deps.Meter, deps.Tracer); err != nil {
		return nil, err
	}
	if s.front, err = front.NewServer(s.cfg.Config, deps.Log, deps.Meter, "switchboard"); err != nil {
		return nil, err
	}
	s.member = deps.Cluster.Member(cluster.MemberConfig{
		Node: &clusterv1.Node{
			Role:      clusterv1.Role_ROLE_SWITCHBOARD,
			Addresses: s.addresses,
			Capacity:  uint32(s.front.Seats(s.cfg.Capacity)),
			State:     clusterv1.State_STATE_SERVING,
			Version:   deps.Version,
		},
		Timing: deps.Timing, Load: s.Members, Log: deps.Log, Meter: deps.Meter,
	}, inbox{s})
	s.drain = s.member.Drain(s.empty)
	return s, nil
}

// Run serves until ctx ends, and then closes what is left: the members of each
// room hear that the others leave. It returns when no goroutine of the node is
// left, with an error only where serving failed.
func (s *Service) Run(ctx context.Context) error {
	// The member outlives the clients, so that a call under way is answered.
	memberCtx, leave := context.WithCancel(context.WithoutCancel(ctx))
	defer leave()
	var inner errgroup.Group
	inner.Go(func() error { return s.member.Run(memberCtx) })

	clients, ctx := errgroup.WithContext(ctx)
	inner.Go(func() error { return s.drain.Run(ctx) })
	clients.Go(func() error { return s.closeIdle(ctx) })
	// The rooms end ahead of the connections: nobody says goodbye behind that.
	frontCtx, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	clients.Go(func() error {
		<-ctx.Done()
		s.endRooms()
		hangUp()
		return nil
	})
	for i := range s.listeners {
		l := &s.listeners[i]
		clients.Go(func() error { return s.front.Serve(frontCtx, l, s.open) })
	}
	err := clients.Wait()
	s.pending.Wait()
	leave()
	err = errors.Join(err, inner.Wait())
	s.pending.Wait() // what the last messages set off
	return err
}

// open makes the session of a connection.
func (s *Service) open(_ context.Context, conn *front.Conn) front.Session {
	conn.SetDeadline(time.Now().Add(s.cfg.LoginTimeout))
	return &session{
		svc:   s,
		conn:  conn,
		log:   s.log.With("remote", conn.RemoteAddr()),
		phase: msnp.Connected,
	}
}

// Ready returns nil once the node has joined the cluster and serves.
func (s *Service) Ready() error {
	select {
	case <-s.member.Ready():
	default:
		return errors.New("not joined: waiting for Redis")
	}
	if s.drain.Draining() {
		return errors.New("draining")
	}
	return nil
}

// ID returns the node id that the cluster knows this node by.
func (s *Service) ID() string { return s.member.ID() }

// Members returns how many people are in the rooms of this node.
func (s *Service) Members() int { return int(s.seated.Load()) }

// Rooms returns how many rooms there are.
func (s *Service) Rooms() int { return s.rooms.len() }

// background runs f on a goroutine that Run waits for.
func (s *Service) background(f func(ctx context.Context)) {
	s.pending.Go(func() { f(context.Background()) })
}
