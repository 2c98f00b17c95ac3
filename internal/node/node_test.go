package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output is a buffer that a process may write while a test reads it.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// started is a process under test.
type started struct {
	t              *testing.T
	signals        chan os.Signal
	stdout, stderr output
	status         chan int
}

func quietFlags() Flags {
	return Flags{LogFlags: LogFlags{LogFormat: "text"}, DrainTimeout: time.Minute}
}

func start(t *testing.T, flags Flags, main func(ctx context.Context, p *Process) error) *started {
	t.Helper()
	return startAt(t, false, flags, main)
}

// startAt starts a process whose standard input is a terminal, or is none.
func startAt(t *testing.T, terminal bool, flags Flags, main func(ctx context.Context, p *Process) error) *started {
	t.Helper()
	s := &started{t: t, signals: make(chan os.Signal, 3), status: make(chan int, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() {
		s.status <- run(ctx, "test", flags, main, world{&s.stdout, &s.stderr, s.signals, terminal})
	}()
	return s
}

func (s *started) exits(want int) {
	s.t.Helper()
	select {
	case got := <-s.status:
		if got != want {
			s.t.Errorf("exit status: want %d, got %d; standard error:\n%s", want, got, s.stderr.String())
		}
	case <-time.After(30 * time.Second):
		s.t.Fatalf("the process did not end; log:\n%s", s.stdout.String())
	}
}

func await(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(30 * time.Second):
		t.Fatalf("never happened: %s", what)
	}
}

// probe is a service that tells what happens to it.
type probe struct {
	running, draining, stopped chan struct{}
	drained                    chan struct{} // closed by the test: Drain returns
}

func newProbe() *probe {
	return &probe{make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})}
}

