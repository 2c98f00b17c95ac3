package dispatch

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// metrics are those of the dispatch service; connections have their own.
type metrics struct {
	commands metric.Int64Counter
	seconds  metric.Float64Histogram
}

func newMetrics(meter metric.Meter) (*metrics, error) {
	commands, err1 := meter.Int64Counter("monarch_commands",
		metric.WithDescription("Commands handled, by verb and result."))
	seconds, err2 := meter.Float64Histogram("monarch_command_seconds",
		metric.WithDescription("Time from reading a command to its answer."),
		metric.WithExplicitBucketBoundaries(0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5))
	return &metrics{commands, seconds}, errors.Join(err1, err2)
}

// result is what came of a command, as a label.
type result string

const (
	resultOK      result = "ok"
	resultRefused result = "refused" // answered with a code
	resultClosed  result = "closed"  // ended the connection
)

// command counts one command. Verbs come from the protocol's table, so the
// label is from a closed set.
func (m *metrics) command(ctx context.Context, verb string, r result, took time.Duration) {
	labels := metric.WithAttributes(
		attribute.String("service", "dispatch"),
		attribute.String("verb", verb),
		attribute.String("result", string(r)),
	)
	m.commands.Add(ctx, 1, labels)
	m.seconds.Record(ctx, took.Seconds(), labels)
}
