package front_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/goleak"

	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come. It is never asserted
// that something takes that long.
const patience = 30 * time.Second

// network is a server that is being served, with one listener.
type network struct {
	t       *testing.T
	srv     *front.Server
	ln      net.Listener
	dial    func() (net.Conn, error)
	metrics *metric.ManualReader
	log     *logBuffer

	cancel context.CancelFunc
	served chan error

	mu    sync.Mutex
	conns []*front.Conn // all that were accepted
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

// overTCP serves on loopback, overPipe within the process and without a buffer
// in between, where a write is over when the other side has read it.
func overTCP(t *testing.T, cfg front.Config, open opener) *network {
	t.Helper()
	ln, err := front.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dial := func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) }
	return serve(t, cfg, ln, dial, open)
}

func overPipe(t *testing.T, cfg front.Config, open opener) *network {
	t.Helper()
	ln := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	return serve(t, cfg, ln, ln.dial, open)
}

// transports are for tests of what must hold over both.
var transports = map[string]func(*testing.T, front.Config, opener) *network{
	"tcp":  overTCP,
	"pipe": overPipe,
}

func serve(t *testing.T, cfg front.Config, ln net.Listener, dial func() (net.Conn, error), open opener) *network {
	t.Helper()
	n := &network{
		t: t, ln: ln, dial: dial,
		metrics: metric.NewManualReader(),
		log:     new(logBuffer),
		served:  make(chan error, 1),
	}
	log := slog.New(slog.NewTextHandler(n.log, nil))
	meter := metric.NewMeterProvider(metric.WithReader(n.metrics)).Meter("test")
	srv, err := front.NewServer(cfg, log, meter, "notification")
	if err != nil {
		t.Fatal(err)
	}
	n.srv = srv
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	go func() {
		n.served <- srv.Serve(ctx, ln, func(ctx context.Context, c *front.Conn) front.Session {
			n.mu.Lock()
			n.conns = append(n.conns, c)
			n.mu.Unlock()
			return open(ctx, c)
		})
	}()
	t.Cleanup(n.stop)
	return n
}

// stop ends Serve and waits for it. It may be called twice.
func (n *network) stop() {
	n.t.Helper()
	if n.cancel == nil {
		return
	}
	n.cancel()
	n.cancel = nil
	if err := <-n.served; err != nil {
		n.t.Errorf("serve: want nil, got %v", err)
	}
	if got := n.srv.Connections(); got != 0 {
		n.t.Errorf("connections after Serve has returned: want 0, got %d", got)
	}
}

// ended waits until every connection that was accepted has ended by itself.
func (n *network) ended() {
	n.t.Helper()
	n.mu.Lock()
	conns := slices.Clone(n.conns)
	n.mu.Unlock()
	for _, c := range conns {
		awaits(n.t, "the end of a connection", c.Done())
	}
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

// client is the other end of a connection.
type client struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func (n *network) client() *client {
	n.t.Helper()
	nc, err := n.dial()
	if err != nil {
		n.t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(patience))
	n.t.Cleanup(func() { nc.Close() })
	return &client{n.t, nc, bufio.NewReader(nc)}
}

func (c *client) say(lines string) {
	c.t.Helper()
	if _, err := io.WriteString(c, lines); err != nil {
		c.t.Fatalf("say %q: %v", lines, err)
	}
}

func (c *client) hears(want string) {
	c.t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c.in, got); err != nil {
		c.t.Fatalf("want to hear %q, got %v", want, err)
	}
	if string(got) != want {
		c.t.Fatalf("want to hear %q, got %q", want, got)
	}
}

// hearsLast reads until the server has closed its side, which it must have done
// in good order, and closes the other.
func (c *client) hearsLast(want string) {
	c.t.Helper()
	got, err := io.ReadAll(c.in)
	if err != nil {
		c.t.Fatalf("want to hear %q and the end, got %q and %v", want, got, err)
	}
	if string(got) != want {
		c.t.Fatalf("want to hear %q at last, got %q", want, got)
	}
	c.Close()
}

// opener is what Serve takes.
type opener func(context.Context, *front.Conn) front.Session

// session is a front.Session of functions. One that is nil does nothing.
type session struct {
	do    func(context.Context, *msnp.Command) error
	leave func()
}

func (s session) Do(ctx context.Context, cmd *msnp.Command) error {
	if s.do == nil {
		return nil
	}
	return s.do(ctx, cmd)
}

func (s session) Leave() {
	if s.leave != nil {
		s.leave()
	}
}

func (session) Log() *slog.Logger { return slog.New(slog.DiscardHandler) }

// echo answers every command with its verb and arguments, and PNG with QNG.
func echo(_ context.Context, c *front.Conn) front.Session {
	return session{do: func(_ context.Context, cmd *msnp.Command) error {
		c.Send(answer(cmd))
		return nil
	}}
}

func answer(cmd *msnp.Command) []byte {
	if cmd.Verb == "PNG" {
		return []byte("QNG\r\n")
	}
	words := append([][]byte{[]byte(cmd.Verb), cmd.TrID}, cmd.Args...)
	return append(bytes.Join(words, []byte(" ")), "\r\n"...)
}

// sums returns the values of a sum by the value of one label.
func (n *network) sums(name, label string) map[string]int64 {
	n.t.Helper()
	var rm metricdata.ResourceMetrics
	if err := n.metrics.Collect(context.Background(), &rm); err != nil {
		n.t.Fatal(err)
	}
	values := make(map[string]int64)
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
				v, _ := p.Attributes.Value(attribute.Key(label))
				values[v.AsString()] = p.Value
			}
		}
	}
	return values
}

// closes returns how many connections ended, by reason, leaving out zeros.
func (n *network) closes() map[front.Reason]int64 {
	n.t.Helper()
	found := make(map[front.Reason]int64)
	for r, v := range n.sums("monarch_closes_total", "reason") {
		if v != 0 {
			found[front.Reason(r)] = v
		}
	}
	return found
}

// wantClosed waits for the only connection to end, and checks why it did.
func (n *network) wantClosed(r front.Reason) {
	n.t.Helper()
	n.ended()
	n.stop()
	if got := n.closes(); len(got) != 1 || got[r] != 1 {
		n.t.Errorf("connections that ended: want one for %q, got %v", r, got)
	}
}

// pipeListener hands out one end of a net.Pipe for each dial.
type pipeListener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *pipeListener) dial() (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

// awaits fails the test if nothing comes.
func awaits[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("%s did not come", what)
		panic("unreachable")
	}
}

func wantClose(t *testing.T, err error, want front.Reason) {
	t.Helper()
	var end *front.Close
	if !errors.As(err, &end) || end.Reason != want {
		t.Errorf("want a Close for %q, got %v", want, err)
	}
}

// filler is a line of n bytes.
func filler(n int) []byte { return []byte(strings.Repeat("x", n-2) + "\r\n") }
