package notification

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/monarch-msn/monarch/msnp"
)

// metrics are those of the notification service; connections and the cluster
// have their own.
type metrics struct {
	commands metric.Int64Counter
	seconds  metric.Float64Histogram
	delivery metric.Float64Histogram
	repairs  metric.Int64Counter
}

func newMetrics(meter metric.Meter, s *Service) (*metrics, error) {
	var m metrics
	var errs [5]error
	m.commands, errs[0] = meter.Int64Counter("monarch_commands",
		metric.WithDescription("Commands handled, by verb and result."))
	m.seconds, errs[1] = meter.Float64Histogram("monarch_command_seconds",
		metric.WithDescription("Time from reading a command to its answer."),
		metric.WithExplicitBucketBoundaries(0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5))
	m.delivery, errs[2] = meter.Float64Histogram("monarch_presence_delivery_seconds",
		metric.WithDescription("Time from a change of presence to its delivery on the watcher's node."),
		metric.WithExplicitBucketBoundaries(0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5))
	m.repairs, errs[3] = meter.Int64Counter("monarch_presence_repairs",
		metric.WithDescription("Differences that audits found between what clients were told and the truth."))
	sessions, err := meter.Int64ObservableUpDownCounter("monarch_sessions",
		metric.WithDescription("Users logged in on the notification nodes of this process."))
	errs[4] = err
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	// Several nodes in one process add up.
	_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(sessions, int64(s.hub.len()))
		return nil
	}, sessions)
	return &m, err
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
	labels := metric.WithAttributeSet(labels[label{verb, r}])
	m.commands.Add(ctx, 1, labels)
	m.seconds.Record(ctx, took.Seconds(), labels)
}

type label struct {
	verb   string
	result result
}

// labels has the attributes of all verbs and results, made once.
var labels = func() map[label]attribute.Set {
	sets := make(map[label]attribute.Set)
	for _, row := range msnp.Verbs {
		for _, r := range []result{resultOK, resultRefused, resultClosed, resultFault} {
			sets[label{row.Verb, r}] = attribute.NewSet(
				attribute.String("service", "notification"),
				attribute.String("verb", row.Verb),
				attribute.String("result", string(r)),
			)
		}
	}
	return sets
}()
