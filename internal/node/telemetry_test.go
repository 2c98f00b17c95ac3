package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

func openForTest(t *testing.T) *telemetry {
	t.Helper()
	tel, err := openTelemetry(t.Context(), "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tel.close(context.Background()); err != nil {
			t.Errorf("close telemetry: %v", err)
		}
	})
	return tel
}

// clearEnv removes the OTEL_ variables of whoever runs the test.
func clearEnv(t *testing.T) {
	t.Helper()
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
}

// TestMetricNames holds what dashboards and alerts rely on: the names as
// Prometheus sees them, whichever way an instrument spells them.
func TestMetricNames(t *testing.T) {
	clearEnv(t)
	tel := openForTest(t)
	m := tel.meters.Meter(scope)
	ctx := t.Context()

	up := func(name, unit string) {
		i, err := m.Int64UpDownCounter(name, metric.WithUnit(unit))
		if err != nil {
			t.Fatal(err)
		}
		i.Add(ctx, 1)
	}
	count := func(name, unit string) {
		i, err := m.Int64Counter(name, metric.WithUnit(unit))
		if err != nil {
			t.Fatal(err)
		}
		i.Add(ctx, 1)
	}
	histogram := func(name, unit string) {
		i, err := m.Float64Histogram(name, metric.WithUnit(unit))
		if err != nil {
			t.Fatal(err)
		}
		i.Record(ctx, 0.003)
	}
	up("monarch_connections", "")
	up("monarch_sessions", "{session}")
	up("monarch_outbox_bytes", "By")
	up("monarch_lease_age_seconds", "s")
	count("monarch_closes_total", "")
	count("monarch_commands_total", "{command}")
	count("monarch_presence_repairs", "")
	histogram("monarch_command_seconds", "s")
	histogram("monarch_presence_delivery", "s")
	histogram("monarch_unitless_seconds", "")

	families, err := tel.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, f := range families {
		got[f.GetName()] = true
		for _, metric := range f.GetMetric() {
			for _, l := range metric.GetLabel() {
				if strings.HasPrefix(l.GetName(), "otel_") {
					t.Errorf("%s has the label %s", f.GetName(), l.GetName())
				}
			}
			if h := metric.GetHistogram(); h != nil && strings.HasPrefix(f.GetName(), "monarch") && len(h.GetBucket()) != len(seconds) {
				t.Errorf("%s: want %d buckets, got %d", f.GetName(), len(seconds), len(h.GetBucket()))
			}
		}
	}
	for _, want := range []string{
		"monarch_connections", "monarch_sessions", "monarch_outbox_bytes", "monarch_lease_age_seconds",
		"monarch_closes_total", "monarch_commands_total", "monarch_presence_repairs_total",
		"monarch_command_seconds", "monarch_presence_delivery_seconds", "monarch_unitless_seconds",
		"monarch_build_info", "go_goroutine_count", "go_memory_used_bytes", "process_resident_memory_bytes", "target_info",
	} {
		if !got[want] {
			t.Errorf("no metric %s", want)
		}
		delete(got, want)
	}
	for name := range got {
		if strings.HasPrefix(name, "monarch") {
			t.Errorf("unexpected metric %s", name)
		}
	}
}

func TestNothingConfiguredExportsNothing(t *testing.T) {
	clearEnv(t)
	tel := openForTest(t)
	_, span := tel.tracers.Tracer(scope).Start(t.Context(), "root")
	defer span.End()
	if span.IsRecording() {
		t.Error("a span is recorded, though nothing exports it")
	}
	// A sampled trace from elsewhere stays sampled for those behind us.
	parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, Remote: true})
	_, child := tel.tracers.Tracer(scope).Start(trace.ContextWithRemoteSpanContext(t.Context(), parent), "child")
	defer child.End()
	if !child.SpanContext().IsSampled() || child.SpanContext().TraceID() != parent.TraceID() {
		t.Errorf("a trace from elsewhere does not pass through: %v", child.SpanContext())
	}
}

