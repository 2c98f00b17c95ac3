package rpc

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// Tokens open the services. Each is a secret that servers and clients share,
// of printable ASCII without blanks around it; the empty string is none.
type Tokens struct {
	Cluster  string // opens Directory
	Accounts string // opens Accounts
}

// of returns the token of a service, and whether the service is one that a
// token can open.
func (t Tokens) of(service string) (token string, known bool) {
	switch service {
	case directoryv1.Directory_ServiceDesc.ServiceName:
		return t.Cluster, true
	case directoryv1.Accounts_ServiceDesc.ServiceName:
		return t.Accounts, true
	}
	return "", false
}

// service returns the service of a full method, "/package.Service/Method".
func service(method string) string {
	method = strings.TrimPrefix(method, "/")
	if i := strings.LastIndexByte(method, '/'); i >= 0 {
		return method[:i]
	}
	return method
}

const (
	header = "authorization"
	scheme = "Bearer "
)

// callTokens sends to each service its own token and no other.
type callTokens struct{ Tokens }

func (t callTokens) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	info, _ := credentials.RequestInfoFromContext(ctx)
	token, _ := t.of(service(info.Method))
	if token == "" {
		return nil, nil
	}
	return map[string]string{header: scheme + token}, nil
}

// RequireTransportSecurity returns false: a network that others can listen to
// is expected to be encrypted below gRPC.
func (callTokens) RequireTransportSecurity() bool { return false }

// guard lets a call pass or refuses it, by the service that it is for.
type guard struct{ Tokens }

func (g guard) check(ctx context.Context, method string) error {
	name := service(method)
	if name == healthgrpc.Health_ServiceDesc.ServiceName {
		return nil
	}
	want, known := g.of(name)
	switch {
	case !known:
		// A service that nobody has given a token is not open by mistake.
		return status.Errorf(codes.PermissionDenied, "service %s has no token", name)
	case want == "" && local(ctx):
		return nil
	case want == "":
		return status.Errorf(codes.PermissionDenied,
			"no token is configured for %s, which therefore answers only peers on its own machine", name)
	}
	for _, got := range metadata.ValueFromIncomingContext(ctx, header) {
		if token, ok := strings.CutPrefix(got, scheme); ok && same(token, want) {
			return nil
		}
	}
	return status.Errorf(codes.Unauthenticated, "wrong or missing token for %s", name)
}

// same compares in a time that tells nothing about either, its length included.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// local reports whether the caller is on this machine.
func local(ctx context.Context) bool {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return false
	}
	tcp, ok := p.Addr.(*net.TCPAddr)
	if !ok {
		return p.Addr.Network() == inMemory
	}
	return tcp.IP.IsLoopback()
}

// inMemory is what listeners within this process, of package bufconn, call their
// network.
const inMemory = "bufconn"

func (g guard) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := g.check(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func (g guard) stream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := g.check(s.Context(), info.FullMethod); err != nil {
		return err
	}
	return next(srv, s)
}
