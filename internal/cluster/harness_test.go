package cluster

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// The tests on real servers spend their time waiting for leases.
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	// The library tries a server that did not answer once a second, and notices
	// that its client is closed only then.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(
		"github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"),
		goleak.Cleanup(func(code int) {
			stopCluster()
			os.Exit(code)
		}))
}

// An engine is a Redis that a scenario runs against. The embedded one runs on
// the fake clock of a synctest bubble, with the timing of production; the real
// one runs on the clock, with a shorter lease.
type engine struct {
	url    string
	prefix string
	timing Timing
	// dial connects to the server; nil is TCP.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	mini *miniredis.Miniredis // nil for a real one
}

// suite runs a scenario against the embedded engine and, where
// MONARCH_TEST_REDIS names a real Redis, against that and a Redis Cluster.
func suite(t *testing.T, scenario func(t *testing.T, e *engine)) {
	t.Parallel()
	t.Run("embedded", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			// Runs last, on the fake clock: see TestMain.
			t.Cleanup(func() { time.Sleep(2 * time.Second) })
			scenario(t, embedded(t))
		})
	})
	for name, start := range map[string]func(*testing.T) *engine{"redis": actual, "redis cluster": clustered} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scenario(t, start(t))
		})
	}
}

// embedded starts an engine in this process, without sockets.
func embedded(t *testing.T) *engine {
	mini := miniredis.NewMiniRedis()
	mini.ClockTTL(true)
	// The library may be dialling when its client is closed already.
	var mu sync.Mutex
	closed := false
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		closed = true
		mini.Close()
	})
	return &engine{
		url:    "redis://embedded",
		prefix: "monarch:",
		timing: Timing{}.WithDefaults(),
		mini:   mini,
		dial: func(context.Context, string, string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			if closed {
				return nil, net.ErrClosed
			}
			return mini.Dial()
		},
	}
}

// actual connects to the server that the environment names, under a prefix of its
// own, which is emptied at the end.
func actual(t *testing.T) *engine {
	url := os.Getenv("MONARCH_TEST_REDIS")
	if url == "" {
		t.Skip("MONARCH_TEST_REDIS is not set")
	}
	return external(t, url)
}

func external(t *testing.T, url string) *engine {
	e := &engine{
		url:    url,
		prefix: "monarch-test-" + newID() + ":",
		// A lease long enough that a busy machine does not lose it by itself.
		timing: Timing{Lease: 4 * time.Second, Beat: 200 * time.Millisecond, Refresh: 200 * time.Millisecond},
		dial:   new(net.Dialer).DialContext,
	}
	t.Cleanup(func() { e.empty(t) })
	return e
}

