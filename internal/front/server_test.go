package front_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"go.opentelemetry.io/otel/metric/noop"

	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
)

func TestServeWaitsForEverySession(t *testing.T) {
	const clients = 20
	left := make(chan struct{}, clients)
	n := overTCP(t, front.Config{}, func(_ context.Context, c *front.Conn) front.Session {
		return session{leave: func() {
			if got := c.Reason(); got != front.ReasonShutdown {
				t.Errorf("reason: want %q, got %q", front.ReasonShutdown, got)
			}
			left <- struct{}{}
		}}
	})
	var all []*client
	for range clients {
		all = append(all, n.client())
	}
	eventually(t, "all connections are open", func() bool { return n.srv.Connections() == clients })
	go func() {
		for _, c := range all {
			io.Copy(io.Discard, c.in)
			c.Close()
		}
	}()
	n.stop()
	if len(left) != clients {
		t.Errorf("sessions that had left when Serve returned: want %d, got %d", clients, len(left))
	}
	if got := n.closes()[front.ReasonShutdown]; got != clients {
		t.Errorf("connections that ended by the shutdown: want %d, got %d", clients, got)
	}
}

// Sessions that wait for something keep nobody else waiting, and are written to.
func TestSessionsThatBlockAreAmongThemselves(t *testing.T) {
	const clients = 100
	release, blocked := make(chan struct{}), make(chan *front.Conn, clients)
	n := overTCP(t, front.Config{}, func(_ context.Context, c *front.Conn) front.Session {
		return session{do: func(_ context.Context, cmd *msnp.Command) error {
			if cmd.Verb == "CHG" {
				blocked <- c
				<-release
			}
			c.Send(answer(cmd))
			return nil
		}}
	})
	var all []*client
	for range clients {
		c := n.client()
		c.say("CHG 1 NLN\r\n")
		all = append(all, c)
	}
	for range clients {
		awaits(t, "a session that blocks", blocked).Send([]byte("FLN bob@example.com\r\n"))
	}
	served(t, n)
	for _, c := range all {
		c.hears("FLN bob@example.com\r\n")
	}
	close(release)
	for _, c := range all {
		c.hears("CHG 1 NLN\r\n")
	}
}

func TestAwaitOpenWaitsForThoseWhoAreThere(t *testing.T) {
	n := overTCP(t, front.Config{}, echo)
	early := n.client()
	early.say("PNG\r\n")
	eventually(t, "the first is there", func() bool { return n.srv.Connections() == 1 })
	waited := make(chan struct{})
	go func() {
		n.srv.AwaitOpen(t.Context())
		close(waited)
	}()
	select {
	case <-waited:
		t.Fatal("did not wait for somebody who is there")
	default:
	}
	early.Close()
	awaits(t, "the end of the wait", waited)
	ended, end := context.WithCancel(t.Context())
	end()
	n.srv.AwaitOpen(ended)
}

func TestListenersEndApart(t *testing.T) {
	n := overTCP(t, front.Config{}, echo)
	ln, err := front.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- n.srv.Serve(ctx, ln, echo) }()
	first := n.client()
	n.dial = func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) }
	second := n.client()
	for _, c := range []*client{first, second} {
		c.say("PNG\r\n")
		c.hears("QNG\r\n")
	}
	cancel()
	second.hearsLast("OUT SSD\r\n")
	if err := awaits(t, "the end of Serve", served); err != nil {
		t.Errorf("serve: want nil, got %v", err)
	}
	first.say("PNG\r\n")
	first.hears("QNG\r\n")
}

func TestPanicEndsOneConnection(t *testing.T) {
	left := make(chan struct{}, 2)
	n := overTCP(t, front.Config{}, func(_ context.Context, c *front.Conn) front.Session {
		return session{
			do: func(_ context.Context, cmd *msnp.Command) error {
				if cmd.Verb == "CHG" {
					c.Send([]byte("500 1\r\n"))
					panic("out of cheese")
				}
				c.Send(answer(cmd))
				return nil
			},
			leave: func() { left <- struct{}{} },
		}
	})
	other, victim := n.client(), n.client()
	victim.say("CHG 1 NLN\r\n")
	victim.hearsLast("500 1\r\n")
	other.say("PNG\r\n")
	other.hears("QNG\r\n")
	other.Close()
	n.ended()
	n.stop()
	want := map[front.Reason]int64{front.ReasonInternal: 1, front.ReasonClient: 1}
	if got := n.closes(); !maps.Equal(got, want) {
		t.Errorf("connections that ended: want %v, got %v", want, got)
	}
	if len(left) != 2 {
		t.Errorf("sessions that have left: want 2, got %d", len(left))
	}
	for _, want := range []string{"out of cheese", "server_test.go"} {
		if !strings.Contains(n.log.String(), want) {
			t.Errorf("log: want %q in it, got %s", want, n.log)
		}
	}
}

func TestAddresses(t *testing.T) {
	conns := make(chan *front.Conn, 1)
	n := overTCP(t, front.Config{}, untilClosed(conns))
	client := n.client()
	c := awaits(t, "the connection", conns)
	if want, got := client.LocalAddr().String(), c.RemoteAddr().String(); got != want {
		t.Errorf("remote address: want %s, got %s", want, got)
	}
	if want, got := n.ln.Addr().String(), c.LocalAddr().String(); got != want {
		t.Errorf("local address: want %s, got %s", want, got)
	}
}

