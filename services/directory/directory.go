// Package directory serves what must never be lost: accounts, groups, lists and
// their versions, over a database. Nodes call its Directory service, the
// operator its Accounts service. It knows no Redis and no sessions: whoever is
// online, the truth about lists is the same.
//
// This package checks what comes in and says what happened; what the rules of
// lists are, and how they hold when many edit at once, is the business of
// package store. Passwords leave neither.
package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"

	"github.com/monarch-msn/monarch/internal/rpc"
	"github.com/monarch-msn/monarch/msnp"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/directory/store"
)

// Config tunes a directory. The struct tags are flags with their defaults, read
// by the command; a field that is zero has the same default. Limits that are
// lowered leave longer lists as they are.
type Config struct {
	ForwardLimit int `help:"Most people on one forward list." default:"150"`
	AllowLimit   int `help:"Most people on one allow list." default:"600"`
	BlockLimit   int `help:"Most people on one block list." default:"600"`
	ReverseLimit int `help:"Most people who may have the same person on their forward lists." default:"5000"`
	GroupLimit   int `help:"Most groups of one user, Other Contacts included; at most 30." default:"30"`

	CallTimeout time.Duration `help:"Longest time for one call, if its caller gives it more." default:"30s"`

	// See gate for how these work together.
	Calls        int           `help:"Most calls at work in the database at once; on PostgreSQL this is the number of connections, but for one." default:"16"`
	Logins       int           `help:"Most logins among them." default:"8"`
	Queue        int           `help:"Most calls of a kind (logins, reads, edits, accounts) that wait for their turn; more are refused at once." default:"512"`
	QueueTimeout time.Duration `help:"Longest wait for a turn; then the call is refused." default:"2s"`
}

// withDefaults replaces zero values by the defaults of their tags.
func (c Config) withDefaults() Config {
	c.ForwardLimit = cmp.Or(c.ForwardLimit, 150)
	c.AllowLimit = cmp.Or(c.AllowLimit, 600)
	c.BlockLimit = cmp.Or(c.BlockLimit, 600)
	c.ReverseLimit = cmp.Or(c.ReverseLimit, 5000)
	c.GroupLimit = cmp.Or(c.GroupLimit, msnp.MaxGroups)
	c.CallTimeout = cmp.Or(c.CallTimeout, 30*time.Second)
	c.Calls = cmp.Or(c.Calls, 16)
	c.Logins = cmp.Or(c.Logins, 8)
	c.Queue = cmp.Or(c.Queue, 512)
	c.QueueTimeout = cmp.Or(c.QueueTimeout, 2*time.Second)
	return c
}

// Validate returns all faults of the configuration, joined.
func (c Config) Validate() error {
	c = c.withDefaults()
	var faults []error
	for _, l := range []struct {
		flag  string
		value int
	}{
		{"forward-limit", c.ForwardLimit},
		{"allow-limit", c.AllowLimit},
		{"block-limit", c.BlockLimit},
		{"reverse-limit", c.ReverseLimit},
		{"group-limit", c.GroupLimit},
		{"calls", c.Calls},
		{"logins", c.Logins},
		{"queue", c.Queue},
	} {
		if l.value < 1 {
			faults = append(faults, fmt.Errorf("%s must be at least 1, not %d", l.flag, l.value))
		}
	}
	if c.GroupLimit > msnp.MaxGroups {
		faults = append(faults, fmt.Errorf("group-limit must be at most %d, not %d", msnp.MaxGroups, c.GroupLimit))
	}
	if c.Logins > c.Calls {
		faults = append(faults, fmt.Errorf("logins must be at most calls, %d, not %d", c.Calls, c.Logins))
	}
	for _, l := range []struct {
		flag  string
		value time.Duration
	}{
		{"call-timeout", c.CallTimeout},
		{"queue-timeout", c.QueueTimeout},
	} {
		if l.value <= 0 {
			faults = append(faults, fmt.Errorf("%s must be above 0, not %s", l.flag, l.value))
		}
	}
	return errors.Join(faults...)
}

// Server answers the calls of both services. Its methods may be called from any
// goroutine.
type Server struct {
	directoryv1.UnimplementedDirectoryServer
	directoryv1.UnimplementedAccountsServer

	limits  store.Limits
	timeout time.Duration
	store   *store.Store
	gate    *gate
	away    atomic.Bool // see Watch
	faults  faults
	log     *slog.Logger
	tracer  trace.Tracer
	calls   metric.Int64Counter
	// succeeded has the labels of calls that went well, by method.
	succeeded map[string]metric.MeasurementOption
}