func (p *probe) service(name string) Service {
	return Service{
		Name: name,
		Run: func(ctx context.Context) error {
			close(p.running)
			<-ctx.Done()
			close(p.stopped)
			return ctx.Err()
		},
		Drain: func(ctx context.Context) error {
			close(p.draining)
			select {
			case <-p.drained:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}
}

func TestFirstSignalDrains(t *testing.T) {
	svc := newProbe()
	s := start(t, quietFlags(), func(ctx context.Context, p *Process) error {
		return p.Serve(ctx, svc.service("svc"))
	})
	await(t, "the service runs", svc.running)
	s.signals <- syscall.SIGTERM
	await(t, "the service drains", svc.draining)
	select {
	case <-svc.stopped:
		t.Error("the service was stopped before it was drained")
	default:
	}
	close(svc.drained)
	await(t, "the service stops", svc.stopped)
	s.exits(ExitOK)
	if got := s.stderr.String(); got != "" {
		t.Errorf("standard error after a clean drain: want nothing, got %q", got)
	}
}

func TestHangup(t *testing.T) {
	t.Run("changes nothing without a terminal", func(t *testing.T) {
		svc := newProbe()
		s := start(t, quietFlags(), func(ctx context.Context, p *Process) error {
			return p.Serve(ctx, svc.service("svc"))
		})
		await(t, "the service runs", svc.running)
		s.signals <- syscall.SIGHUP
		s.signals <- syscall.SIGTERM
		await(t, "the service drains", svc.draining)
		close(svc.drained)
		s.exits(ExitOK)
		log := s.stdout.String()
		if !strings.Contains(log, "goes on") || strings.Contains(log, "cut short") || strings.Contains(log, "signal=hangup") {
			t.Errorf("want a word of it and the drain of SIGTERM alone, got:\n%s", log)
		}
	})
	t.Run("drains where the terminal goes away", func(t *testing.T) {
		svc := newProbe()
		s := startAt(t, true, quietFlags(), func(ctx context.Context, p *Process) error {
			return p.Serve(ctx, svc.service("svc"))
		})
		await(t, "the service runs", svc.running)
		s.signals <- syscall.SIGHUP
		s.signals <- syscall.SIGHUP
		await(t, "the service drains", svc.draining)
		close(svc.drained)
		s.exits(ExitOK)
		if log := s.stdout.String(); !strings.Contains(log, "signal=hangup") || strings.Contains(log, "cut short") {
			t.Errorf("want one drain to its end, got:\n%s", log)
		}
	})
}

func TestSecondSignalCutsTheDrainShort(t *testing.T) {
	svc := newProbe()
	s := start(t, quietFlags(), func(ctx context.Context, p *Process) error {
		return p.Serve(ctx, svc.service("svc"))
	})
	await(t, "the service runs", svc.running)
	s.signals <- syscall.SIGINT
	await(t, "the service drains", svc.draining)
	s.signals <- syscall.SIGINT
	await(t, "the service stops", svc.stopped)
	s.exits(ExitOK)
}

func TestDrainEndsWithItsTime(t *testing.T) {
	svc := newProbe()
	flags := quietFlags()
	flags.DrainTimeout = time.Millisecond
	s := start(t, flags, func(ctx context.Context, p *Process) error {
		return p.Serve(ctx, svc.service("svc"))
	})
	await(t, "the service runs", svc.running)
	s.signals <- syscall.SIGTERM
	s.exits(ExitOK)
	if got := s.stdout.String(); !strings.Contains(got, "drain ran out of time") {
		t.Errorf("the log does not say that the drain was incomplete:\n%s", got)
	}
}

func TestSignalDuringTheStartEndsIt(t *testing.T) {
	waiting := make(chan struct{})
	s := start(t, quietFlags(), func(ctx context.Context, p *Process) error {
		close(waiting) // as for a store that is not there
		<-ctx.Done()
		return errors.Join(errors.New("open store"), ctx.Err())
	})
	await(t, "main waits", waiting)
	s.signals <- syscall.SIGTERM
	s.exits(ExitOK)
}

func TestServeAfterASignalServesNothing(t *testing.T) {
	s := start(t, quietFlags(), func(ctx context.Context, p *Process) error {
		<-p.Draining()
		return p.Serve(ctx, Service{Name: "late", Run: func(context.Context) error {
			t.Error("a service was started after the signal")
			return nil
		}})
	})
	s.signals <- syscall.SIGTERM
	s.exits(ExitOK)
}

func TestFaultOfMainIsOneSentence(t *testing.T) {
	s := start(t, quietFlags(), func(context.Context, *Process) error {
		return errors.Join(errors.New("open store: no such host"), errors.New("read key"))
	})
	s.exits(ExitFault)
	want := "monarch: open store: no such host; read key\n"
	if got := s.stderr.String(); got != want {
		t.Errorf("standard error: want %q, got %q", want, got)
	}
}

func TestServicesEndInReverseOrder(t *testing.T) {
	first, second := newProbe(), newProbe()
	close(first.drained)
	close(second.drained)
	inner := second.service("second")
	s := start(t, quietFlags(), func(ctx context.Context, p *Process) error {
		return p.Serve(ctx, first.service("first"), Service{
			Name: "second", Drain: inner.Drain,
			Run: func(ctx context.Context) error {
				err := inner.Run(ctx)
				select {
				case <-first.stopped:
					t.Error("the first service was stopped before the second was done")
				default:
				}
				return err
			},
		})
	})
	await(t, "the first service runs", first.running)
	await(t, "the second service runs", second.running)
	s.signals <- syscall.SIGTERM
	s.exits(ExitOK)
	await(t, "the first service stops", first.stopped)
}

func TestServiceThatEndsByItself(t *testing.T) {
	cases := map[string]struct {
		err  error
		want string
	}{
		"with an error":    {errors.New("accept: too many open files"), "monarch: run broken: accept: too many open files\n"},
		"without an error": {nil, "monarch: run broken: ended by itself\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			other := newProbe()
			s := start(t, quietFlags(), func(ctx context.Context, p *Process) error {
				return p.Serve(ctx, other.service("other"), Service{Name: "broken", Run: func(context.Context) error {
					<-other.running
					return c.err
				}})
			})
			s.exits(ExitFault)
			await(t, "the other service stops", other.stopped)
			if got := s.stderr.String(); got != c.want {
				t.Errorf("standard error: want %q, got %q", c.want, got)
			}
		})
	}
}

func TestServiceThatEndsByItselfDuringTheDrain(t *testing.T) {
	other, crash := newProbe(), make(chan struct{})
	s := start(t, quietFlags(), func(ctx context.Context, p *Process) error {
		return p.Serve(ctx, other.service("other"), Service{Name: "broken", Run: func(context.Context) error {
			<-crash
			return errors.New("lost its listener")
		}})
	})
	await(t, "the service runs", other.running)
	s.signals <- syscall.SIGTERM
	await(t, "the service drains", other.draining)
	close(crash)
	s.exits(ExitFault)
	if want, got := "monarch: run broken: lost its listener\n", s.stderr.String(); got != want {
		t.Errorf("standard error: want %q, got %q", want, got)
	}
}

func TestFaultsOfDrainAndStop(t *testing.T) {
	running := make(chan struct{})
	svc := Service{Name: "svc"}
	svc.Run = func(ctx context.Context) error {
		close(running)
		<-ctx.Done()
		return errors.New("release sessions: connection refused")
	}
	for name, c := range map[string]struct {
		drain error
		want  string
	}{
		"drain": {errors.New("tell the lease: connection refused"), "monarch: drain svc: tell the lease: connection refused\n"},
		"stop":  {nil, "monarch: stop svc: release sessions: connection refused\n"},
	} {
		t.Run(name, func(t *testing.T) {
			running = make(chan struct{})
			svc.Drain = func(context.Context) error { return c.drain }
			s := start(t, quietFlags(), func(ctx context.Context, p *Process) error { return p.Serve(ctx, svc) })
			await(t, "the service runs", running)
			s.signals <- syscall.SIGTERM
			s.exits(ExitFault)
			if got := s.stderr.String(); got != c.want {
				t.Errorf("standard error: want %q, got %q", c.want, got)
			}
		})
	}
}

func TestEndOfTheContextStopsWithoutADrain(t *testing.T) {
	svc := newProbe()
	s := start(t, quietFlags(), func(ctx context.Context, p *Process) error {
		ctx, cancel := context.WithCancel(ctx)
		go func() {
			<-svc.running
			cancel()
		}()
		return p.Serve(ctx, svc.service("svc"))
	})
	s.exits(ExitOK)
	select {
	case <-svc.draining:
		t.Error("the service was drained, though its context had ended")
	default:
	}
}

func TestListenerInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	flags := quietFlags()
	flags.TelemetryListen = ln.Addr().String()
	s := start(t, flags, func(context.Context, *Process) error { return nil })
	s.exits(ExitFault)
	want := "monarch: listen " + flags.TelemetryListen +
		": address in use (is another monarch running? choose another with --telemetry.listen)\n"
	if got := s.stderr.String(); got != want {
		t.Errorf("standard error: want %q, got %q", want, got)
	}
}