func TestConfigured(t *testing.T) {
	for name, c := range map[string]struct {
		env             map[string]string
		traces, metrics bool
	}{
		"nothing":              {nil, false, false},
		"an endpoint for all":  {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, true, true},
		"an endpoint for one":  {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318"}, true, false},
		"an exporter for one":  {map[string]string{"OTEL_METRICS_EXPORTER": "otlp"}, false, true},
		"everything disabled":  {map[string]string{"OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, false, false},
		"an exporter of none":  {map[string]string{"OTEL_TRACES_EXPORTER": "none"}, true, false},
		"an empty variable":    {map[string]string{"OTEL_TRACES_EXPORTER": ""}, false, false},
		"disabled but not so":  {map[string]string{"OTEL_SDK_DISABLED": "false", "OTEL_TRACES_EXPORTER": "otlp"}, true, false},
		"a protocol by itself": {map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			clearEnv(t)
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			if got := configured("TRACES"); got != c.traces {
				t.Errorf("traces: want %v, got %v", c.traces, got)
			}
			if got := configured("METRICS"); got != c.metrics {
				t.Errorf("metrics: want %v, got %v", c.metrics, got)
			}
		})
	}
}

// TestExportByEnvironment runs against a collector that takes everything.
func TestExportByEnvironment(t *testing.T) {
	clearEnv(t)
	paths := make(chan string, 16)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case paths <- r.URL.Path:
		default:
		}
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)

	tel, err := openTelemetry(t.Context(), "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	_, span := tel.tracers.Tracer(scope).Start(t.Context(), "root")
	span.End()
	if err := tel.close(t.Context()); err != nil {
		t.Errorf("close telemetry: %v", err)
	}
	close(paths)
	got := map[string]bool{}
	for p := range paths {
		got[p] = true
	}
	if !got["/v1/traces"] || !got["/v1/metrics"] {
		t.Errorf("want an export of traces and one of metrics, got %v", got)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestUnknownExporterIsAFault(t *testing.T) {
	for _, name := range []string{"OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"} {
		t.Run(name, func(t *testing.T) {
			clearEnv(t)
			t.Setenv(name, "pigeon")
			s := start(t, quietFlags(), func(context.Context, *Process) error { return nil })
			s.exits(ExitUsage)
			if want, got := name+`="pigeon"`, s.stderr.String(); !strings.Contains(got, want) {
				t.Errorf("want %s in the sentence, got %q", want, got)
			}
		})
	}
}

func TestAnEndpointThatIsNoURLIsAFault(t *testing.T) {
	for _, value := range []string{"collector:4317", "collector", "grpc://collector:4317", "http://", "http://[::1"} {
		for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"} {
			t.Run(name+"="+value, func(t *testing.T) {
				clearEnv(t)
				t.Setenv(name, value)
				s := start(t, quietFlags(), func(context.Context, *Process) error { return nil })
				s.exits(ExitUsage)
				if want, got := fmt.Sprintf("monarch: %s=%q is no URL like http://collector:4318\n", name, value), s.stderr.String(); got != want {
					t.Errorf("want %q, got %q", want, got)
				}
			})
		}
	}
	t.Run("of what is disabled", func(t *testing.T) {
		clearEnv(t)
		t.Setenv("OTEL_SDK_DISABLED", "true")
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")
		s := start(t, quietFlags(), func(context.Context, *Process) error { return nil })
		s.exits(ExitOK)
	})
}

func TestExportErrorsAreLoggedSparingly(t *testing.T) {
	var b bytes.Buffer
	h := &exportErrors{log: slog.New(slog.NewTextHandler(&b, nil))}
	for range 100 {
		h.Handle(errors.New("collector is away"))
	}
	if got := strings.Count(b.String(), "collector is away"); got != 1 {
		t.Errorf("want 1 line for 100 errors, got %d:\n%s", got, b.String())
	}
}