func TestAdvertisedAddress(t *testing.T) {
	conns := make(chan *front.Conn, 1)
	n := overTCP(t, front.Config{}, untilClosed(conns))
	n.client()
	c := awaits(t, "the connection", conns)
	for advertise, want := range map[string]string{
		"chat.example.org:31001": "chat.example.org:31001",
		"[2001:db8::1]:1863":     "[2001:db8::1]:1863",
		":1864":                  "127.0.0.1:1864",
	} {
		l := front.Listener{Listener: n.ln, Advertise: advertise}
		if got := l.Address(c); got != want {
			t.Errorf("address of %q: want %q, got %q", advertise, want, got)
		}
	}
}

// refusedFor checks that a connection is told that the server is busy.
func refusedFor(t *testing.T, n *network, limit string) {
	t.Helper()
	c := n.client()
	c.say("VER 7 MSNP7 CVR0\r\n")
	c.hearsLast("600 7\r\n")
	eventually(t, "the refusal is counted", func() bool {
		return n.sums("monarch_connections_refused_total", "limit")[limit] == 1
	})
}

func served(t *testing.T, n *network) *client {
	t.Helper()
	c := n.client()
	c.say("PNG\r\n")
	c.hears("QNG\r\n")
	return c
}

func TestLimits(t *testing.T) {
	for _, tt := range []struct {
		limit string
		cfg   front.Config
	}{
		{"full", front.Config{MaxConnections: 2}},
		{"address", front.Config{ConnectionsPerAddress: 2}},
	} {
		t.Run(tt.limit, func(t *testing.T) {
			n := overTCP(t, tt.cfg, echo)
			a, _ := served(t, n), served(t, n)
			refusedFor(t, n, tt.limit)
			a.Close()
			eventually(t, "the connection is gone", func() bool { return n.srv.Connections() == 1 })
			served(t, n)
		})
	}
	t.Run("rate", func(t *testing.T) {
		n := overTCP(t, front.Config{AcceptRate: 1e-9, AcceptBurst: 2}, echo)
		served(t, n).Close()
		served(t, n).Close()
		refusedFor(t, n, "rate")
	})
}

// brokenListener fails a few times for want of descriptors.
type brokenListener struct {
	net.Listener
	errs chan error
}

func (l *brokenListener) Accept() (net.Conn, error) {
	select {
	case err := <-l.errs:
		return nil, err
	default:
		return l.Listener.Accept()
	}
}

func acceptError(errno syscall.Errno) error {
	return &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", errno)}
}

func TestAcceptOutlivesAShortage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		ln := &brokenListener{pipe, make(chan error, 20)}
		for range 20 {
			ln.errs <- acceptError(syscall.EMFILE)
		}
		n := serve(t, front.Config{}, ln, pipe.dial, echo)
		served(t, n)
		if got := strings.Count(n.log.String(), "too many open files"); got != 20 {
			t.Errorf("warnings: want 20, got %d", got)
		}
		n.stop()
	})
}

func TestBrokenListenerEndsServe(t *testing.T) {
	pipe := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	ln := &brokenListener{pipe, make(chan error, 1)}
	ln.errs <- acceptError(syscall.EINVAL)
	s, err := front.NewServer(front.Config{}, slog.New(slog.DiscardHandler), noop.Meter{}, "dispatch")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(t.Context(), ln, echo); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("serve: want EINVAL, got %v", err)
	}
	if _, err := pipe.dial(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("listener after Serve: want it closed, got %v", err)
	}
}

func TestListenSaysWhatToDo(t *testing.T) {
	first, err := front.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	addr := first.Addr().String()
	for _, tt := range []struct{ addr, want string }{
		{addr, "listen " + addr + ": address in use (is another monarch running?)"},
		{"192.0.2.1:1863", "listen 192.0.2.1:1863: no such address on this machine (to serve all of them, leave the host out)"},
		{"127.0.0.1:x", "listen 127.0.0.1:x: lookup tcp/x: unknown port"},
	} {
		ln, err := front.Listen(t.Context(), tt.addr)
		if err == nil {
			ln.Close()
			t.Errorf("listen %s: want an error, got none", tt.addr)
			continue
		}
		if err.Error() != tt.want {
			t.Errorf("want %q, got %q", tt.want, err)
		}
	}
	if _, err := front.Listen(t.Context(), addr); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("want the error of the system to be wrapped, got %v", err)
	}
}

func TestMetricsExistFromTheStart(t *testing.T) {
	n := overTCP(t, front.Config{}, echo)
	for name, want := range map[string][]string{
		"monarch_closes_total/reason": {
			"client", "displaced", "idle", "internal", "operator", "protocol", "refused", "shutdown", "slow",
		},
		"monarch_connections_refused_total/limit": {"address", "files", "full", "proxy", "rate"},
		"monarch_connections/role":                {"notification"},
		"monarch_outbox_bytes/role":               {"notification"},
	} {
		metric, label, _ := strings.Cut(name, "/")
		if got := slices.Sorted(maps.Keys(n.sums(metric, label))); !slices.Equal(got, want) {
			t.Errorf("%s by %s: want %v, got %v", metric, label, want, got)
		}
	}
	served(t, n)
	if got := n.sums("monarch_connections", "role")["notification"]; got != 1 {
		t.Errorf("connections: want 1, got %d", got)
	}
}

// A node announces no more sessions than it has connections for.
func TestSeats(t *testing.T) {
	for _, test := range []struct{ connections, capacity, want int }{
		{100, 20, 20},
		{100, 95, 95},
		{100, 96, 95},
		{5, 20_000, 4},
		{1, 20_000, 1},
	} {
		srv, err := front.NewServer(front.Config{MaxConnections: test.connections}, slog.New(slog.DiscardHandler), noop.Meter{}, "test")
		if err != nil {
			t.Fatal(err)
		}
		if got := srv.Seats(test.capacity); got != test.want {
			t.Errorf("%d connections for a capacity of %d: want %d sessions, got %d", test.connections, test.capacity, test.want, got)
		}
	}
}
