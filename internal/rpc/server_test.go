package rpc_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/monarch-msn/monarch/internal/rpc"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

func TestPanicIsAnInternalErrorOfOneCall(t *testing.T) {
	log := new(logBuffer)
	d := &directory{login: func(_ context.Context, r *directoryv1.LoginRequest) (*directoryv1.LoginResponse, error) {
		if r.GetEmail() == "ann@example.com" {
			panic("secret of ann")
		}
		return &directoryv1.LoginResponse{UserId: 7}, nil
	}}
	client := directoryv1.NewDirectoryClient(
		inMemory(t, rpc.ServerOptions{Log: log.logger()}, rpc.DialOptions{}, d.register))
	_, err := client.Login(t.Context(), &directoryv1.LoginRequest{Email: "ann@example.com"})
	if got := status.Code(err); got != codes.Internal {
		t.Errorf("code: want %v, got %v", codes.Internal, err)
	}
	if err != nil && strings.Contains(err.Error(), "secret") {
		t.Errorf("the caller is told what the panic said: %v", err)
	}
	for _, want := range []string{"secret of ann", "server_test.go", directoryv1.Directory_Login_FullMethodName} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log: want %q in it, got %s", want, log)
		}
	}
	if _, err := client.Login(t.Context(), &directoryv1.LoginRequest{}); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

func TestPanicOfAStream(t *testing.T) {
	log := new(logBuffer)
	name := directoryv1.Directory_ServiceDesc.ServiceName
	desc := grpc.ServiceDesc{
		ServiceName: name, HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName: "Watch", ServerStreams: true,
			Handler: func(any, grpc.ServerStream) error { panic("out of cheese") },
		}},
	}
	conn := inMemory(t, rpc.ServerOptions{Log: log.logger()}, rpc.DialOptions{},
		func(s *grpc.Server) { s.RegisterService(&desc, nil) })
	if got := status.Code(watch(t, conn, "/"+name+"/Watch")); got != codes.Internal {
		t.Errorf("code: want %v, got %v", codes.Internal, got)
	}
	if !strings.Contains(log.String(), "out of cheese") {
		t.Errorf("log: want the panic in it, got %s", log)
	}
}

func TestHealthIsTheCallers(t *testing.T) {
	h := health.NewServer()
	conn := inMemory(t, rpc.ServerOptions{Health: h}, rpc.DialOptions{}, new(directory).register)
	check := func(want healthgrpc.HealthCheckResponse_ServingStatus) {
		t.Helper()
		r, err := healthgrpc.NewHealthClient(conn).Check(t.Context(), &healthgrpc.HealthCheckRequest{})
		if err != nil || r.GetStatus() != want {
			t.Errorf("want %v, got %v and %v", want, r.GetStatus(), err)
		}
	}
	check(healthgrpc.HealthCheckResponse_SERVING)
	h.Shutdown()
	eventually(t, "the client hears that nobody serves", func() bool {
		_, err := directoryv1.NewDirectoryClient(conn).Login(t.Context(), &directoryv1.LoginRequest{})
		return rpc.Unavailable(err)
	})
}

func TestCallsAreTracedAndMeasuredOnBothSides(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	traces := trace.NewTracerProvider(trace.WithSpanProcessor(spans))
	reader := metric.NewManualReader()
	meters := metric.NewMeterProvider(metric.WithReader(reader))
	conn := inMemory(t,
		rpc.ServerOptions{TracerProvider: traces, MeterProvider: meters},
		rpc.DialOptions{TracerProvider: traces, MeterProvider: meters},
		new(directory).register)
	if _, err := directoryv1.NewDirectoryClient(conn).Login(t.Context(), &directoryv1.LoginRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := healthgrpc.NewHealthClient(conn).Check(t.Context(), &healthgrpc.HealthCheckRequest{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both sides have ended their span", func() bool { return len(spans.Ended()) >= 2 })
	ended := spans.Ended()
	for _, s := range ended {
		if want := "monarch.directory.v1.Directory/Login"; s.Name() != want {
			t.Errorf("span: want %q, got %q", want, s.Name())
		}
	}
	if a, b := ended[0].SpanContext().TraceID(), ended[1].SpanContext().TraceID(); a != b {
		t.Errorf("want one trace, got %v and %v", a, b)
	}
	// The server measures a call behind its answer.
	eventually(t, "both sides have measured the call", func() bool {
		var rm metricdata.ResourceMetrics
		if err := reader.Collect(t.Context(), &rm); err != nil {
			t.Fatal(err)
		}
		found := make(map[string]bool)
		for _, scope := range rm.ScopeMetrics {
			for _, m := range scope.Metrics {
				found[m.Name] = true
			}
		}
		return found["rpc.client.call.duration"] && found["rpc.server.call.duration"]
	})
}

func TestARefusalIsAnErrorOfItsCaller(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	traces := trace.NewTracerProvider(trace.WithSpanProcessor(spans))
	reader := metric.NewManualReader()
	meters := metric.NewMeterProvider(metric.WithReader(reader))
	d := &directory{login: func(context.Context, *directoryv1.LoginRequest) (*directoryv1.LoginResponse, error) {
		return nil, rpc.Refuse(directoryv1.Reason_REASON_AUTHENTICATION, "wrong password")
	}}
	conn := inMemory(t,
		rpc.ServerOptions{TracerProvider: traces, MeterProvider: meters},
		rpc.DialOptions{TracerProvider: traces, MeterProvider: meters},
		d.register)
	if _, err := directoryv1.NewDirectoryClient(conn).Login(t.Context(), &directoryv1.LoginRequest{}); err == nil {
		t.Fatal("the call was not refused")
	}
	eventually(t, "both sides have ended their span", func() bool { return len(spans.Ended()) == 2 })
	for _, s := range spans.Ended() {
		failed := s.Status().Code == otelcodes.Error
		if want := s.SpanKind() == oteltrace.SpanKindClient; failed != want {
			t.Errorf("%v: want an error %v, got %v", s.SpanKind(), want, s.Status())
		}
	}
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			for _, p := range m.Data.(metricdata.Histogram[float64]).DataPoints {
				if got, _ := p.Attributes.Value("rpc.response.status_code"); got.AsString() != "PERMISSION_DENIED" {
					t.Errorf("%s: want the status PERMISSION_DENIED, got %v", m.Name, got.AsString())
				}
			}
		}
	}
}
