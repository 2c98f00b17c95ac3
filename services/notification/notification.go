// Package notification is the server at which a client has its session: it
// logs in, keeps its lists and groups, publishes its status and learns that of
// its contacts.
//
// A node holds no truth. Users and lists are the directory's; who is online
// where is in Redis; what a session keeps of both is a cache. A session is an
// actor (see actor.go) that owns all of its state, and presence.go tells how
// sessions on any number of nodes keep each other's clients up to date.
package notification

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
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// Config tunes a notification node. The struct tags are flags with their
// defaults, read by the command.
type Config struct {
	front.Config `embed:""`
	Limits       `embed:""`
	LoginConfig  `embed:""`

	Dialects     []string      `help:"Dialects served; empty serves MSNP2 to MSNP7." placeholder:"MSNP7,..."`
	VERReplyList bool          `name:"ver-reply-list" help:"Answer VER with all common dialects, as Gaim 0.60 and aMSN need it."`
	LoginTimeout time.Duration `help:"Time from connect to login." default:"60s"`
	CallTimeout  time.Duration `help:"Longest wait for the directory or Redis in one command." default:"5s"`
	// Capacity is compared with sessions, MaxConnections with connections.
	Capacity int `help:"Most sessions; beyond them logins are referred to other nodes." default:"20000"`

	RollCallTime    time.Duration `help:"Longest wait of the first CHG, or an ADD, for the presence of contacts." default:"1s"`
	AuditInterval   time.Duration `help:"Each session is compared with the truth this often." default:"5m"`
	ResyncTime      time.Duration `help:"All sessions are compared within this time after messages were lost." default:"5s"`
	EventQueue      int           `help:"Most events that may wait for one session." default:"4096"`
	ReferralTimeout time.Duration `help:"Time for a client to hang up after it was referred." default:"10s"`

	SeedLiteralREG  bool `name:"seed-literal-reg" help:"Answer REG without the group id."`
	RMGKeepContacts bool `name:"rmg-keep-contacts" help:"RMG moves contacts of no other group to group 0 instead of dropping them."`

	DownloadURL string `name:"download-url" help:"Where CVR says a client can be had." default:"http://messenger.example.com/download"`
	InfoURL     string `name:"info-url" help:"Where CVR says more can be read." default:"http://messenger.example.com/"`
	PageURL     string `name:"page-url" help:"The page that URL names for a service without one of its own; MSNP2's clients get its path." default:"http://messenger.example.com/"`
	LoginURL    string `name:"login-url" help:"The form to which clients post their login for a page." default:"http://messenger.example.com/login"`
	SiteID      uint32 `name:"site-id" help:"The number of this site in the login form." default:"2"`
	// Pages has no default: a service that is not in it has the PageURL.
	Pages map[string]string `help:"Pages of services that URL names: INBOX, COMPOSE, PROFILE and so on. {param} in an address is what the client asks about." placeholder:"SERVICE=URL;..."`

	FNDDisabled bool `name:"fnd-disabled" help:"Tell MSNP7's clients that the member directory is switched off, in place of finding nobody."`
	Mail        bool `help:"Show the clients' mail features, and notices of mail that the operator reports."`
	NoAlerts    bool `name:"no-alerts" help:"Never send NOT: announcements are the minutes alone. Some third-party clients do not know that it has a payload."`

	Challenges        bool          `help:"Ask clients of MSNP6 and MSNP7 which product they are, and close those that answer wrong or not at all."`
	ChallengeInterval time.Duration `help:"Mean time between challenges." default:"30m"`
	ChallengeTimeout  time.Duration `help:"Time for the answer to a challenge." default:"50s"`

	DrainTime time.Duration `help:"Sessions are closed evenly over this time when the node drains." default:"30s"`
}

