package operator

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/monarch-msn/monarch/internal/cluster"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/operator/api"
)

const testToken = "token-of-the-test"

func testTokens() []string { return []string{testToken} }

// patience bounds what a test waits for. It is never reached where all is
// well, and nothing is measured by it.
const patience = 30 * time.Second

// quick lets nodes notice each other at the speed of a test.
var quick = cluster.Timing{Lease: 2 * time.Second, Beat: 50 * time.Millisecond, Refresh: 50 * time.Millisecond}

// network is an operator with all that it speaks to.
type network struct {
	t         *testing.T
	server    *httptest.Server
	service   *Service
	accounts  directoryv1.AccountsClient
	directory directoryv1.DirectoryClient // what nodes see of it
	redis     *miniredis.Miniredis
	cluster   *cluster.Client
	log       *logBuffer
}

// startNetwork starts an operator beside a real directory and an embedded
// Redis. A client in place of accounts is taken instead of the directory's.
func startNetwork(t *testing.T, cfg Config, accounts directoryv1.AccountsClient) *network {
	t.Helper()
	n := &network{t: t, accounts: accounts, log: &logBuffer{}}
	if accounts == nil {
		conn := startDirectory(t)
		n.accounts = directoryv1.NewAccountsClient(conn)
		n.directory = directoryv1.NewDirectoryClient(conn)
	}
	n.redis = miniredis.RunT(t)
	client, err := cluster.Open("redis://"+n.redis.Addr(), cluster.Options{Command: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	n.cluster = client
	n.service = New(cfg, Deps{
		Accounts: n.accounts,
		Cluster:  client,
		Timing:   quick,
		Tokens:   testTokens,
		Listener: listen(t),
		Version:  "test",
		Log:      slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	run(t, n.service.Run)
	n.wait(n.service.member.Ready(), "the operator to join")
	n.server = httptest.NewServer(n.service)
	t.Cleanup(n.server.Close)
	return n
}

// run runs a service until the test ends.
func run(t *testing.T, service func(context.Context) error) {
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

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func (n *network) wait(done <-chan struct{}, what string) {
	n.t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		n.t.Fatalf("waited in vain for %s", what)
	}
}

// call sends a request with the right token and returns status and body.
func (n *network) call(method, path, body string) (int, string) {
	n.t.Helper()
	return n.callWith(method, path, body, "Bearer "+testToken)
}

func (n *network) callWith(method, path, body, authorization string) (int, string) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, n.server.URL+path, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := n.server.Client().Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// want sends a request, checks the status, and decodes the answer.
func want[T any](n *network, status int, method, path, body string) (answer T) {
	n.t.Helper()
	got, text := n.call(method, path, body)
	if got != status {
		n.t.Fatalf("%s %s: status %d, want %d: %s", method, path, got, status, text)
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		n.t.Fatalf("%s %s answered %q: %v", method, path, text, err)
	}
	return answer
}

// refused sends a request that has to be refused, and returns why.
func (n *network) refused(status int, method, path, body string) api.Error {
	n.t.Helper()
	e := want[api.Error](n, status, method, path, body)
	if e.Error == "" || strings.ContainsRune(e.Error, '\n') {
		n.t.Errorf("%s %s: error %q, want one sentence", method, path, e.Error)
	}
	return e
}

// create makes accounts with password "secret".
func (n *network) create(emails ...string) {
	n.t.Helper()
	for _, email := range emails {
		want[api.Account](n, http.StatusCreated, "POST", "/api/v1/accounts", `{"email":"`+email+`","password":"secret"}`)
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
			Addresses: []*clusterv1.Address{{Address: "127.0.0.1:1864"}},
			Capacity:  1000,
			Version:   "test",
		},
		Timing: quick,
		Load:   func() int { return len(emails) },
	}, d)
	d.drain = d.Member.Drain(func(context.Context) {})
	run(n.t, d.drain.Run)
	run(n.t, d.Run)
	n.wait(d.Ready(), "a node to join")
	for _, email := range emails {
		d.login(n.t, email)
	}
	n.eventually("the operator to see the node", func() bool {
		return n.service.member.View().Node(d.ID()) != nil
	})
	return d
}

func (d *node) login(t *testing.T, email string) *clusterv1.Session {
	t.Helper()
	s := &clusterv1.Session{Id: "session-of-" + email, Email: email, Dialect: "MSNP7"}
	if _, err := d.Claim(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return s
}

// next is the next message that the node hears.
func (n *network) next(d *node) *clusterv1.Message {
	n.t.Helper()
	select {
	case m := <-d.messages:
		return m
	case <-time.After(patience):
		n.t.Fatal("waited in vain for a message to the node")
		return nil
	}
}

// settled checks that the node hears nothing but what was read already. A
// marker of our own comes behind everything that the operator has published,
// and the operator publishes before it answers.
func (n *network) settled(d *node) {
	n.t.Helper()
	n.service.member.Send(d.ID(), &clusterv1.Message{Kind: &clusterv1.Message_Settle{Settle: &clusterv1.Settle{}}})
	if m := n.next(d); m.GetSettle() == nil {
		n.t.Errorf("the node was sent %v besides", m)
	}
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

// logBuffer keeps what was logged.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
