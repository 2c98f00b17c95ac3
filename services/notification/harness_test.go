package notification

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/monarch-msn/monarch/internal/cluster"
	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/internal/rpc"
	"github.com/monarch-msn/monarch/msnp"
	"github.com/monarch-msn/monarch/msnp/client"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/directory"
	"github.com/monarch-msn/monarch/services/directory/store"
)

func TestMain(m *testing.M) {
	// The client of Redis asks once a second whether it is back, and sees at the
	// next of these moments that it was closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// patience is how long anything may take that must happen.
const patience = 30 * time.Second

// timing lets nodes notice each other at the speed of a test.
var timing = cluster.Timing{Lease: 2 * time.Second, Beat: 50 * time.Millisecond, Refresh: 50 * time.Millisecond}

const (
	ann = "ann@example.com"
	bob = "bob@example.com"
	cat = "cat@example.com"
)

// world is a Redis and a directory with a few users who all have each other on
// their lists, and the nodes that a test starts.
type world struct {
	t         *testing.T
	redis     *miniredis.Miniredis
	directory *grpc.ClientConn
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, redis: miniredis.RunT(t)}
	w.redis.ClockTTL(true)
	dir := t.TempDir()
	st, err := store.Open(t.Context(), "sqlite://"+filepath.Join(dir, "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	if err := errors.Join(st.Migrate(t.Context()), st.Unlock(t.Context(), filepath.Join(dir, "password.keys"))); err != nil {
		t.Fatal(err)
	}
	server, err := directory.New(directory.Config{
		ForwardLimit: 150, AllowLimit: 600, BlockLimit: 600, ReverseLimit: 5000, GroupLimit: 30, CallTimeout: patience,
	}, st, slog.New(slog.DiscardHandler), metricnoop.Meter{}, tracenoop.Tracer{})
	if err != nil {
		t.Fatal(err)
	}
	g := rpc.NewServer(rpc.ServerOptions{})
	server.Register(g)
	ln := bufconn.Listen(1 << 20)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := g.Serve(ln); err != nil {
			t.Errorf("serve the directory: %v", err)
		}
	})
	t.Cleanup(func() {
		g.Stop()
		serving.Wait()
	})
	w.directory, err = rpc.Dial("passthrough:///directory", rpc.DialOptions{
		Dialer: func(ctx context.Context, _ string) (net.Conn, error) { return ln.DialContext(ctx) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.directory.Close() })
	friends := []string{ann, bob, cat}
	w.strangers(friends)
	w.befriend(friends)
	return w
}

// strangers makes accounts that know nobody.
func (w *world) strangers(emails []string) {
	w.t.Helper()
	var made directoryv1.CreateAccountsRequest
	for _, email := range emails {
		made.Accounts = append(made.Accounts, &directoryv1.NewAccount{Email: email, Password: "secret"})
	}
	accounts := directoryv1.NewAccountsClient(w.directory)
	if answer, err := accounts.CreateAccounts(w.t.Context(), &made); err != nil || len(answer.GetErrors()) > 0 {
		w.t.Fatal(answer.GetErrors(), err)
	}
}

// befriend puts each on FL and AL of all others.
func (w *world) befriend(emails []string) {
	w.t.Helper()
	var contacts directoryv1.ImportContactsRequest
	for _, email := range emails {
		for _, other := range emails {
			if other != email {
				contacts.Contacts = append(contacts.Contacts, &directoryv1.NewContact{Owner: email, Contact: other})
			}
		}
	}
	accounts := directoryv1.NewAccountsClient(w.directory)
	if answer, err := accounts.ImportContacts(w.t.Context(), &contacts); err != nil || len(answer.GetErrors()) > 0 {
		w.t.Fatal(answer.GetErrors(), err)
	}
}