// withDefaults replaces zero values by the defaults of their tags, so that the
// zero Config is usable.
func (c Config) withDefaults() Config {
	c.LoginTimeout = cmp.Or(c.LoginTimeout, time.Minute)
	c.CallTimeout = cmp.Or(c.CallTimeout, 5*time.Second)
	c.Capacity = cmp.Or(c.Capacity, 20_000)
	c.RollCallTime = cmp.Or(c.RollCallTime, time.Second)
	c.AuditInterval = cmp.Or(c.AuditInterval, 5*time.Minute)
	c.ResyncTime = cmp.Or(c.ResyncTime, 5*time.Second)
	c.EventQueue = cmp.Or(c.EventQueue, 4096)
	c.ReferralTimeout = cmp.Or(c.ReferralTimeout, 10*time.Second)
	c.DownloadURL = cmp.Or(c.DownloadURL, "http://messenger.example.com/download")
	c.InfoURL = cmp.Or(c.InfoURL, "http://messenger.example.com/")
	c.Limits = c.Limits.withDefaults()
	c.LoginConfig = c.LoginConfig.withDefaults()
	c.SiteID = cmp.Or(c.SiteID, 2)
	c.ChallengeInterval = cmp.Or(c.ChallengeInterval, 30*time.Minute)
	c.ChallengeTimeout = cmp.Or(c.ChallengeTimeout, 50*time.Second)
	c.PageURL = cmp.Or(c.PageURL, "http://messenger.example.com/")
	c.LoginURL = cmp.Or(c.LoginURL, "http://messenger.example.com/login")
	c.DrainTime = cmp.Or(c.DrainTime, 30*time.Second)
	return c
}

// Validate returns all faults of the configuration, joined.
func (c Config) Validate() error {
	faults := []error{c.Config.Validate(), c.Limits.validate(), c.LoginConfig.validate(), c.validatePages()}
	for _, name := range c.Dialects {
		if _, ok := msnp.DialectByName(name); !ok {
			faults = append(faults, fmt.Errorf("dialects: %q is unknown, MSNP2 to MSNP7 are served", name))
		}
	}
	for _, d := range []struct {
		name string
		time time.Duration
	}{
		{"login-timeout", c.LoginTimeout},
		{"call-timeout", c.CallTimeout},
		{"roll-call-time", c.RollCallTime},
		{"audit-interval", c.AuditInterval},
		{"resync-time", c.ResyncTime},
		{"referral-timeout", c.ReferralTimeout},
		{"drain-time", c.DrainTime},
		{"challenge-interval", c.ChallengeInterval},
		{"challenge-timeout", c.ChallengeTimeout},
	} {
		if d.time < 0 {
			faults = append(faults, fmt.Errorf("%s: %s is negative", d.name, d.time))
		}
	}
	if c.Capacity < 0 {
		faults = append(faults, fmt.Errorf("capacity: %d is negative", c.Capacity))
	}
	if c.EventQueue < 0 {
		faults = append(faults, fmt.Errorf("event-queue: %d is negative", c.EventQueue))
	}
	return errors.Join(faults...)
}

// Deps are what a node works with. None but Now may be nil.
type Deps struct {
	Directory directoryv1.DirectoryClient
	Cluster   *cluster.Client
	Timing    cluster.Timing
	Log       *slog.Logger
	Meter     metric.Meter
	Tracer    trace.Tracer
	// Now is the time of day, which clients are told at their login; nil is
	// time.Now. Nothing is decided by it: it may differ from that of other nodes
	// and step. Called from any goroutine.
	Now func() time.Time
	// Version of the software, for the operator.
	Version string
}

// Service is one notification node.
type Service struct {
	cfg       Config
	dialects  []*msnp.Dialect
	directory directoryv1.DirectoryClient
	cluster   *cluster.Client
	timing    cluster.Timing
	now       func() time.Time // the time of day
	started   time.Time
	log       *slog.Logger
	tracer    trace.Tracer
	metrics   *metrics

	front      *front.Server
	commands   *front.Commands
	listeners  []front.Listener
	member     *cluster.Member
	hub        *hub
	admission  *admission
	renames    front.Rate // of oneself
	auditor    *auditor
	challenger *challenger

	drain    *cluster.Drain
	leavers  leavers
	releases *releases
	// successors knows who has been overtaken.
	successors successors
	// loggingIn counts the clients that have been challenged and are not in yet.
	loggingIn atomic.Int64
	// forgetters has an element for each forgetThoseOf under way.
	forgetters chan struct{}
	pending    front.Tasks
}

