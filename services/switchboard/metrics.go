package switchboard

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/monarch-msn/monarch/msnp"
)

// metrics are those of the switchboard service; connections and the cluster
// have their own.
type metrics struct {
	commands    metric.Int64Counter
	seconds     metric.Float64Histogram
	messages    metric.Int64Counter
	notices     metric.Int64Counter
	invitations metric.Int64Counter
}

func newMetrics(meter metric.Meter, s *Service) (*metrics, error) {
	var m metrics
	var errs [7]error
	m.commands, errs[0] = meter.Int64Counter("monarch_commands",
		metric.WithDescription("Commands handled, by verb and result."))
	m.seconds, errs[1] = meter.Float64Histogram("monarch_command_seconds",
		metric.WithDescription("Time from reading a command to its answer."),
		metric.WithExplicitBucketBoundaries(0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5))
	m.messages, errs[2] = meter.Int64Counter("monarch_switchboard_messages",
		metric.WithDescription("Messages of members, by mode and whether all others got them."))
	m.notices, errs[3] = meter.Int64Counter("monarch_switchboard_notices_dropped",
		metric.WithDescription("Messages of mode U left out for members who do not keep up."))
	m.invitations, errs[4] = meter.Int64Counter("monarch_switchboard_invitations",
		metric.WithDescription("Calls of members, by outcome."))
	_, errs[5] = meter.Int64ObservableGauge("monarch_switchboard_rooms",
		metric.WithDescription("Conversations on this node."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(s.Rooms()), metric.WithAttributes(attribute.String("node", s.ID())))
			return nil
		}))
	_, errs[6] = meter.Int64ObservableGauge("monarch_switchboard_members",
		metric.WithDescription("People in the conversations on this node."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(s.Members()), metric.WithAttributes(attribute.String("node", s.ID())))
			return nil
		}))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	// A rate over a series that appears with its first event misses that event.
	ctx := context.Background()
	for _, set := range messageLabels {
		m.messages.Add(ctx, 0, metric.WithAttributeSet(set))
	}
	for _, set := range outcomeLabels {
		m.invitations.Add(ctx, 0, metric.WithAttributeSet(set))
	}
	m.notices.Add(ctx, 0)
	return &m, nil
}

// result is what came of a command, as a label.
type result string

const (
	resultOK      result = "ok"
	resultRefused result = "refused" // answered with a code
	resultClosed  result = "closed"  // ended the connection
	resultFault   result = "fault"   // could not be done
)

// command counts one command. Verbs come from the protocol's table, so the
// label is from a closed set.
func (m *metrics) command(ctx context.Context, verb string, r result, took time.Duration) {
	labels := metric.WithAttributeSet(commandLabels[commandLabel{verb, r}])
	m.commands.Add(ctx, 1, labels)
	m.seconds.Record(ctx, took.Seconds(), labels)
}

type commandLabel struct {
	verb   string
	result result
}

// commandLabels has the attributes of all verbs and results, made once.
var commandLabels = func() map[commandLabel]attribute.Set {
	sets := make(map[commandLabel]attribute.Set)
	for _, row := range msnp.Verbs {
		for _, r := range []result{resultOK, resultRefused, resultClosed, resultFault} {
			sets[commandLabel{row.Verb, r}] = attribute.NewSet(
				attribute.String("service", "switchboard"),
				attribute.String("verb", row.Verb),
				attribute.String("result", string(r)),
			)
		}
	}
	return sets
}()

type messageLabel struct {
	mode      string
	delivered bool
}

var messageLabels = func() map[messageLabel]attribute.Set {
	sets := make(map[messageLabel]attribute.Set)
	for _, mode := range []string{"U", "N", "A"} {
		for _, delivered := range []bool{true, false} {
			sets[messageLabel{mode, delivered}] = attribute.NewSet(
				attribute.String("mode", mode), attribute.Bool("delivered", delivered))
		}
	}
	return sets
}()

func (m *metrics) message(ctx context.Context, mode string, delivered bool) {
	m.messages.Add(ctx, 1, metric.WithAttributeSet(messageLabels[messageLabel{mode, delivered}]))
}

// outcome is what came of a call, as a label.
type outcome string

const (
	outcomeRinging outcome = "ringing"
	outcomeNo      outcome = "not_online" // or hidden, or blocked
	outcomeThere   outcome = "already_there"
	outcomeFull    outcome = "session_full"
	outcomeName    outcome = "invalid_name"
	outcomeFault   outcome = "fault"
)

// outcomes tells what a code of CAL counts as; what is not there is a fault.
var outcomes = map[msnp.Code]outcome{
	msnp.CodeNotOnline:       outcomeNo,
	msnp.CodeAlreadyThere:    outcomeThere,
	msnp.CodeSessionFull:     outcomeFull,
	msnp.CodeInvalidUserName: outcomeName,
}

var outcomeLabels = func() map[outcome]attribute.Set {
	sets := make(map[outcome]attribute.Set)
	for _, o := range []outcome{outcomeRinging, outcomeNo, outcomeThere, outcomeFull, outcomeName, outcomeFault} {
		sets[o] = attribute.NewSet(attribute.String("outcome", string(o)))
	}
	return sets
}()

func (m *metrics) invitation(ctx context.Context, err error) {
	o := outcomeRinging
	if err != nil {
		o = outcomeFault
		var code msnp.Code
		if errors.As(err, &code) && outcomes[code] != "" {
			o = outcomes[code]
		}
	}
	m.invitations.Add(ctx, 1, metric.WithAttributeSet(outcomeLabels[o]))
}
