package notification

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// metrics are those of the notification service; connections, commands and the
// cluster have their own.
type metrics struct {
	delivery metric.Float64Histogram
	repairs  metric.Int64Counter
}

// delivered records how long a message was under way, by Redis's clock, which
// sender and receiver have each measured: one that seems to have come a little
// before it was sent came at once. What lies further from the possible is no
// measurement, but a step of that clock between the two: no message waits for
// longer than a lease before it is published.
func (m *metrics) delivered(ctx context.Context, took, lease time.Duration) {
	if took < -time.Second || took > 2*lease {
		return
	}
	m.delivery.Record(ctx, max(0, took).Seconds())
}

func newMetrics(meter metric.Meter, s *Service) (*metrics, error) {
	var m metrics
	var errs [3]error
	m.delivery, errs[0] = meter.Float64Histogram("monarch_presence_delivery_seconds",
		metric.WithDescription("Time from a change of presence to its delivery on the watcher's node."),
		metric.WithExplicitBucketBoundaries(0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5))
	m.repairs, errs[1] = meter.Int64Counter("monarch_presence_repairs",
		metric.WithDescription("Differences that audits found between what clients were told and the truth."))
	sessions, err := meter.Int64ObservableUpDownCounter("monarch_sessions",
		metric.WithDescription("Users logged in on the notification nodes of this process."))
	errs[2] = err
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