// New prepares a node that serves the listeners; Run does the rest.
func New(cfg Config, deps Deps, listeners ...front.Listener) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	s := &Service{
		cfg:       cfg,
		directory: deps.Directory,
		cluster:   deps.Cluster,
		timing:    deps.Timing,
		now:       deps.Now,
		started:   time.Now(),
		log:       deps.Log,
		tracer:    deps.Tracer,
		listeners: listeners,

		forgetters: make(chan struct{}, forgettersAtOnce),
	}
	if s.now == nil {
		s.now = time.Now
	}
	for _, name := range cfg.Dialects {
		d, _ := msnp.DialectByName(name)
		s.dialects = append(s.dialects, d)
	}
	s.renames.Limit, s.renames.Window = cfg.RenameLimit, cfg.RenameWindow
	s.hub, s.auditor, s.challenger, s.releases = newHub(s), newAuditor(s), newChallenger(), newReleases(s)
	s.successors.svc = s
	var err error
	if s.metrics, err = newMetrics(deps.Meter, s); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	if s.commands, err = front.NewCommands(msnp.Notification, "notification", deps.Meter, deps.Tracer); err != nil {
		return nil, err
	}
	if s.front, err = front.NewServer(cfg.Config, deps.Log, deps.Meter, "notification"); err != nil {
		return nil, err
	}
	capacity := s.front.Seats(cfg.Capacity)
	if s.admission, err = newAdmission(cfg.LoginConfig, capacity, deps.Meter); err != nil {
		return nil, err
	}
	node := &clusterv1.Node{
		Role:     clusterv1.Role_ROLE_NOTIFICATION,
		Capacity: uint32(capacity),
		State:    clusterv1.State_STATE_SERVING,
		Version:  deps.Version,
	}
	for _, l := range listeners {
		node.Addresses = append(node.Addresses, &clusterv1.Address{Listener: l.Name, Address: l.Advertise})
	}
	s.member = deps.Cluster.Member(cluster.MemberConfig{
		Node: node, Timing: deps.Timing, Load: s.admission.load, Has: s.hub.hasUser, Unclaimed: s.auditor.unsettled, Log: deps.Log, Meter: deps.Meter,
	}, s.hub)
	s.drain = s.member.Drain(s.shed)
	return s, nil
}

// Run serves until ctx ends, and then closes what is left: the clients hear that
// the server goes, their watchers that they are gone, and their records are
// given up, for which there is Config.FlushTimeout. It returns when no goroutine
// of the node is left, with an error only where serving failed.
func (s *Service) Run(ctx context.Context) error {
	// The member outlives the clients, so that their sessions can be released.
	memberCtx, leave := context.WithCancel(context.WithoutCancel(ctx))
	defer leave()
	var inner errgroup.Group
	inner.Go(func() error { return s.member.Run(memberCtx) })
	inner.Go(func() error { return s.challenger.run(memberCtx, &s.cfg) })

	clients, ctx := errgroup.WithContext(ctx)
	inner.Go(func() error { return s.auditor.run(ctx) })
	inner.Go(func() error { return s.drain.Run(ctx) })
	released := make(chan struct{})
	inner.Go(func() error {
		<-ctx.Done()
		s.releases.within(s.flushTime(), released)
		return nil
	})
	for i := range s.listeners {
		l := &s.listeners[i]
		clients.Go(func() error {
			return s.front.Serve(ctx, l, func(_ context.Context, conn *front.Conn) front.Session { return s.open(conn, l) })
		})
	}
	err := clients.Wait()
	s.pending.Wait()
	close(released)
	leave()
	err = errors.Join(err, inner.Wait())
	s.pending.Wait() // what the last messages set off
	if left := s.releases.left.Load(); left > 0 {
		s.log.Warn("records are left for the other nodes to sweep", "sessions", left)
	}
	return err
}

