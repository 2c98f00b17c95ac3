package notification

import (
	"context"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/monarch-msn/monarch/internal/cluster"
)

func TestOnlyAPossibleTimeOfDeliveryIsRecorded(t *testing.T) {
	const lease = 10 * time.Second
	for _, test := range []struct {
		name  string
		took  time.Duration
		count uint64
		sum   float64
	}{
		{"a moment", 250 * time.Millisecond, 1, 0.25},
		{"a little before it was sent", -time.Millisecond, 1, 0},
		{"long waited for Redis", lease + time.Second, 1, 11},
		{"the clock stepped back meanwhile", -10 * time.Minute, 0, 0},
		{"the clock stepped forward meanwhile", time.Hour, 0, 0},
		{"no clock is known", time.Until(time.Time{}), 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			reader := sdkmetric.NewManualReader()
			meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test")
			s := &Service{}
			s.hub = newHub(s)
			m, err := newMetrics(meter, s)
			if err != nil {
				t.Fatal(err)
			}
			m.delivered(t.Context(), test.took, lease)
			var all metricdata.ResourceMetrics
			if err := reader.Collect(context.Background(), &all); err != nil {
				t.Fatal(err)
			}
			var count uint64
			var sum float64
			for _, scope := range all.ScopeMetrics {
				for _, x := range scope.Metrics {
					if h, ok := x.Data.(metricdata.Histogram[float64]); ok && x.Name == "monarch_presence_delivery_seconds" {
						for _, p := range h.DataPoints {
							count, sum = count+p.Count, sum+p.Sum
						}
					}
				}
			}
			if count != test.count || sum != test.sum {
				t.Errorf("%s: recorded %d times, %v s in all; want %d times, %v s", test.took, count, sum, test.count, test.sum)
			}
		})
	}
}

// Whether somebody is missed for a lease is measured, not read off a clock.
func TestAStepOfTheTimeOfDayBuriesNobody(t *testing.T) {
	w := newWorld(t)
	member := w.node(Config{}, nil).member
	w.until("the node to have a lease behind it", member.Settled)
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	svc := &Service{
		started: time.Now(), now: func() time.Time { return day },
		timing: cluster.Timing{Lease: time.Hour}, member: member,
	}
	svc.auditor = newAuditor(svc)
	s := &session{svc: svc}
	c := &contact{place: place{makeNodeID("node"), 7}}
	s.missed(c)
	for _, step := range []time.Duration{2 * time.Hour, -4 * time.Hour} {
		day = day.Add(step)
		s.missed(c)
		if c.place == (place{}) {
			t.Fatalf("buried after a step of %s", step)
		}
	}
	// As if the node had been made a lease earlier.
	svc.started = svc.started.Add(-time.Hour)
	s.missed(c)
	if c.place != (place{}) || !c.ended(7) {
		t.Errorf("not buried though missed for a lease: place %v, over %d", c.place, c.over)
	}
}
