package front

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// metrics counts connections. Label values are closed sets, and their series
// exist from the start: a rate over one that appears with its first event
// misses that event.
type metrics struct {
	connections metric.Int64UpDownCounter
	closes      metric.Int64Counter
	refusals    metric.Int64Counter

	role     metric.MeasurementOption
	byReason map[Reason]metric.MeasurementOption
	byLimit  map[refusal]metric.MeasurementOption
}

func newMetrics(meter metric.Meter, role string, outboxBytes func() int64) (*metrics, error) {
	m := &metrics{
		byReason: make(map[Reason]metric.MeasurementOption),
		byLimit:  make(map[refusal]metric.MeasurementOption),
	}
	label := attribute.String("role", role)
	m.role = metric.WithAttributeSet(attribute.NewSet(label))
	var err error
	if m.connections, err = meter.Int64UpDownCounter("monarch_connections",
		metric.WithDescription("Client connections that are open.")); err != nil {
		return nil, err
	}
	if m.closes, err = meter.Int64Counter("monarch_closes_total",
		metric.WithDescription("Client connections that ended, by reason.")); err != nil {
		return nil, err
	}
	if m.refusals, err = meter.Int64Counter("monarch_connections_refused_total",
		metric.WithDescription("Client connections that were turned away, by the limit they exceeded.")); err != nil {
		return nil, err
	}
	pending, err := meter.Int64ObservableUpDownCounter("monarch_outbox_bytes",
		metric.WithDescription("Bytes that wait to be sent to clients."), metric.WithUnit("By"))
	if err != nil {
		return nil, err
	}
	// A callback of the instrument itself would be the first one's only, where
	// several servers in a process share a meter.
	if _, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(pending, outboxBytes(), m.role)
		return nil
	}, pending); err != nil {
		return nil, err
	}

	ctx := context.Background()
	m.connections.Add(ctx, 0, m.role)
	for _, r := range reasons {
		m.byReason[r] = metric.WithAttributeSet(attribute.NewSet(label, attribute.String("reason", string(r))))
		m.closes.Add(ctx, 0, m.byReason[r])
	}
	for _, l := range refusals {
		m.byLimit[l] = metric.WithAttributeSet(attribute.NewSet(label, attribute.String("limit", string(l))))
		m.refusals.Add(ctx, 0, m.byLimit[l])
	}
	return m, nil
}

func (m *metrics) opened() { m.connections.Add(context.Background(), 1, m.role) }

func (m *metrics) closed(r Reason) {
	ctx := context.Background()
	m.connections.Add(ctx, -1, m.role)
	by, ok := m.byReason[r]
	if !ok {
		by = m.byReason[ReasonInternal] // a word from outside the set
	}
	m.closes.Add(ctx, 1, by)
}

func (m *metrics) refused(l refusal) { m.refusals.Add(context.Background(), 1, m.byLimit[l]) }