// flushTime is what closing the connections may take, by their configuration.
func (s *Service) flushTime() time.Duration {
	return cmp.Or(s.cfg.FlushTimeout, front.DefaultFlushTimeout)
}

// open makes the session of a connection.
func (s *Service) open(conn *front.Conn, l *front.Listener) *session {
	conn.SetDeadline(time.Now().Add(s.cfg.LoginTimeout))
	return &session{
		svc:      s,
		conn:     conn,
		listener: l,
		phase:    msnp.Connected,
	}
}

// Ready returns nil once the node has joined the cluster and serves.
func (s *Service) Ready() error {
	select {
	case <-s.member.Ready():
	default:
		return errors.New("not joined: waiting for Redis")
	}
	if s.draining() {
		return errors.New("draining")
	}
	return nil
}

// View returns the node's view of the cluster.
func (s *Service) View() *cluster.View { return s.member.View() }

// ID returns the node id that the cluster knows this node by.
func (s *Service) ID() string { return s.member.ID() }

// Sessions returns how many users have a session on this node.
func (s *Service) Sessions() int { return s.hub.len() }

// lease is the cluster's, by its timing or by default.
func (s *Service) lease() time.Duration { return s.timing.WithDefaults().Lease }

// uptime is a moment, for durations: the time since the node was made, which
// goes on evenly where the time of day steps. It is never zero.
func (s *Service) uptime() time.Duration { return max(1, time.Since(s.started)) }

// background runs f on a goroutine that Run waits for.
func (s *Service) background(f func(ctx context.Context)) {
	s.pending.Go(func() { f(context.Background()) })
}

// forget deletes a record that names a session which this node does not have.
func (s *Service) forget(ctx context.Context, email string, epoch uint64) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.CallTimeout)
	defer cancel()
	found, err := s.cluster.Lookup(ctx, []string{email})
	record := found[email]
	if err != nil || record == nil || record.GetEpoch() != epoch || !s.member.IsSelf(record.GetNode()) {
		return
	}
	if err := s.cluster.Forget(ctx, record); err != nil {
		s.log.Warn("forget session", "email", email, "error", err)
	}
}

// isGone reports whether a node whose inbox nobody hears is dead: it has no lease
// either. A view that lacks this very node says nothing of others.
func (s *Service) isGone(node string) bool {
	view := s.member.View()
	return view.Node(node) == nil && view.Node(s.member.ID()) != nil
}

// forgettersAtOnce bounds the work for records that name dead nodes. The sweep
// takes nearly all of them; what is left out here is met again.
const forgettersAtOnce = 8

// forgetThoseOf deletes the records of these users that name a dead node. The
// sweep does that too, but once: a process that falls asleep within a claim may
// write such a record when it is over, and never wake up again. Should a node
// that was only cut off come back, it takes the records anew.
func (s *Service) forgetThoseOf(node string, emails []string) {
	select {
	case s.forgetters <- struct{}{}:
	default:
		return
	}
	s.background(func(ctx context.Context) {
		defer func() { <-s.forgetters }()
		ctx, cancel := context.WithTimeout(ctx, s.cfg.CallTimeout)
		defer cancel()
		found, err := s.cluster.Lookup(ctx, emails)
		if err != nil {
			return // whoever looks there next meets them again
		}
		for email, record := range found {
			if record.GetNode() != node {
				continue
			}
			if err := s.cluster.Forget(ctx, record); err != nil {
				s.log.Warn("forget session of a dead node", "email", email, "dead", node, "error", err)
				return
			}
			s.log.Debug("forgot session of a dead node", "email", email, "dead", node)
		}
	})
}

// Settle returns when all notification and switchboard nodes have handled what
// they sent to each other. See cluster.Member.Settle.
func (s *Service) Settle(ctx context.Context) error {
	return s.member.Settle(ctx, clusterv1.Role_ROLE_NOTIFICATION, clusterv1.Role_ROLE_SWITCHBOARD)
}
