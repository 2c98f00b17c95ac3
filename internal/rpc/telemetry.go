package rpc

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// telemetry traces and measures the calls of our services on one side, under
// the names that OpenTelemetry has for them; others, such as health checks, are
// not worth it. It looks at a call as a whole and not at the events within, of
// which gRPC tells: to take those costs a fourth of a call, whether or not
// anybody records anything.
type telemetry struct {
	kind    trace.SpanKind
	tracer  trace.Tracer
	start   []trace.SpanStartOption
	seconds metric.Float64Histogram
	// succeeded has the labels of calls without an error, by full method. It
	// says which calls are seen at all.
	succeeded map[string][]metric.RecordOption
}

// newTelemetry takes the global provider in the place of one that is nil.
func newTelemetry(kind trace.SpanKind, meters metric.MeterProvider, tracers trace.TracerProvider) *telemetry {
	if meters == nil {
		meters = otel.GetMeterProvider()
	}
	if tracers == nil {
		tracers = otel.GetTracerProvider()
	}
	const scope = "github.com/monarch-msn/monarch/internal/rpc"
	seconds, err := meters.Meter(scope).Float64Histogram("rpc."+kind.String()+".call.duration",
		metric.WithUnit("s"),
		metric.WithDescription("Duration of calls, by method and status."),
		metric.WithExplicitBucketBoundaries(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10))
	if err != nil {
		otel.Handle(err) // calls go on without being measured
	}
	t := &telemetry{
		kind:      kind,
		tracer:    tracers.Tracer(scope),
		start:     []trace.SpanStartOption{trace.WithSpanKind(kind)},
		seconds:   seconds,
		succeeded: make(map[string][]metric.RecordOption),
	}
	for _, s := range []*grpc.ServiceDesc{&directoryv1.Directory_ServiceDesc, &directoryv1.Accounts_ServiceDesc} {
		for _, m := range s.Methods {
			method := "/" + s.ServiceName + "/" + m.MethodName
			t.succeeded[method] = labels(method, codes.OK)
		}
	}
	return t
}

func labels(method string, outcome codes.Code) []metric.RecordOption {
	return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(
		attribute.String("rpc.system.name", "grpc"),
		attribute.String("rpc.method", strings.TrimPrefix(method, "/")),
		attribute.String("rpc.response.status_code", name(outcome)),
	))}
}

// name is that of a status code on the wire, as OpenTelemetry wants it.
func name(c codes.Code) string { return code.Code(c).String() }

// client goes around a call, with all of its attempts.
func (t *telemetry) client(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if t.succeeded[method] == nil {
		return next(ctx, method, req, reply, conn, opts...)
	}
	started := time.Now()
	ctx, span := t.tracer.Start(ctx, strings.TrimPrefix(method, "/"), t.start...)
	if span.SpanContext().IsValid() {
		md, _ := metadata.FromOutgoingContext(ctx)
		md = md.Copy()
		propagator.Inject(ctx, carrier(md))
		ctx = metadata.NewOutgoingContext(ctx, md)
	}
	err := next(ctx, method, req, reply, conn, opts...)
	t.end(ctx, span, method, started, err)
	return err
}

// server goes around the handler of a call.
func (t *telemetry) server(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if t.succeeded[info.FullMethod] == nil {
		return next(ctx, req)
	}
	started := time.Now()
	if len(metadata.ValueFromIncomingContext(ctx, "traceparent")) > 0 {
		md, _ := metadata.FromIncomingContext(ctx)
		ctx = propagator.Extract(ctx, carrier(md))
	}
	ctx, span := t.tracer.Start(ctx, strings.TrimPrefix(info.FullMethod, "/"), t.start...)
	reply, err := next(ctx, req)
	t.end(ctx, span, info.FullMethod, started, err)
	return reply, err
}

func (t *telemetry) end(ctx context.Context, span trace.Span, method string, started time.Time, err error) {
	said := t.succeeded[method]
	outcome := codes.OK
	if err != nil {
		outcome = status.Code(err)
		said = labels(method, outcome)
	}
	t.seconds.Record(ctx, time.Since(started).Seconds(), said...)
	if span.IsRecording() {
		span.SetAttributes(
			attribute.String("rpc.system.name", "grpc"),
			attribute.String("rpc.response.status_code", name(outcome)))
		if t.failed(outcome) {
			span.SetStatus(otelcodes.Error, status.Convert(err).Message())
		}
	}
	span.End()
}

// failed reports whether a call with that outcome is an error of this side. A
// refusal is one for the caller, and not for the server that was asked.
func (t *telemetry) failed(outcome codes.Code) bool {
	switch outcome {
	case codes.OK:
		return false
	case codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal, codes.Unavailable, codes.DataLoss:
		return true
	}
	return t.kind == trace.SpanKindClient
}

// propagator carries the W3C trace context, whatever the process has set up
// globally.
var propagator propagation.TraceContext

// carrier is the metadata of a call, which carries a trace context.
type carrier metadata.MD

// Get implements propagation.TextMapCarrier.
func (c carrier) Get(key string) string {
	if v := c[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Set implements propagation.TextMapCarrier.
func (c carrier) Set(key, value string) { c[key] = []string{value} }

// Keys implements propagation.TextMapCarrier.
func (c carrier) Keys() []string { return slices.Collect(maps.Keys(c)) }