// empty deletes everything of this cluster, as if Redis had restarted empty.
func (e *engine) empty(t *testing.T) {
	t.Helper()
	if e.mini != nil {
		e.mini.FlushAll()
		return
	}
	c, _ := e.open(t)
	defer c.Close()
	ctx := context.Background()
	remove := func(ctx context.Context, rdb *redis.Client) error {
		for cursor := uint64(0); ; {
			keys, next, err := rdb.Scan(ctx, cursor, e.prefix+"*", 1000).Result()
			if err != nil {
				return err
			}
			for _, key := range keys {
				if err := c.rdb.Del(ctx, key).Err(); err != nil {
					return err
				}
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	}
	var err error
	switch rdb := c.rdb.(type) {
	case *redis.Client:
		err = remove(ctx, rdb)
	case *redis.ClusterClient:
		err = rdb.ForEachMaster(ctx, remove)
	}
	if err != nil {
		t.Errorf("empty redis: %v", err)
	}
}

// open opens a client on a wire of its own.
func (e *engine) open(t *testing.T) (*Client, *wire) {
	t.Helper()
	w := &wire{dial: e.dial}
	c, err := Open(e.url, Options{Prefix: e.prefix, Dial: w.connect})
	if err != nil {
		t.Fatal(err)
	}
	return c, w
}

// client opens a client that is closed with the test.
func (e *engine) client(t *testing.T) *Client {
	t.Helper()
	c, _ := e.open(t)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// A wire is the way of one client to Redis. It can be cut and mended.
type wire struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	mu   sync.Mutex
	down bool
	live map[*wireConn]bool
	// mute makes connections break that try to subscribe.
	mute atomic.Bool
}

func (w *wire) connect(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := w.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	// Asked here and not ahead of the dial: the wire may be cut during it.
	if w.down {
		_ = conn.Close()
		return nil, errors.New("wire is cut")
	}
	c := &wireConn{Conn: conn, w: w, wake: make(chan struct{}, 1), closed: make(chan struct{})}
	go c.pump()
	if w.live == nil {
		w.live = make(map[*wireConn]bool)
	}
	w.live[c] = true
	return c, nil
}

// cut breaks all connections and lets no new one through.
func (w *wire) cut() { w.sever(true, func(*wireConn) bool { return true }) }

// mend lets connections through again.
func (w *wire) mend() { w.sever(false, func(*wireConn) bool { return false }) }

// cutSubscriptions breaks the connections on which something was subscribed.
func (w *wire) cutSubscriptions() {
	w.sever(false, func(c *wireConn) bool { return c.subscribed.Load() })
}

// refuseSubscriptions breaks connections that try to subscribe, until told
// otherwise.
func (w *wire) refuseSubscriptions(refuse bool) { w.mute.Store(refuse) }

// deafen makes the connections on which something was subscribed bring nothing
// any more.
func (w *wire) deafen() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.live {
		if c.subscribed.Load() {
			c.deaf.Store(true)
		}
	}
}

func (w *wire) sever(down bool, which func(*wireConn) bool) {
	w.mu.Lock()
	w.down = down
	var cut []net.Conn
	for c := range w.live {
		if which(c) {
			cut = append(cut, c.Conn)
		}
	}
	w.mu.Unlock()
	for _, c := range cut {
		_ = c.Close()
	}
}

// wireConn is a connection that can be told apart and broken. It takes writes
// without waiting for the other side, as a socket does and net.Pipe does not: a
// long pipeline and its replies would otherwise wait for each other.
type wireConn struct {
	net.Conn
	w          *wire
	subscribed atomic.Bool
	// deaf drops what comes in.
	deaf atomic.Bool

	mu      sync.Mutex
	pending []byte
	wake    chan struct{}
	closed  chan struct{}
	once    sync.Once
}

func (c *wireConn) Write(b []byte) (int, error) {
	if strings.Contains(string(b), "subscribe") {
		c.subscribed.Store(true)
		if c.w.mute.Load() {
			_ = c.Close()
		}
	}
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	default:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = append(c.pending, b...)
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return len(b), nil
}

// pump writes what is pending until the connection is closed.
func (c *wireConn) pump() {
	for {
		select {
		case <-c.closed:
			return
		case <-c.wake:
		}
		c.mu.Lock()
		b := c.pending
		c.pending = nil
		c.mu.Unlock()
		if _, err := c.Conn.Write(b); err != nil {
			_ = c.Close()
			return
		}
	}
}

func (c *wireConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err == nil && c.deaf.Load() {
			continue
		}
		return n, err
	}
}

func (c *wireConn) SetWriteDeadline(time.Time) error { return nil }

