// Package operator serves the HTTP interface through which a network is run:
// accounts and contacts through the directory, nodes and sessions through the
// cluster. Everything under /api/v1 asks for one bearer token, except the
// description of itself in openapi.yaml.
//
// The directory owns accounts; this service keeps nothing. What it adds is
// the word to those whom an edit concerns: a user who is online hears through
// the inbox of their node that their lists changed, or that their session is
// over. The edit stands whether or not that word arrives: the version of the
// lists, which sessions compare regularly, repairs what was missed.
package operator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/monarch-msn/monarch/internal/cluster"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// Config tunes the operator. Its zero value works: a field that is zero has
// the default of its tag.
type Config struct {
	// Listen is the TCP address to serve on where Deps brings no listener.
	// The command sets it, because its flag has a name of its own.
	Listen string `kong:"-"`
	// MaxConnections bounds the HTTP connections open at once; more wait to
	// be accepted.
	MaxConnections int `default:"256" help:"HTTP connections open at once."`
	// MaxRequests bounds the requests served at once; more are answered 503.
	MaxRequests int `default:"64" help:"HTTP requests served at once."`
	// BodyBytes bounds the body of a request.
	BodyBytes int64 `default:"2097152" help:"Bytes of one request's body."`
	// RequestTimeout bounds the work for one request.
	RequestTimeout time.Duration `default:"60s" help:"Time for one request."`
	// ShutdownTimeout bounds the wait for requests under way when Run ends.
	ShutdownTimeout time.Duration `default:"10s" help:"Time for requests under way at the end."`
}

func (c Config) withDefaults() Config {
	if c.MaxConnections == 0 {
		c.MaxConnections = 256
	}
	if c.MaxRequests == 0 {
		c.MaxRequests = 64
	}
	if c.BodyBytes == 0 {
		c.BodyBytes = 2 << 20
	}
	if c.RequestTimeout == 0 {
		c.RequestTimeout = time.Minute
	}
	if c.ShutdownTimeout == 0 {
		c.ShutdownTimeout = 10 * time.Second
	}
	return c
}

// Validate returns every fault of the configuration, joined.
func (c Config) Validate() error {
	var errs []error
	for _, v := range []struct {
		flag     string
		negative bool
	}{
		{"max-connections", c.MaxConnections < 0},
		{"max-requests", c.MaxRequests < 0},
		{"body-bytes", c.BodyBytes < 0},
		{"request-timeout", c.RequestTimeout < 0},
		{"shutdown-timeout", c.ShutdownTimeout < 0},
	} {
		if v.negative {
			errs = append(errs, fmt.Errorf("%s must not be negative", v.flag))
		}
	}
	return errors.Join(errs...)
}

// Deps is what the operator is given.
type Deps struct {
	// Accounts is the directory's service for operators.
	Accounts directoryv1.AccountsClient
	// Cluster is where nodes and sessions are found.
	Cluster *cluster.Client
	// Timing is that of all nodes of the cluster.
	Timing cluster.Timing
	// Tokens returns what opens /api/v1 now: any of them does. It is called for
	// each request, from any goroutine. Run refuses to start without one.
	Tokens func() []string
	// Listener takes precedence over Config.Listen. Run closes it.
	Listener net.Listener
	// Version is the release, as the list of nodes shows it.
	Version string
	// Log, Meter and Tracer may be nil: then nothing is recorded.
	Log    *slog.Logger
	Meter  metric.Meter
	Tracer trace.Tracer
}

// Service is the operator. It is an http.Handler, for whoever serves it
// differently than Run does.
type Service struct {
	cfg      Config
	log      *slog.Logger
	accounts directoryv1.AccountsClient
	cluster  *cluster.Client
	member   *cluster.Member
	inbox    inbox
	listener net.Listener
	tokens   func() []string
	mux      *http.ServeMux
	slots    chan struct{}
	observe  *telemetry
}

// New makes an operator. It starts nothing.
func New(cfg Config, deps Deps) *Service {
	cfg = cfg.withDefaults()
	log := deps.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Service{
		cfg:      cfg,
		log:      log,
		accounts: deps.Accounts,
		cluster:  deps.Cluster,
		inbox:    inbox{log: log, deaf: make(map[*clusterv1.Message][]string)},
		listener: deps.Listener,
		tokens:   deps.Tokens,
		mux:      http.NewServeMux(),
		slots:    make(chan struct{}, cfg.MaxRequests),
		observe:  newTelemetry(deps.Meter, deps.Tracer),
	}
	if s.tokens == nil {
		s.tokens = func() []string { return nil }
	}
	s.member = s.newMember(deps)
	for _, rt := range s.routes() {
		s.mux.Handle(rt.pattern, s.serve(rt))
	}
	return s
}

// Run serves until ctx ends, then lets requests under way finish, leaves the
// cluster and returns nil. It returns early only with an error.
func (s *Service) Run(ctx context.Context) error {
	if err := s.cfg.Validate(); err != nil {
		return err
	}
	if len(s.tokens()) == 0 {
		return errors.New("start operator: there is no token (put one line of random text into the token file)")
	}
	ln := s.listener
	if ln == nil {
		var err error
		ln, err = new(net.ListenConfig).Listen(ctx, "tcp", s.cfg.Listen)
		if err != nil {
			return fmt.Errorf("start operator: %w", err)
		}
	}
	s.log.Info("operator listens", "address", ln.Addr().String())

	// The member outlives the HTTP server: a request that finishes during the
	// shutdown still has someone to tell.
	memberCtx, leave := context.WithCancel(context.WithoutCancel(ctx))
	defer leave()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := s.member.Run(memberCtx); err != nil {
			return fmt.Errorf("run operator: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		defer leave()
		return s.serveHTTP(ctx, ln)
	})
	return group.Wait()
}

// Ready returns nil once the operator has joined the cluster. Accounts are
// served before.
func (s *Service) Ready() error {
	select {
	case <-s.member.Ready():
		return nil
	default:
		return errors.New("not joined: waiting for Redis")
	}
}

// serveHTTP serves on ln until ctx ends and the requests under way are done
// or the shutdown's time is up.
func (s *Service) serveHTTP(ctx context.Context, ln net.Listener) error {
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       s.cfg.RequestTimeout,
		WriteTimeout:      s.cfg.RequestTimeout + 10*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(limitListener(ln, s.cfg.MaxConnections)) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve operator on %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.ShutdownTimeout)
	defer cancel()
	if err := server.Shutdown(end); err != nil {
		s.log.Warn("requests under way were cut off", "error", err)
		_ = server.Close() // Shutdown has reported what there is to report.
	}
	<-served
	return nil
}