func TestListenSaysWhatToDo(t *testing.T) {
	for _, c := range []struct{ addr, want string }{
		{"192.0.2.1:1", "listen 192.0.2.1:1: this machine has no such address (choose another with --listen)"},
		{"127.0.0.1", "listen 127.0.0.1: address 127.0.0.1: missing port in address (set by --listen)"},
	} {
		ln, err := Listen(t.Context(), c.addr, "--listen")
		if err == nil {
			ln.Close()
			t.Errorf("listen %s: want an error, got none", c.addr)
			continue
		}
		if got := err.Error(); got != c.want {
			t.Errorf("want %q, got %q", c.want, got)
		}
	}
}

func TestCheckAddress(t *testing.T) {
	for _, addr := range []string{
		":1863", ":0", "127.0.0.1:1863", "[::]:1863", "[fe80::1%eth0]:1863", "chat.example.org:1863", "switchboard_1:1863",
	} {
		if err := CheckAddress(addr); err != nil {
			t.Errorf("%q: %v", addr, err)
		}
	}
	for addr, want := range map[string]string{
		"":                              "want host:port",
		"1863":                          "want host:port",
		"127.0.0.1":                     "want host:port",
		"::1:1863":                      "want host:port",
		"tcp://chat:1863":               "want host:port",
		":":                             `"" is no port`,
		":80999":                        `"80999" is no port`,
		":-1":                           `"-1" is no port`,
		":http":                         `"http" is no port`,
		"[chat.example.org:1863]:1":     `"chat.example.org:1863" is no host`,
		"chat_example!:1863":            `"chat_example!" is no host`,
		"chat example:1863":             `"chat example" is no host`,
		"*:1863":                        `"*" is no host`,
		strings.Repeat("a", 254) + ":1": "is no host",
	} {
		if err := CheckAddress(addr); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: want the fault %q, got %v", addr, want, err)
		}
	}
}

