package operator

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/monarch-msn/monarch/internal/rpc"
	"github.com/monarch-msn/monarch/msnp"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/directory"
	"github.com/monarch-msn/monarch/services/directory/store"
)

// startDirectory starts a directory over SQLite and returns a connection to it.
func startDirectory(t *testing.T) *grpc.ClientConn {
	t.Helper()
	dir := t.TempDir()
	st, err := store.Open(t.Context(), "sqlite://"+filepath.Join(dir, "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	if err := st.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := st.Unlock(t.Context(), filepath.Join(dir, "password.keys")); err != nil {
		t.Fatal(err)
	}
	server, err := directory.New(directory.Config{
		ForwardLimit: 150, AllowLimit: 600, BlockLimit: 600, ReverseLimit: 5000, GroupLimit: 30,
		CallTimeout: 30 * time.Second,
	}, st, slog.New(slog.DiscardHandler), metricnoop.Meter{}, tracenoop.Tracer{})
	if err != nil {
		t.Fatal(err)
	}
	tokens := rpc.Tokens{Accounts: rpc.Fixed("of the operator"), Cluster: rpc.Fixed("of the nodes")}
	g := rpc.NewServer(rpc.ServerOptions{Tokens: tokens})
	server.Register(g)
	ln := bufconn.Listen(1 << 20)
	served := make(chan error, 1)
	go func() { served <- g.Serve(ln) }()
	t.Cleanup(func() {
		g.Stop()
		<-served
	})
	conn, err := rpc.Dial("passthrough:///directory", rpc.DialOptions{
		Tokens: tokens,
		Dialer: func(ctx context.Context, _ string) (net.Conn, error) { return ln.DialContext(ctx) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// login reports whether the directory lets a user in with a password.
func (n *network) login(email, password string) bool {
	n.t.Helper()
	const challenge = "1013928519.693957190"
	response := msnp.Respond(challenge, password)
	_, err := n.directory.Login(n.t.Context(), &directoryv1.LoginRequest{
		Email: email, Challenge: challenge, Response: response[:],
	})
	switch rpc.Reason(err) {
	case directoryv1.Reason_REASON_AUTHENTICATION, directoryv1.Reason_REASON_DISABLED:
		return false
	}
	if err != nil {
		n.t.Fatal(err)
	}
	return true
}