// open connects to the world's Redis.
func (w *world) open(dial ...dialer) *cluster.Client {
	w.t.Helper()
	opt := cluster.Options{Command: time.Second}
	if len(dial) > 0 {
		opt.Dial = dial[0]
	}
	c, err := cluster.Open("redis://"+w.redis.Addr(), opt)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// node is one notification node.
type node struct {
	*Service
	w    *world
	addr string
	stop func() // Run ends, and has ended
}

// dialer connects to Redis.
type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// node starts one. The directory is the world's if none is given.
func (w *world) node(cfg Config, dir directoryv1.DirectoryClient, dial ...dialer) *node {
	w.t.Helper()
	if dir == nil {
		dir = directoryv1.NewDirectoryClient(w.directory)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	addr := ln.Addr().String()
	svc, err := New(cfg, Deps{
		Directory: dir, Cluster: w.open(dial...), Timing: timing, Log: slog.New(slog.DiscardHandler),
		Meter: metricnoop.Meter{}, Tracer: tracenoop.Tracer{}, Version: "test",
	}, front.Listener{Listener: ln, Advertise: addr})
	if err != nil {
		w.t.Fatal(err)
	}
	n := &node{Service: svc, w: w, addr: addr}
	n.stop = run(w.t, svc.Run)
	<-svc.member.Ready()
	return n
}

// run runs something until the test ends or the result is called.
func run(t *testing.T, f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := f(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	t.Cleanup(stop)
	return stop
}

// until waits for what only time brings.
func (w *world) until(what string, holds func() bool) {
	w.t.Helper()
	for late := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			w.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// know waits until the nodes see each other.
func (w *world) know(nodes ...*node) {
	w.t.Helper()
	for _, n := range nodes {
		for _, other := range nodes {
			w.until("nodes to see each other", func() bool { return n.View().Node(other.ID()) != nil })
		}
	}
}

// user is a client that has logged in.
type user struct {
	*client.Client
	t *testing.T
}

// login signs in at the address, which may refer it to another.
func (w *world) login(addr, email string) *user {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	c, err := client.Login(ctx, client.Options{Dispatch: addr, Email: email, Password: "secret"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return &user{c, w.t}
}

// online is login and CHG NLN.
func (w *world) online(addr, email string) *user {
	w.t.Helper()
	u := w.login(addr, email)
	u.do("CHG", "NLN")
	return u
}

func (u *user) do(verb string, args ...string) client.Message {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	m, err := u.Do(ctx, verb, args...)
	if err != nil {
		u.t.Fatalf("%s of %s: %v", verb, u.Email, err)
	}
	return m
}

func (u *user) next() (client.Message, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return u.Next(ctx)
}

// hears wants these lines next.
func (u *user) hears(lines ...string) {
	u.t.Helper()
	for _, want := range lines {
		if m, err := u.next(); err != nil || m.Text != want {
			u.t.Fatalf("%s: want %q, got %q, %v", u.Email, want, m.Text, err)
		}
	}
}

// closed wants the end of the connection behind these lines.
func (u *user) closed(lines ...string) {
	u.t.Helper()
	u.hears(lines...)
	if m, err := u.next(); !errors.Is(err, io.EOF) {
		u.t.Fatalf("%s: want the end, got %q, %v", u.Email, m.Text, err)
	}
}

// quiet wants that nothing has been sent to the user, once the network is at
// rest.
func (n *node) quiet(users ...*user) {
	n.w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Settle(ctx); err != nil {
		n.w.t.Fatal(err)
	}
	for _, u := range users {
		if err := u.Send("PNG"); err != nil {
			n.w.t.Fatal(err)
		}
		u.hears("QNG")
	}
}

// slow is a directory that answers logins and renames when the test lets it.
type slow struct {
	directoryv1.DirectoryClient
	asked, answer chan struct{}
}

func (w *world) slow() *slow {
	return &slow{directoryv1.NewDirectoryClient(w.directory), make(chan struct{}), make(chan struct{})}
}

func (s *slow) Login(ctx context.Context, in *directoryv1.LoginRequest, opts ...grpc.CallOption) (*directoryv1.LoginResponse, error) {
	s.wait()
	return s.DirectoryClient.Login(ctx, in, opts...)
}

func (s *slow) Rename(ctx context.Context, in *directoryv1.RenameRequest, opts ...grpc.CallOption) (*directoryv1.EditResponse, error) {
	s.wait()
	return s.DirectoryClient.Rename(ctx, in, opts...)
}

func (s *slow) wait() {
	s.asked <- struct{}{}
	<-s.answer
}

// dead is a node of which nothing is left but its lease and its records: it
// hears its inbox and does nothing.
type dead struct {
	*cluster.Member
	stop func() // its lease is over, its records stay
}

func (dead) Deliver(context.Context, string, *clusterv1.Message) {}
func (dead) Undelivered(string, *clusterv1.Message)              {}
func (dead) Gone(string)                                         {}
func (dead) Resync(string, string)                               {}

func (w *world) dead(change ...func(*cluster.MemberConfig)) *dead {
	w.t.Helper()
	d := new(dead)
	cfg := cluster.MemberConfig{
		// Of a role that is not asked whether it has settled.
		Node: &clusterv1.Node{Role: clusterv1.Role_ROLE_OPERATOR}, Timing: timing,
	}
	for _, f := range change {
		f(&cfg)
	}
	d.Member = w.open().Member(cfg, d)
	d.stop = run(w.t, d.Run)
	<-d.Ready()
	return d
}

// answer is what a server says to "USR 2 MD5 I" at the address.
func (w *world) answer(addr string, d *msnp.Dialect) client.Message {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	c, err := client.Dial(ctx, addr)
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	var m client.Message
	for _, line := range []string{"VER 1 " + d.String(), "USR 2 MD5 I " + ann} {
		if err := c.Send(line); err != nil {
			w.t.Fatal(err)
		}
		if m, err = c.Next(ctx); err != nil {
			w.t.Fatal(err)
		}
	}
	return m
}
