package rpc_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/monarch-msn/monarch/internal/rpc"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// elsewhere is an in-memory listener whose peers seem to come from a network.
type elsewhere struct{ *bufconn.Listener }

func (l elsewhere) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return remote{nc}, nil
}

type remote struct{ net.Conn }

func (remote) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 40000}
}

func TestTokensOpenTheirOwnService(t *testing.T) {
	both := rpc.Tokens{Cluster: rpc.Fixed("swarm"), Accounts: rpc.Fixed("crown")}
	for _, tt := range []struct {
		name            string
		server, client  rpc.Tokens
		remote          bool
		login, accounts codes.Code
	}{
		{name: "no tokens, same machine"},
		{
			name: "no tokens, elsewhere", remote: true,
			login: codes.PermissionDenied, accounts: codes.PermissionDenied,
		},
		{
			name: "a token that nobody asked for does not help", remote: true, client: both,
			login: codes.PermissionDenied, accounts: codes.PermissionDenied,
		},
		{name: "both", remote: true, server: both, client: both},
		{
			name: "a node", remote: true, server: both, client: rpc.Tokens{Cluster: rpc.Fixed("swarm")},
			accounts: codes.Unauthenticated,
		},
		{
			name: "whoever registers accounts", remote: true, server: both, client: rpc.Tokens{Accounts: rpc.Fixed("crown")},
			login: codes.Unauthenticated,
		},
		{
			name: "exchanged", server: both, client: rpc.Tokens{Cluster: rpc.Fixed("crown"), Accounts: rpc.Fixed("swarm")},
			login: codes.Unauthenticated, accounts: codes.Unauthenticated,
		},
		{
			name: "the beginning is not enough", server: both, client: rpc.Tokens{Cluster: rpc.Fixed("swar"), Accounts: rpc.Fixed("crowns")},
			login: codes.Unauthenticated, accounts: codes.Unauthenticated,
		},
		{
			name: "the same machine needs a token that is set", server: both,
			login: codes.Unauthenticated, accounts: codes.Unauthenticated,
		},
		{
			name:   "a server that takes the old one and the new one",
			server: rpc.Tokens{Cluster: rpc.Fixed("swarm", "flock"), Accounts: rpc.Fixed("crown", "sceptre")},
			client: rpc.Tokens{Cluster: rpc.Fixed("flock"), Accounts: rpc.Fixed("sceptre")},
		},
		{
			name:   "a client that has the new one and the old one sends the new one",
			server: rpc.Tokens{Cluster: rpc.Fixed("swarm"), Accounts: rpc.Fixed("sceptre")},
			client: rpc.Tokens{Cluster: rpc.Fixed("flock", "swarm"), Accounts: rpc.Fixed("sceptre", "crown")},
			login:  codes.Unauthenticated,
		},
		{
			name:   "a file of tokens in which there are none any more opens nothing to others",
			remote: true, server: rpc.Tokens{Cluster: rpc.Fixed(), Accounts: rpc.Fixed()}, client: both,
			login: codes.PermissionDenied, accounts: codes.PermissionDenied,
		},
		{
			name: "only a cluster token, same machine", server: rpc.Tokens{Cluster: rpc.Fixed("swarm")},
			login: codes.Unauthenticated,
		},
		{
			name: "only a cluster token, elsewhere", remote: true, server: rpc.Tokens{Cluster: rpc.Fixed("swarm")}, client: both,
			accounts: codes.PermissionDenied,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mem := bufconn.Listen(1 << 20)
			var ln net.Listener = mem
			if tt.remote {
				ln = elsewhere{mem}
			}
			serve(t, ln, rpc.ServerOptions{Tokens: tt.server}, new(directory).register)
			conn := dial(t, "passthrough:///directory", rpc.DialOptions{
				Tokens: tt.client,
				Dialer: func(ctx context.Context, _ string) (net.Conn, error) { return mem.DialContext(ctx) },
			})
			_, err := directoryv1.NewDirectoryClient(conn).Login(t.Context(), &directoryv1.LoginRequest{})
			if got := status.Code(err); got != tt.login {
				t.Errorf("Directory: want %v, got %v", tt.login, err)
			}
			_, err = directoryv1.NewAccountsClient(conn).GetAccount(t.Context(), &directoryv1.GetAccountRequest{})
			if got := status.Code(err); got != tt.accounts {
				t.Errorf("Accounts: want %v, got %v", tt.accounts, err)
			}
			if _, err = healthgrpc.NewHealthClient(conn).Check(t.Context(), &healthgrpc.HealthCheckRequest{}); err != nil {
				t.Errorf("Health: want it open, got %v", err)
			}
		})
	}
}

func TestLoopbackCountsAsTheSameMachine(t *testing.T) {
	ln := listen(t)
	serve(t, ln, rpc.ServerOptions{}, new(directory).register)
	conn := dial(t, ln.Addr().String(), rpc.DialOptions{})
	if _, err := directoryv1.NewDirectoryClient(conn).Login(t.Context(), &directoryv1.LoginRequest{}); err != nil {
		t.Error(err)
	}
}

func TestEachServiceSeesOnlyItsOwnToken(t *testing.T) {
	tokens := rpc.Tokens{Cluster: rpc.Fixed("swarm"), Accounts: rpc.Fixed("crown")}
	d := new(directory)
	conn := inMemory(t, rpc.ServerOptions{Tokens: tokens}, rpc.DialOptions{Tokens: tokens}, d.register)
	directoryv1.NewDirectoryClient(conn).Login(t.Context(), &directoryv1.LoginRequest{})
	directoryv1.NewAccountsClient(conn).GetAccount(t.Context(), &directoryv1.GetAccountRequest{})
	for method, want := range map[string][]string{
		directoryv1.Directory_Login_FullMethodName:     {"Bearer swarm"},
		directoryv1.Accounts_GetAccount_FullMethodName: {"Bearer crown"},
	} {
		if got := d.tokens[method]; !slices.Equal(got, want) {
			t.Errorf("%s: want %q, got %q", method, want, got)
		}
	}
}

func TestServiceThatNobodyKnowsIsNotOpen(t *testing.T) {
	desc := grpc.ServiceDesc{
		ServiceName: "monarch.later.v1.Later", HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName: "Watch", ServerStreams: true,
			Handler: func(any, grpc.ServerStream) error { return nil },
		}},
	}
	conn := inMemory(t, rpc.ServerOptions{}, rpc.DialOptions{}, func(s *grpc.Server) { s.RegisterService(&desc, nil) })
	err := watch(t, conn, "/monarch.later.v1.Later/Watch")
	if got := status.Code(err); got != codes.PermissionDenied {
		t.Errorf("want %v, got %v", codes.PermissionDenied, err)
	}
}

// watch calls a streaming method and returns its status.
func watch(t *testing.T, conn *grpc.ClientConn, method string) error {
	t.Helper()
	s, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, method)
	if err != nil {
		return fmt.Errorf("open stream: %w", err)
	}
	s.CloseSend()
	return s.RecvMsg(new(directoryv1.LoginResponse))
}
