package cluster

import (
	"context"
	"errors"
	"strings"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// metrics are a member's instruments, with the label sets that they take made
// beforehand: labels is the node's role, the others add a reason to it.
type metrics struct {
	sent, received     metric.Int64Counter
	gaps, resyncs      metric.Int64Counter
	undelivered, lost  metric.Int64Counter
	dropped            metric.Int64Counter
	labels             metric.MeasurementOption
	malformed, unknown metric.MeasurementOption
	duplicate, refused metric.MeasurementOption
	full, stale, ended metric.MeasurementOption
	reasons            map[string]metric.MeasurementOption
	watch              metric.Registration
}

// register makes the instruments. An instrument that the meter refuses is
// reported and counts nothing.
func (m *Member) register(meter metric.Meter) error {
	if meter == nil {
		meter = noop.Meter{}
	}
	var errs []error
	counter := func(name, description string) metric.Int64Counter {
		c, err := meter.Int64Counter(name, metric.WithDescription(description))
		errs = append(errs, err)
		return c
	}
	x := &m.metrics
	x.sent = counter("monarch_inbox_batches_sent_total", "Batches published to other nodes' inboxes.")
	x.received = counter("monarch_inbox_batches_received_total", "Batches received in the node's own inbox.")
	x.gaps = counter("monarch_inbox_gaps_total", "Times that batches of a peer were found missing.")
	x.resyncs = counter("monarch_resyncs_total", "Times that sessions had to be compared with the truth, by reason.")
	x.undelivered = counter("monarch_inbox_undelivered_total", "Messages that reached no subscriber.")
	x.dropped = counter("monarch_inbox_dropped_total", "Messages not sent and batches not taken, by reason.")
	x.lost = counter("monarch_leases_lost_total", "Times that the node found its lease gone.")

	role := attribute.String("role", roleName(m.node.Role))
	with := func(reason string) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(role, attribute.String("reason", reason)))
	}
	x.labels = metric.WithAttributeSet(attribute.NewSet(role))
	x.malformed, x.unknown = with("malformed"), with("unknown")
	x.duplicate, x.refused = with("duplicate"), with("refused")
	x.full, x.stale, x.ended = with("full"), with("stale"), with("ended")
	x.reasons = make(map[string]metric.MeasurementOption)
	for _, reason := range []string{ResyncSubscribed, ResyncGap, ResyncLease, ResyncFailover} {
		x.reasons[reason] = with(reason)
	}

	age, err := meter.Float64ObservableGauge("monarch_lease_age_seconds",
		metric.WithUnit("s"), metric.WithDescription("Time since the lease was last renewed."))
	errs = append(errs, err)
	queued, err := meter.Int64ObservableGauge("monarch_inbox_queue_bytes",
		metric.WithUnit("By"), metric.WithDescription("Bytes waiting to be published to other nodes."))
	errs = append(errs, err)
	x.watch, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		m.mu.Lock()
		beaten := m.beaten
		m.mu.Unlock()
		if !beaten.IsZero() {
			o.ObserveFloat64(age, time.Since(beaten).Seconds(), x.labels)
		}
		o.ObserveInt64(queued, int64(m.out.queued()), x.labels)
		return nil
	}, age, queued)
	return errors.Join(append(errs, err)...)
}

// loss returns the labels for a message that was dropped.
func (x *metrics) loss(why error) metric.MeasurementOption {
	switch {
	case errors.Is(why, errFull):
		return x.full
	case errors.Is(why, errStale):
		return x.stale
	case errors.Is(why, errEnded):
		return x.ended
	}
	return x.refused
}

// roleName is a role as labels and logs have it.
func roleName(r clusterv1.Role) string {
	return strings.ToLower(strings.TrimPrefix(r.String(), "ROLE_"))
}
