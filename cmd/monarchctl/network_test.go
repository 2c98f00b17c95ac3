package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc/test/bufconn"

	"github.com/monarch-msn/monarch/internal/cluster"
	"github.com/monarch-msn/monarch/internal/rpc"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/directory"
	"github.com/monarch-msn/monarch/services/directory/store"
	"github.com/monarch-msn/monarch/services/operator"
)

const testToken = "token-of-the-test"

func testTokens() []string { return []string{testToken} }

// patience bounds what a test waits for. It is never reached where all is
// well, and nothing is measured by it.
const patience = 30 * time.Second

// quick lets nodes notice each other at the speed of a test.
var quick = cluster.Timing{Lease: 2 * time.Second, Beat: 50 * time.Millisecond, Refresh: 50 * time.Millisecond}

// network is a real operator over HTTP, with a real directory over SQLite and
// an embedded Redis behind it.
type network struct {
	t         *testing.T
	server    *httptest.Server
	operator  *operator.Service
	cluster   *cluster.Client
	tokenFile string
}

func startNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{t: t, tokenFile: filepath.Join(t.TempDir(), "operator.token")}
	if err := os.WriteFile(n.tokenFile, []byte(testToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	redis := miniredis.RunT(t)
	client, err := cluster.Open("redis://"+redis.Addr(), cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	n.cluster = client
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.operator = operator.New(operator.Config{}, operator.Deps{
		Accounts: startDirectory(t),
		Cluster:  client,
		Timing:   quick,
		Tokens:   testTokens,
		Listener: ln,
		Version:  "test",
	})
	start(t, n.operator.Run)
	n.eventually("the operator to join", func() bool { return n.operator.Ready() == nil })
	n.server = httptest.NewServer(n.operator)
	t.Cleanup(n.server.Close)
	return n
}

func startDirectory(t *testing.T) directoryv1.AccountsClient {
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
	g := rpc.NewServer(rpc.ServerOptions{})
	server.Register(g)
	ln := bufconn.Listen(1 << 20)
	served := make(chan error, 1)
	go func() { served <- g.Serve(ln) }()
	t.Cleanup(func() {
		g.Stop()
		<-served
	})
	conn, err := rpc.Dial("passthrough:///directory", rpc.DialOptions{
		Dialer: func(ctx context.Context, _ string) (net.Conn, error) { return ln.DialContext(ctx) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return directoryv1.NewAccountsClient(conn)
}

// start runs a service until the test ends.
func start(t *testing.T, service func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- service(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// eventually waits for what only time brings, by asking again.
func (n *network) eventually(what string, holds func() bool) {
	n.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			n.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// node is a notification node that serves nobody and keeps what it is sent.
type node struct {
	*cluster.Member
	drain    *cluster.Drain
	messages chan *clusterv1.Message
}

// Deliver drains when it is told to, and keeps all else.
func (d *node) Deliver(_ context.Context, from string, m *clusterv1.Message) {
	if m.GetDrain() != nil {
		d.drain.Deliver(from, m)
		return
	}
	d.messages <- m
}

func (d *node) Undelivered(string, *clusterv1.Message) {}
func (d *node) Gone(string)                            {}
func (d *node) Resync(string, string)                  {}

// startNode starts a node on which users are logged in, and waits until the
// operator sees it.
func (n *network) startNode(emails ...string) *node {
	n.t.Helper()
	d := &node{messages: make(chan *clusterv1.Message, 100)}
	d.Member = n.cluster.Member(cluster.MemberConfig{
		Node: &clusterv1.Node{
			Role:      clusterv1.Role_ROLE_NOTIFICATION,
			Addresses: []*clusterv1.Address{{Listener: "lan", Address: "10.0.0.5:1864"}, {Listener: "wan", Address: "chat.example.org:31001"}},
			Capacity:  1000,
			Version:   "test",
		},
		Timing: quick,
		Load:   func() int { return len(emails) },
	}, d)
	d.drain = d.Member.Drain(func(context.Context) {})
	start(n.t, d.drain.Run)
	start(n.t, d.Run)
	<-d.Ready()
	for _, email := range emails {
		s := &clusterv1.Session{Id: "session-of-" + email, Email: email, Dialect: "MSNP7"}
		if _, err := d.Claim(n.t.Context(), s); err != nil {
			n.t.Fatal(err)
		}
	}
	n.eventually("the operator to see the node", func() bool {
		return strings.Contains(n.ctl("node", "list").out, d.ID())
	})
	return d
}

// result is what a command did.
type result struct {
	status   int
	out, err string
}

// ctl runs a command line against the network.
func (n *network) ctl(args ...string) result {
	n.t.Helper()
	return n.ctlWith("", args...)
}

// ctlWith runs a command line with text on standard input.
func (n *network) ctlWith(in string, args ...string) result {
	n.t.Helper()
	return ctl(in, append([]string{"--server", n.server.URL, "--token-file", n.tokenFile}, args...)...)
}

// ctl runs a command line as it is.
func ctl(in string, args ...string) result {
	var out, err bytes.Buffer
	status := run(context.Background(), args, console{in: strings.NewReader(in), out: &out, err: &err})
	return result{status: status, out: out.String(), err: err.String()}
}

// done checks that a command succeeded and said nothing on standard error.
func (n *network) done(r result) result {
	n.t.Helper()
	if r.status != exitDone || r.err != "" {
		n.t.Fatalf("status %d, want 0; standard output:\n%s\nstandard error:\n%s", r.status, r.out, r.err)
	}
	return r
}

// create makes accounts with password "secret".
func (n *network) create(emails ...string) {
	n.t.Helper()
	for _, email := range emails {
		n.done(n.ctlWith("secret\n", "user", "create", email, "--password-stdin"))
	}
}

// asJSON decodes what a command printed.
func asJSON[T any](t *testing.T, r result) (value T) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.out), &value); err != nil {
		t.Fatalf("%q is not JSON: %v", r.out, err)
	}
	return value
}

// file writes a file for an import and returns its name.
func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "rows.csv")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
