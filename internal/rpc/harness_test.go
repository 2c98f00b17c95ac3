package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/monarch-msn/monarch/internal/rpc"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// directory answers as a test wants, and remembers who called.
type directory struct {
	directoryv1.UnimplementedDirectoryServer
	directoryv1.UnimplementedAccountsServer

	login    func(context.Context, *directoryv1.LoginRequest) (*directoryv1.LoginResponse, error)
	snapshot func(context.Context) (*directoryv1.SnapshotResponse, error)
	versions func(context.Context) (*directoryv1.VersionsResponse, error)

	addMember func(context.Context) (*directoryv1.EditResponse, error)
	account   func(context.Context) (*directoryv1.GetAccountResponse, error)

	mu     sync.Mutex
	tokens map[string][]string // by method, of the last call
	calls  map[string]int
}

func (d *directory) called(ctx context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.calls == nil {
		d.calls, d.tokens = make(map[string]int), make(map[string][]string)
	}
	method, _ := grpc.Method(ctx)
	d.calls[method]++
	d.tokens[method] = metadata.ValueFromIncomingContext(ctx, "authorization")
}

func (d *directory) count(method string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls[method]
}

func (d *directory) Login(ctx context.Context, r *directoryv1.LoginRequest) (*directoryv1.LoginResponse, error) {
	d.called(ctx)
	if d.login == nil {
		return &directoryv1.LoginResponse{UserId: 7}, nil
	}
	return d.login(ctx, r)
}

func (d *directory) Snapshot(ctx context.Context, _ *directoryv1.SnapshotRequest) (*directoryv1.SnapshotResponse, error) {
	d.called(ctx)
	if d.snapshot == nil {
		return &directoryv1.SnapshotResponse{}, nil
	}
	return d.snapshot(ctx)
}

func (d *directory) Versions(ctx context.Context, _ *directoryv1.VersionsRequest) (*directoryv1.VersionsResponse, error) {
	d.called(ctx)
	if d.versions == nil {
		return &directoryv1.VersionsResponse{}, nil
	}
	return d.versions(ctx)
}

func (d *directory) GetAccount(ctx context.Context, _ *directoryv1.GetAccountRequest) (*directoryv1.GetAccountResponse, error) {
	d.called(ctx)
	if d.account == nil {
		return &directoryv1.GetAccountResponse{}, nil
	}
	return d.account(ctx)
}

func (d *directory) AddMember(ctx context.Context, _ *directoryv1.AddMemberRequest) (*directoryv1.EditResponse, error) {
	d.called(ctx)
	return d.addMember(ctx)
}

func (d *directory) register(s *grpc.Server) {
	directoryv1.RegisterDirectoryServer(s, d)
	directoryv1.RegisterAccountsServer(s, d)
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// serve serves on ln until the test ends or stop is called.
func serve(t *testing.T, ln net.Listener, opt rpc.ServerOptions, register func(*grpc.Server)) (stop func()) {
	t.Helper()
	s := rpc.NewServer(opt)
	register(s)
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	stop = sync.OnceFunc(func() {
		s.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// inMemory serves within the process and dials there.
func inMemory(t *testing.T, server rpc.ServerOptions, client rpc.DialOptions, register func(*grpc.Server)) *grpc.ClientConn {
	t.Helper()
	ln := bufconn.Listen(1 << 20)
	serve(t, ln, server, register)
	client.Dialer = func(ctx context.Context, _ string) (net.Conn, error) { return ln.DialContext(ctx) }
	return dial(t, "passthrough:///directory", client)
}

func dial(t *testing.T, target string, opt rpc.DialOptions) *grpc.ClientConn {
	t.Helper()
	conn, err := rpc.Dial(target, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// eventually waits for a condition that has no event to wait for.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
