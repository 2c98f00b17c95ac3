package front

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/monarch-msn/monarch/msnp"
)

// Commands is what every kind of server does around the handlers of its
// commands: it checks a command against its row of the protocol's table, keeps
// a panic from spreading, turns the handler's error into a line, traces and
// counts. What a command means is the handler's business.
type Commands struct {
	server  msnp.Server
	tracer  trace.Tracer
	seconds metric.Float64Histogram
	tallies map[outcome]*tally
}

// A tally counts the commands of one outcome. It is read when metrics are
// collected: an atomic costs a tenth of what a counter of the SDK does.
type tally struct {
	count  atomic.Int64
	labels metric.MeasurementOption
}

// A Speaker is the client's session, as far as Commands has to know it. Its
// methods are called by the goroutine that calls Handle.
type Speaker interface {
	// Phase is where the connection stands; the zero Phase admits nothing.
	Phase() msnp.Phase
	// Dialect is what was negotiated, nil before that.
	Dialect() *msnp.Dialect
	// Lines is where replies are written.
	Lines() *msnp.Line
	// Log is the logger of this connection.
	Log() *slog.Logger
	// Entered reports whether the client has got in: before that a fault of
	// ours ends the connection, since there is nothing else it is good for.
	Entered() bool
}

// A Handler does what one verb asks for. Its error says what the client hears:
// nil is success, a msnp.Code its line, a Close the end of the connection behind
// the line of the Code that it may wrap, msnp.ErrMalformed the end without a
// word, and anything else a fault of ours.
type Handler[S Speaker] struct {
	Do func(S, context.Context, *msnp.Command) error
	// Traced verbs leave this process, to the directory or to other nodes.
	Traced bool
}

// A result is what came of a command, as a label.
type result string

const (
	resultOK      result = "ok"
	resultRefused result = "refused" // answered with a code
	resultClosed  result = "closed"  // ended the connection
	resultFault   result = "fault"   // could not be done
)

var results = []result{resultOK, resultRefused, resultClosed, resultFault}

// outcome is a pair of label values. Verbs come from the protocol's table, so
// both are of closed sets.
type outcome struct {
	verb   string
	result result
}

// NewCommands prepares the metrics of one kind of server; service is its name
// as a label.
func NewCommands(server msnp.Server, service string, meter metric.Meter, tracer trace.Tracer) (*Commands, error) {
	count, err1 := meter.Int64ObservableCounter("monarch_commands",
		metric.WithDescription("Commands handled, by verb and result."))
	seconds, err2 := meter.Float64Histogram("monarch_command_seconds",
		metric.WithDescription("Time from reading a command to its answer."),
		metric.WithExplicitBucketBoundaries(0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5))
	c := &Commands{server: server, tracer: tracer, seconds: seconds, tallies: make(map[outcome]*tally)}
	for _, row := range msnp.Verbs {
		for _, r := range results {
			c.tallies[outcome{row.Verb, r}] = &tally{labels: metric.WithAttributeSet(attribute.NewSet(
				attribute.String("service", service),
				attribute.String("verb", row.Verb),
				attribute.String("result", string(r)),
			))}
		}
	}
	_, err3 := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, t := range c.tallies {
			if n := t.count.Load(); n > 0 {
				o.ObserveInt64(count, n, t.labels)
			}
		}
		return nil
	}, count)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, fmt.Errorf("register metrics of commands: %w", err)
	}
	return c, nil
}

// Handle does one command with the handler of its verb. Where the connection
// has to end it returns a *Close; the caller sends what was written and closes.
func Handle[S Speaker](ctx context.Context, c *Commands, handlers map[string]Handler[S], s S, cmd *msnp.Command) error {
	started := time.Now()
	err := admit(c.server, s, cmd)
	if err == nil {
		err = call(ctx, c, handlers[cmd.Verb], s, cmd)
	}
	r, err := answer(s, cmd, err)
	t := c.tallies[outcome{cmd.Verb, r}]
	t.count.Add(1)
	c.seconds.Record(ctx, time.Since(started).Seconds(), t.labels)
	return err
}

// admit checks the command against its row.
func admit(server msnp.Server, s Speaker, cmd *msnp.Command) error {
	switch action, code := msnp.Lookup(server, cmd.Verb).Admit(s.Phase(), s.Dialect(), len(cmd.Args)); {
	case action == msnp.Refuse:
		return code
	case action == msnp.Close && code != 0:
		return Closing(ReasonProtocol, code)
	case action == msnp.Close:
		return fmt.Errorf("%s is not admitted while %s with %s and %d arguments: %w",
			cmd.Verb, s.Phase(), s.Dialect(), len(cmd.Args), msnp.ErrMalformed)
	}
	return nil
}

// call runs the handler, under a span if its verb has one. A panic is a fault
// of this command and nobody else's.
func call[S Speaker](ctx context.Context, c *Commands, h Handler[S], s S, cmd *msnp.Command) (err error) {
	if h.Traced {
		var span trace.Span
		ctx, span = c.tracer.Start(ctx, cmd.Verb, trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(attribute.String("monarch.dialect", s.Dialect().String())))
		defer func() {
			if err != nil {
				span.SetStatus(codes.Error, err.Error())
			}
			span.End()
		}()
	}
	defer func() {
		if r := recover(); r != nil {
			s.Log().Error("panic in a handler", "verb", cmd.Verb, "panic", r, "stack", string(debug.Stack()))
			err = Closing(ReasonInternal, fmt.Errorf("handle %s: panic: %v", cmd.Verb, r))
		}
	}()
	return h.Do(s, ctx, cmd)
}

// answer turns a handler's error into its line, and says what came of the
// command. Faults are logged here, once.
func answer(s Speaker, cmd *msnp.Command, err error) (result, error) {
	if err == nil {
		return resultOK, nil
	}
	var end *Close
	var code msnp.Code
	closes, fault := errors.As(err, &end), false
	switch {
	case errors.As(err, &code):
	case closes, errors.Is(err, msnp.ErrMalformed):
	default:
		s.Log().Error("command", "verb", cmd.Verb, "error", err)
		code, fault = msnp.CodeInternal, true
	}
	// A number that clients of this dialect do not know is none.
	if code = s.Dialect().Code(code); code != 0 && len(cmd.TrID) > 0 {
		s.Lines().Code(code, cmd.TrID)
	}
	switch {
	case closes:
		return resultClosed, end
	case code == 0:
		return resultClosed, &Close{Reason: ReasonProtocol, Err: err}
	case fault && !s.Entered():
		return resultFault, &Close{Reason: ReasonInternal, Err: err}
	case fault:
		return resultFault, nil
	}
	return resultRefused, nil
}