func (c *wireConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

func (c *wireConn) Close() error {
	c.w.mu.Lock()
	delete(c.w.live, c)
	c.w.mu.Unlock()
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// node is a member under test, and the handler that notes what it is told.
type node struct {
	*Member
	wire   *wire
	client *Client
	stop   func()

	mu      sync.Mutex
	events  []event
	changed chan struct{}
	// answer, if set, answers asks.
	answer func(m *clusterv1.Message) *clusterv1.Message
}

// event is one call of a Handler.
type event struct {
	call string // deliver, undelivered, gone, resync
	peer string
	text string // of a notice; reason of a resync
}

// start runs a node until the test ends or stop is called.
func (e *engine) start(t *testing.T, change ...func(*MemberConfig)) *node {
	t.Helper()
	n := e.prepare(t, change...)
	n.run(t)
	n.awaitClosed(t, n.Ready(), "the node to join")
	return n
}

// prepare makes a node that does not run yet.
func (e *engine) prepare(t *testing.T, change ...func(*MemberConfig)) *node {
	t.Helper()
	n := &node{changed: make(chan struct{})}
	n.client, n.wire = e.open(t)
	cfg := MemberConfig{
		Node:   &clusterv1.Node{Role: clusterv1.Role_ROLE_NOTIFICATION, Capacity: 1000},
		Timing: e.timing,
	}
	if testing.Verbose() {
		cfg.Log = slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	for _, f := range change {
		f(&cfg)
	}
	n.Member = n.client.Member(cfg, n)
	return n
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSuffix(string(b), "\n"))
	return len(b), nil
}

func (n *node) run(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := n.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	n.stop = sync.OnceFunc(func() {
		cancel()
		<-done
		_ = n.client.Close()
	})
	t.Cleanup(n.stop)
}

// kill ends the node without its leaving: its lease runs out.
func (n *node) kill() {
	n.wire.cut()
	n.stop()
}

func (n *node) note(e event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = append(n.events, e)
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *node) Deliver(_ context.Context, from string, m *clusterv1.Message) {
	if m.Ask != 0 && n.answer != nil {
		n.Answer(from, m.Ask, n.answer(m))
		return
	}
	n.note(event{"deliver", from, m.GetNotice().GetText()})
}

func (n *node) Undelivered(to string, m *clusterv1.Message) {
	n.note(event{"undelivered", to, m.GetNotice().GetText()})
}

func (n *node) Gone(id string) { n.note(event{"gone", id, ""}) }

func (n *node) Resync(reason, peer string) { n.note(event{"resync", peer, reason}) }

// patience is how long a test waits for what must happen, in the time of its
// engine.
const patience = 2 * time.Minute

// await waits until want events of a kind were noted, and returns them.
func (n *node) await(t *testing.T, call string, want int) []event {
	t.Helper()
	var got []event
	n.until(t, fmt.Sprintf("%d times %s", want, call), func() bool {
		got = n.noted(call)
		return len(got) >= want
	})
	return got
}

// until waits until a condition holds; it is looked at with each event of the
// node, and with each refresh of its view.
func (n *node) until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		n.mu.Lock()
		changed := n.changed
		n.mu.Unlock()
		if holds() {
			return
		}
		select {
		case <-changed:
		case <-time.After(n.timing.Refresh):
		case <-timeout.C:
			t.Fatalf("waited in vain for %s; events: %v", what, n.noted(""))
		}
	}
}

// noted returns the events of a kind, or all.
func (n *node) noted(call string) []event {
	n.mu.Lock()
	defer n.mu.Unlock()
	var got []event
	for _, e := range n.events {
		if call == "" || e.call == call {
			got = append(got, e)
		}
	}
	return got
}

// forget drops the events noted so far.
func (n *node) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = nil
}

func (n *node) awaitClosed(t *testing.T, ch <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
	}
}

// sees waits until the node's view satisfies a condition.
func (n *node) sees(t *testing.T, what string, holds func(v *View) bool) {
	t.Helper()
	n.until(t, what, func() bool { return holds(n.View()) })
}

// meet waits until all nodes see each other.
func meet(t *testing.T, nodes ...*node) {
	t.Helper()
	for _, a := range nodes {
		for _, b := range nodes {
			a.sees(t, "node "+b.ID(), func(v *View) bool { return v.Node(b.ID()) != nil })
		}
	}
}

// notice is a message with a text to recognise it by.
func notice(text string) *clusterv1.Message {
	return &clusterv1.Message{Kind: &clusterv1.Message_Notice{Notice: &clusterv1.Notice{Text: text}}}
}
