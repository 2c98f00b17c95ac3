package operator

import (
	"context"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// telemetry records requests under the names that every service uses for its
// commands. The verb is the route's pattern, which is from a closed set.
type telemetry struct {
	tracer  trace.Tracer
	seconds metric.Float64Histogram

	mu       sync.Mutex
	requests map[outcome]int64
}

// outcome is a pair of label values.
type outcome struct{ verb, result string }

func (o outcome) labels() metric.MeasurementOption {
	return metric.WithAttributes(
		attribute.String("service", "operator"),
		attribute.String("verb", o.verb),
		attribute.String("result", o.result),
	)
}

func newTelemetry(meter metric.Meter, tracer trace.Tracer) *telemetry {
	if meter == nil {
		meter = metricnoop.Meter{}
	}
	if tracer == nil {
		tracer = tracenoop.Tracer{}
	}
	t := &telemetry{tracer: tracer, requests: make(map[outcome]int64)}
	// The API returns a working instrument beside any error, and the names
	// here are constants that a test has seen accepted.
	requests, _ := meter.Int64ObservableCounter("monarch_commands",
		metric.WithDescription("Commands handled, by verb and result."))
	_, _ = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		t.mu.Lock()
		defer t.mu.Unlock()
		for done, n := range t.requests {
			o.ObserveInt64(requests, n, done.labels())
		}
		return nil
	}, requests)
	t.seconds, _ = meter.Float64Histogram("monarch_command_seconds",
		metric.WithDescription("Time from reading a command to its answer."),
		metric.WithExplicitBucketBoundaries(0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5))
	return t
}

func (t *telemetry) start(ctx context.Context, pattern string) (context.Context, trace.Span) {
	return t.tracer.Start(ctx, "operator "+pattern, trace.WithSpanKind(trace.SpanKindServer))
}

func (t *telemetry) done(ctx context.Context, span trace.Span, pattern string, status int, elapsed time.Duration) {
	result := "ok"
	switch {
	case status >= http.StatusInternalServerError:
		result = "fault"
		span.SetStatus(codes.Error, http.StatusText(status))
	case status >= http.StatusBadRequest:
		result = "refused"
	}
	span.SetAttributes(attribute.Int("http.response.status_code", status))
	done := outcome{pattern, result}
	t.mu.Lock()
	t.requests[done]++
	t.mu.Unlock()
	t.seconds.Record(ctx, elapsed.Seconds(), done.labels())
}
