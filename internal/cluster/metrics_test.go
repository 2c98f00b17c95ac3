package cluster

import (
	"context"
	"testing"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

func TestMetrics(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		reader := metric.NewManualReader()
		provider := metric.NewMeterProvider(metric.WithReader(reader))
		a := e.start(t, func(c *MemberConfig) {
			c.Meter = provider.Meter("test")
			c.Node.Role = clusterv1.Role_ROLE_SWITCHBOARD
		})
		b := e.start(t)
		a.Send(b.ID(), notice("x"))
		a.Send("nobody", notice("x"))
		a.await(t, "undelivered", 1)
		b.Send(a.ID(), notice("x"))
		a.await(t, "deliver", 1)
		put(t, b.client, a.ID(), []byte("nonsense"))
		put(t, b.client, a.ID(), encoded(t, "peer", 7, "x"))
		a.await(t, "resync", 1)
		var all metricdata.ResourceMetrics
		if err := reader.Collect(context.Background(), &all); err != nil {
			t.Fatal(err)
		}
		got := make(map[string]bool)
		for _, m := range all.ScopeMetrics[0].Metrics {
			got[m.Name] = true
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					if role, _ := p.Attributes.Value("role"); role.AsString() != "switchboard" {
						t.Errorf("%s has role %q", m.Name, role.AsString())
					}
				}
			case metricdata.Gauge[float64]:
				if age := data.DataPoints[0].Value; age < 0 || age > e.timing.Lease.Seconds() {
					t.Errorf("%s is %v", m.Name, age)
				}
			}
		}
		for _, name := range []string{
			"monarch_lease_age_seconds", "monarch_inbox_queue_bytes",
			"monarch_inbox_batches_sent_total", "monarch_inbox_batches_received_total",
			"monarch_inbox_gaps_total", "monarch_resyncs_total",
			"monarch_inbox_undelivered_total", "monarch_inbox_dropped_total",
		} {
			if !got[name] {
				t.Errorf("%s is missing", name)
			}
		}
	})
}