func TestFlagsValidate(t *testing.T) {
	if err := quietFlags().Validate(); err != nil {
		t.Errorf("good flags: want no fault, got %v", err)
	}
	err := Flags{LogFlags: LogFlags{LogFormat: "xml"}, TelemetryListen: "here"}.Validate()
	for _, want := range []string{
		`log.format must be text or json, not "xml"`, "drain.timeout must be positive", "telemetry.listen here: want host:port",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("faults: want %q among them, got %v", want, err)
		}
	}
}

// TestHTTP looks at a process from outside, through its whole life.
func TestHTTP(t *testing.T) {
	flags := quietFlags()
	flags.TelemetryListen = "127.0.0.1:0"
	svc := newProbe()
	base := make(chan string, 1)
	lease := make(chan struct{})
	opened := make(chan struct{})
	s := start(t, flags, func(ctx context.Context, p *Process) error {
		p.Detail("advertised", "203.0.113.5:1863")
		p.Ready("lease", func() error {
			select {
			case <-lease:
				return nil
			default:
				return errors.New("not taken yet")
			}
		})
		base <- p.telemetryURL
		<-opened
		return p.Serve(ctx, svc.service("svc"))
	})
	url := <-base
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string) (int, string) {
		t.Helper()
		res, err := client.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	expect := func(path string, status int, body string) {
		t.Helper()
		if gotStatus, gotBody := get(path); gotStatus != status || gotBody != body {
			t.Errorf("%s:\nwant %d %q\ngot  %d %q", path, status, body, gotStatus, gotBody)
		}
	}

	expect("/healthz", 200, "ok\n")
	expect("/readyz", 503, "not ready: starting\nnot ready: lease: not taken yet\n")
	close(opened)
	await(t, "the service runs", svc.running)
	expect("/readyz", 503, "not ready: lease: not taken yet\n")
	close(lease)
	expect("/readyz", 200, "ready\n")
	expect("/readyz?verbose", 200, "ok: lease\nready\nadvertised: 203.0.113.5:1863\n")
	if status, _ := get("/debug/pprof/goroutine?debug=1"); status != 200 {
		t.Errorf("a profile for a loopback peer: want 200, got %d", status)
	}
	if status, body := get("/metrics"); status != 200 || !strings.Contains(body, "\nmonarch_build_info{") {
		t.Errorf("/metrics: want 200 with monarch_build_info, got %d:\n%s", status, body)
	}

	s.signals <- syscall.SIGTERM
	await(t, "the service drains", svc.draining)
	expect("/healthz", 200, "ok\n")
	expect("/readyz", 503, "not ready: draining\n")
	close(svc.drained)
	s.exits(ExitOK)
	client.CloseIdleConnections()
}
