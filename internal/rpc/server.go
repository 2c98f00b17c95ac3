package rpc

import (
	"cmp"
	"context"
	"log/slog"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc/filters"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

// ServerOptions is what NewServer needs to know. The zero value is a server
// for peers on the same machine, without telemetry of its own.
type ServerOptions struct {
	// Tokens that callers have to bring.
	Tokens Tokens
	// Health is what the health service answers from; its owner sets it to not
	// serving when a drain begins. Nil is one that is always serving.
	Health *health.Server
	// Log hears of panics. Nil is the default logger.
	Log *slog.Logger
	// Nil providers are the global ones.
	MeterProvider  metric.MeterProvider
	TracerProvider trace.TracerProvider
}

const (
	// maxAge makes clients connect anew now and then, by which they find
	// servers that came later; grpc-go spreads it by a tenth.
	maxAge      = 5 * time.Minute
	maxAgeGrace = 30 * time.Second
	// maxStreams is how many calls one connection may have under way.
	maxStreams = 1000

	pingEvery   = 20 * time.Second
	pingTimeout = 10 * time.Second
)

// NewServer returns a gRPC server that has the health service and serves
// whatever else is registered: with credentials, telemetry, and a recovery by
// which a panic is an internal error of one call.
func NewServer(opt ServerOptions) *grpc.Server {
	g := guard{opt.Tokens}
	r := recovery{cmp.Or(opt.Log, slog.Default())}
	s := grpc.NewServer(
		grpc.StatsHandler(otelgrpc.NewServerHandler(telemetry(opt.MeterProvider, opt.TracerProvider)...)),
		grpc.ChainUnaryInterceptor(r.unary, g.unary),
		grpc.ChainStreamInterceptor(r.stream, g.stream),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge:      maxAge,
			MaxConnectionAgeGrace: maxAgeGrace,
			Time:                  pingEvery,
			Timeout:               pingTimeout,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime:             pingEvery / 2,
			PermitWithoutStream: true,
		}),
	)
	healthgrpc.RegisterHealthServer(s, cmp.Or(opt.Health, health.NewServer()))
	return s
}

// telemetry is the configuration of otelgrpc on both sides. Calls carry the
// W3C trace context, whatever the process has set up globally; health checks
// are not worth a span.
func telemetry(m metric.MeterProvider, t trace.TracerProvider) []otelgrpc.Option {
	opts := []otelgrpc.Option{
		otelgrpc.WithPropagators(propagation.TraceContext{}),
		otelgrpc.WithFilter(filters.Not(filters.HealthCheck())),
	}
	if m != nil {
		opts = append(opts, otelgrpc.WithMeterProvider(m))
	}
	if t != nil {
		opts = append(opts, otelgrpc.WithTracerProvider(t))
	}
	return opts
}

// recovery turns the panic of a handler into codes.Internal.
type recovery struct{ log *slog.Logger }

func (r recovery) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	defer func() {
		if v := recover(); v != nil {
			resp, err = nil, r.fault(info.FullMethod, v)
		}
	}()
	return next(ctx, req)
}

func (r recovery) stream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = r.fault(info.FullMethod, v)
		}
	}()
	return next(srv, s)
}

// fault logs a panic and returns what the caller hears of it, which is nothing
// that the panic might give away.
func (r recovery) fault(method string, panicked any) error {
	r.log.Error("panic in a call", "method", method, "panic", panicked, "stack", string(debug.Stack()))
	return status.Errorf(codes.Internal, "%s: internal error", method)
}
