package rpc

import (
	"cmp"
	"context"
	"log/slog"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/metric"
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
	// workers is how many goroutines wait for calls, with stacks that have grown
	// to what a call needs; calls beyond them have one each. To grow a new stack
	// is a sixth of what gRPC costs.
	workers = 16

	pingEvery   = 20 * time.Second
	pingTimeout = 10 * time.Second
)

// NewServer returns a gRPC server that has the health service and serves
// whatever else is registered: with credentials, telemetry, and a recovery by
// which a panic is an internal error of one call.
func NewServer(opt ServerOptions) *grpc.Server {
	g := guard{opt.Tokens}
	t := newTelemetry(trace.SpanKindServer, opt.MeterProvider, opt.TracerProvider)
	r := recovery{cmp.Or(opt.Log, slog.Default())}
	s := grpc.NewServer(
		grpc.ChainUnaryInterceptor(t.server, r.unary, g.unary),
		grpc.ChainStreamInterceptor(r.stream, g.stream),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.NumStreamWorkers(workers),
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
