package rpc

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // the client's half of health checking
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver/dns"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// DialOptions is what Dial needs to know. The zero value is a client without
// credentials.
type DialOptions struct {
	// Tokens that go along with the calls of each service.
	Tokens Tokens
	// Timeout bounds calls whose context has no deadline; 0 is DefaultTimeout.
	Timeout time.Duration
	// Dialer replaces the network, for a server within the process. The target
	// then wants the scheme passthrough.
	Dialer func(ctx context.Context, addr string) (net.Conn, error)
	// Nil providers are the global ones.
	MeterProvider  metric.MeterProvider
	TracerProvider trace.TracerProvider
}

// DefaultTimeout bounds a call where nobody else has.
const DefaultTimeout = 5 * time.Second

const (
	// maxMessage lets the largest snapshot pass: lists at their default limits,
	// with names as long as the protocol has them, make some five megabytes.
	maxMessage = 16 << 20

	// A server that comes back is found within seconds; the default of gRPC is
	// two minutes.
	firstRedial = 100 * time.Millisecond
	lastRedial  = 3 * time.Second

	// lookAgain is how long a name's addresses count before DNS may be asked for
	// them again, as it is when a server is lost; the default of gRPC is half a
	// minute, for which servers that were all replaced would stay unfound.
	lookAgain = 2 * time.Second

	// silentFor is how long nothing that was sent may be acknowledged until a
	// server counts as lost, as one does behind a broken switch. It leaves a
	// call that waits for it time to be repeated on another one.
	silentFor = 2 * time.Second
)

// It is one value for the process, to be set before the first connection.
func init() { dns.SetMinResolutionInterval(lookAgain) }

// Dial returns a connection to the servers behind target: "host:port", which
// stands for every address that the name has, or "host:port,host:port", which
// stands for one server each, or another target of gRPC. Calls go to all of
// them in turn, but for those that are down or say that they are not serving.
//
// It does not wait for a server, and fails only if target cannot be understood:
// a call made while none can be reached returns an error for which Unavailable
// holds. Calls are repeated on another server only where that is harmless: all
// of the service Directory, in which an edit carries an id by which it is known
// again, and none of Accounts.
func Dial(target string, opt DialOptions) (*grpc.ClientConn, error) {
	t := newTelemetry(trace.SpanKindClient, opt.MeterProvider, opt.TracerProvider)
	opts := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithPerRPCCredentials(callTokens{opt.Tokens}),
		grpc.WithChainUnaryInterceptor(t.client, deadline(cmp.Or(opt.Timeout, DefaultTimeout))),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithDisableServiceConfig(), // none from DNS
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithNoProxy(), // a proxy is for the world outside
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: firstRedial, Multiplier: 2, Jitter: 0.2, MaxDelay: lastRedial},
			MinConnectTimeout: lastRedial,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time:                pingEvery,
			Timeout:             silentFor,
			PermitWithoutStream: true,
		}),
	}
	if opt.Dialer != nil {
		opts = append(opts, grpc.WithContextDialer(opt.Dialer))
	}
	name := target
	servers, err := parseTarget(target)
	if servers != nil {
		name = listScheme + ":///directory"
		opts = append(opts, grpc.WithResolvers(servers))
	}
	var conn *grpc.ClientConn
	if err == nil {
		conn, err = grpc.NewClient(name, opts...)
	}
	if err != nil {
		return nil, fmt.Errorf("dial %q: %w", target, err)
	}
	return conn, nil
}

// serviceConfig says how calls are spread and which of them are repeated. How
// many have failed before plays no part in it: soon after an outage of all
// servers the loss of one shall not be noticed either. A server that has too
// much to do says so by another code, upon which nothing is repeated.
var serviceConfig = fmt.Sprintf(`{
	"loadBalancingConfig": [{"round_robin": {}}],
	"healthCheckConfig": {"serviceName": ""},
	"methodConfig": [{
		"name": [{"service": %q}],
		"retryPolicy": {
			"maxAttempts": 3,
			"initialBackoff": "0.05s",
			"maxBackoff": "0.5s",
			"backoffMultiplier": 2,
			"retryableStatusCodes": ["UNAVAILABLE"]
		}
	}]
}`, directoryv1.Directory_ServiceDesc.ServiceName)

// deadline gives a call the deadline that its caller has not.
func deadline(timeout time.Duration) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if _, ok := ctx.Deadline(); !ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		return next(ctx, method, req, reply, conn, opts...)
	}
}
