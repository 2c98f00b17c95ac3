package rpc

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
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

// Tokens open the services.
type Tokens struct {
	Cluster  Token // opens Directory
	Accounts Token // opens Accounts
}

// A Token returns the secrets that open a service now, each of printable ASCII
// without blanks around it. A client sends the first, a server takes any: so
// both can be given a new one in their own time. Nil, or a Token that returns
// nothing, is none. It is called for each call, from any goroutine; what it
// returned is not changed.
type Token func() []string

// Fixed returns a token that stays the same.
func Fixed(secrets ...string) Token { return func() []string { return secrets } }

// minToken is short for a random token and long for a guessed one.
const minToken = 16

// ParseTokens reads a token file for a [Token]: one secret on each line. The error
// does not quote them.
func ParseTokens(text string) (all []string, err error) {
	for line := range strings.Lines(text) {
		token := strings.TrimSpace(line)
		switch {
		case token == "":
			continue
		case len(token) < minToken:
			return nil, fmt.Errorf("the token has %d characters and needs %d", len(token), minToken)
		case strings.ContainsFunc(token, func(r rune) bool { return r < ' ' || r > '~' }):
			return nil, errors.New("the token has characters other than those of ASCII")
		}
		all = append(all, token)
	}
	return all, nil
}

// of returns the secrets that open a service, and whether the service is one
// that a token can open.
func (t Tokens) of(service string) (secrets []string, known bool) {
	var token Token
	switch service {
	case directoryv1.Directory_ServiceDesc.ServiceName:
		token = t.Cluster
	case directoryv1.Accounts_ServiceDesc.ServiceName:
		token = t.Accounts
	default:
		return nil, false
	}
	if token == nil {
		return nil, true
	}
	return token(), true
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
	secrets, _ := t.of(service(info.Method))
	if len(secrets) == 0 {
		return nil, nil
	}
	return map[string]string{header: scheme + secrets[0]}, nil
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
	secrets, known := g.of(name)
	switch {
	case !known:
		// A service that nobody has given a token is not open by mistake.
		return status.Errorf(codes.PermissionDenied, "service %s has no token", name)
	case len(secrets) == 0 && local(ctx):
		return nil
	case len(secrets) == 0:
		return status.Errorf(codes.PermissionDenied,
			"no token is configured for %s, which therefore answers only peers on its own machine", name)
	}
	for _, got := range metadata.ValueFromIncomingContext(ctx, header) {
		if secret, ok := strings.CutPrefix(got, scheme); ok && oneOf(secret, secrets) {
			return nil
		}
	}
	return status.Errorf(codes.Unauthenticated, "wrong or missing token for %s", name)
}

// oneOf compares in a time that tells nothing about the secrets, their lengths
// included.
func oneOf(got string, secrets []string) bool {
	sum, equal := sha256.Sum256([]byte(got)), 0
	for _, secret := range secrets {
		want := sha256.Sum256([]byte(secret))
		equal |= subtle.ConstantTimeCompare(sum[:], want[:])
	}
	return equal == 1
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