// New returns a server over st, which has been migrated and unlocked, and
// outlives it. It gives st as many connections as it has calls. Nothing may be
// nil.
func New(cfg Config, st *store.Store, log *slog.Logger, meter metric.Meter, tracer trace.Tracer) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	calls, err := meter.Int64Counter("monarch_directory_calls",
		metric.WithDescription("Calls to the directory, by method and result: OK, the reason of a refusal, BUSY where too many waited, or FAULT."))
	if err != nil {
		return nil, err
	}
	_, err = meter.Int64ObservableCounter("monarch_directory_conflicts",
		metric.WithDescription("Edits that had to start over, because another one came first."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(st.Conflicts())
			return nil
		}))
	if err != nil {
		return nil, err
	}
	server := &Server{
		limits: store.Limits{
			Forward: cfg.ForwardLimit,
			Allow:   cfg.AllowLimit,
			Block:   cfg.BlockLimit,
			Reverse: cfg.ReverseLimit,
			Groups:  cfg.GroupLimit,
		},
		timeout: cfg.CallTimeout,
		store:   st,
		gate:    newGate(cfg.Calls, cfg.Logins, cfg.Queue, cfg.QueueTimeout),
		faults:  faults{log: log, bursts: make(map[string]*burst)},
		log:     log,
		tracer:  tracer,
		calls:   calls,

		succeeded: make(map[string]metric.MeasurementOption),
	}
	for _, d := range []*grpc.ServiceDesc{&directoryv1.Directory_ServiceDesc, &directoryv1.Accounts_ServiceDesc} {
		for _, m := range d.Methods {
			server.succeeded[m.MethodName] = labels(m.MethodName, resultOK)
		}
	}
	st.Allow(cfg.Calls)
	return server, server.observe(meter)
}

// observe registers what is read when somebody looks.
func (s *Server) observe(meter metric.Meter) error {
	busy, err := meter.Int64ObservableGauge("monarch_directory_busy",
		metric.WithDescription("Calls at work in the database, by kind: login, read, edit or account."))
	if err != nil {
		return err
	}
	queue, err := meter.Int64ObservableGauge("monarch_directory_queue",
		metric.WithDescription("Calls that wait for their turn in the database, by kind."))
	if err != nil {
		return err
	}
	up, err := meter.Int64ObservableGauge("monarch_directory_database_up",
		metric.WithDescription("1 while the database answers, else 0."))
	if err != nil {
		return err
	}
	_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for l := range lanes {
			at, waiting := s.gate.load(l)
			kind := metric.WithAttributes(attribute.String("kind", l.String()))
			o.ObserveInt64(busy, int64(at), kind)
			o.ObserveInt64(queue, int64(waiting), kind)
		}
		answers := int64(1)
		if s.away.Load() {
			answers = 0
		}
		o.ObserveInt64(up, answers)
		return nil
	}, busy, queue, up)
	return err
}

// Register makes g serve both services.
func (s *Server) Register(g *grpc.Server) {
	directoryv1.RegisterDirectoryServer(g, s)
	directoryv1.RegisterAccountsServer(g, s)
}

// Ready reports why the directory cannot serve now, if it cannot.
func (s *Server) Ready(ctx context.Context) error { return s.store.Ping(ctx) }

// Results of a call beside the names of reasons.
const (
	resultOK    = "OK"
	resultBusy  = "BUSY"
	resultFault = "FAULT"
)

// call runs the work of one call when its turn has come, within the time that a
// call has, and turns its error into a status: a refusal with its reason, or a
// fault, which is logged here and of which the caller learns no detail.
func call[T any](ctx context.Context, s *Server, l lane, method string, work func(context.Context) (T, error)) (T, error) {
	if ends, ok := ctx.Deadline(); !ok || time.Until(ends) > s.timeout {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.timeout)
		defer cancel()
	}
	ctx, span := s.tracer.Start(ctx, "directory.store/"+method)
	defer span.End()
	var answer T
	leave, err := s.gate.enter(ctx, l)
	if err == nil {
		answer, err = inside(ctx, leave, work)
	}
	result, err := s.judge(ctx, method, err)
	said := s.succeeded[method]
	if err != nil {
		said = labels(method, result)
	}
	s.calls.Add(ctx, 1, said)
	span.SetAttributes(attribute.String("result", result))
	if err != nil {
		var none T
		return none, err
	}
	if l == edits {
		s.faults.changed(ctx)
	}
	return answer, nil
}

func labels(method, result string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String("method", method), attribute.String("result", result)))
}

// inside gives the place back also when the work panics, which only its caller
// hears of.
func inside[T any](ctx context.Context, leave func(), work func(context.Context) (T, error)) (T, error) {
	defer leave()
	return work(ctx)
}

func (s *Server) judge(ctx context.Context, method string, err error) (result string, _ error) {
	if err == nil {
		return resultOK, nil
	}
	var refusal *store.Refusal
	if errors.As(err, &refusal) {
		return strings.TrimPrefix(refusal.Reason.String(), "REASON_"), rpc.Refuse(refusal.Reason, refusal.Message)
	}
	return s.faults.fault(ctx, method, err)
}
