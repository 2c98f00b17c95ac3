// Package node is a process: what every role of Monarch needs around its own
// work. It reads nothing but its Flags and the standard OTEL_ variables, and
// hands out a logger, a meter and a tracer; it serves metrics, health and
// profiles over HTTP; it reads secrets again that have changed; and it turns
// signals into a drain.
//
//	Run: logger, telemetry, HTTP
//	     │
//	     ▼
//	starting      main opens stores, makes listeners; /readyz says 503
//	     │ Process.Serve
//	     ▼
//	serving       /readyz asks the checks
//	     │ SIGTERM or SIGINT
//	     ▼
//	draining      Drain of every service, at most Flags.DrainTimeout;
//	     │        /readyz says 503
//	     │ drained, time is up, or a second signal
//	     ▼
//	stopping      Run of every service ends, last one first
//	     │
//	     ▼
//	telemetry is flushed, the exit status is returned
//
// A signal while the process is starting ends it at once. A third signal kills
// it, as if it handled none.
//
// SIGHUP begins the drain of a process whose terminal goes away, and changes
// nothing elsewhere: what other servers read again upon it is read again by
// itself here.
package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/term"
)

// Exit statuses of the command.
const (
	ExitOK    = 0 // after a clean drain
	ExitFault = 1 // with one sentence on standard error
	ExitUsage = 2 // wrong flags, environment or arguments
)

// Flags configure a process. Their tags are read by kong, to which each command
// says its own drain_timeout.
type Flags struct {
	LogFlags        `embed:""`
	TelemetryListen string        `name:"telemetry.listen" default:"127.0.0.1:9863" placeholder:"ADDR" help:"Address that serves /metrics, /healthz, /readyz and /debug/pprof; empty for none." group:"process"`
	DrainTimeout    time.Duration `name:"drain.timeout" default:"${drain_timeout}" placeholder:"TIME" help:"Most time that a drain takes after the first SIGTERM or SIGINT; a second one ends it." group:"process"`
}

// LogFlags configure the log on standard output.
type LogFlags struct {
	LogLevel  slog.Level `name:"log.level" default:"info" placeholder:"LEVEL" help:"Least level that is logged: debug, info, warn or error." group:"process"`
	LogFormat string     `name:"log.format" default:"text" enum:"text,json" placeholder:"FORMAT" help:"Form of the log on standard output: text or json." group:"process"`
}

// Validate returns every fault of the flags, joined.
func (f Flags) Validate() error {
	var errs []error
	if f.LogFormat != "text" && f.LogFormat != "json" {
		errs = append(errs, fmt.Errorf("log.format must be text or json, not %q", f.LogFormat))
	}
	if f.DrainTimeout <= 0 {
		errs = append(errs, errors.New("drain.timeout must be positive"))
	}
	if f.TelemetryListen != "" {
		if err := CheckAddress(f.TelemetryListen); err != nil {
			errs = append(errs, fmt.Errorf("telemetry.listen %s: %w", f.TelemetryListen, err))
		}
	}
	return errors.Join(errs...)
}

// Process is what a role is given by Run. Its methods may be called from any
// goroutine.
type Process struct {
	// Role is the name that Run was called with.
	Role string
	// Log writes to standard output, with the ids of the trace in whose
	// context a record is logged.
	Log *slog.Logger
	// Meter and Tracer carry Monarch's own instrumentation scope.
	Meter  metric.Meter
	Tracer trace.Tracer
	// MeterProvider and TracerProvider are for libraries that bring their
	// own scope.
	MeterProvider  metric.MeterProvider
	TracerProvider trace.TracerProvider

	drainTimeout time.Duration
	telemetryURL string // "http://127.0.0.1:9863", or "" for no listener
	ready        readiness

	mu       sync.Mutex
	secrets  []*secretFile
	serving  bool
	draining chan struct{} // closed by the first signal
	cancel   context.CancelFunc
}

// Ready adds a condition to /readyz, for as long as the process lives: a name
// in a few words and a check that returns nil when it is met. The check is
// called at each request and must not block. Adding a name again replaces it.
func (p *Process) Ready(name string, check func() error) { p.ready.add(name, check) }

// Detail shows a fact in /readyz?verbose, such as the advertised address.
// Setting a name again replaces it. Facts are public to whoever can reach the
// telemetry listener, so no secrets.
func (p *Process) Detail(name, value string) { p.ready.detail(name, value) }

// Waits shows in /readyz why the process has not started yet, until it serves.
func (p *Process) Waits(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.draining:
	default:
		if !p.serving {
			p.ready.block("starting: " + strings.ReplaceAll(why.Error(), "\n", "; "))
		}
	}
}

// Draining returns a channel that is closed when the process was told to stop.
func (p *Process) Draining() <-chan struct{} { return p.draining }

// signalled takes a signal: the first begins the drain, or ends a process that
// serves nothing yet; the second ends the drain.
func (p *Process) signalled() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.draining:
		p.cancel()
		return
	default:
	}
	close(p.draining)
	p.ready.block("draining")
	if !p.serving {
		p.cancel()
	}
}

// Run runs main as the process of a role and returns its exit status: ExitOK
// when main returned nil or was told to stop, ExitUsage when flags or the OTEL_
// variables cannot be understood, else ExitFault, after writing the error as one
// sentence to standard error. The context of main ends with
// ctx, at the second signal, or at the first one before Serve was called; a
// main that needs a drain calls Process.Serve.
//
// Run sets the global OpenTelemetry providers, propagator and error handler,
// because libraries without an option for them look there.
func Run(ctx context.Context, role string, flags Flags, main func(ctx context.Context, p *Process) error) int {
	signals := make(chan os.Signal, 2)
	// They stay caught when run returns: the process is about to exit with a
	// status of its own, and a signal in between should not change that.
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signal.Notify(signals, syscall.SIGHUP)
	}
	// A terminal that went away is none any more, so it is asked now.
	return run(ctx, role, flags, main, world{os.Stdout, os.Stderr, signals, term.IsTerminal(int(os.Stdin.Fd()))})
}

// world is what a process touches outside itself; tests bring their own.
type world struct {
	stdout, stderr io.Writer
	signals        chan os.Signal
	terminal       bool // standard input is one
}

func run(ctx context.Context, role string, flags Flags, main func(ctx context.Context, p *Process) error, w world) int {
	err := supervise(ctx, role, flags, main, w)
	if err == nil {
		return ExitOK
	}
	complain(w.stderr, err)
	if errors.As(err, new(usageError)) {
		return ExitUsage
	}
	return ExitFault
}

// usageError is a fault of flags or of the environment: to start again does not
// mend it.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// complain writes err as the one sentence that explains a fault.
func complain(w io.Writer, err error) {
	fmt.Fprintf(w, "monarch: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
}

// flushTimeout bounds the last export of telemetry, so that an unreachable
// collector does not hold up the exit.
const flushTimeout = 5 * time.Second

func supervise(ctx context.Context, role string, flags Flags, main func(ctx context.Context, p *Process) error, w world) (err error) {
	if err := flags.Validate(); err != nil {
		return usageError{err}
	}
	log := newLogger(w.stdout, flags.LogFlags)
	tel, err := openTelemetry(ctx, role, log)
	if err != nil {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
		defer cancel()
		if err := tel.close(end); err != nil {
			log.Warn("telemetry was not flushed", "error", err)
		}
	}()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &Process{
		Role:           role,
		Log:            log,
		Meter:          tel.meters.Meter(scope),
		Tracer:         tel.tracers.Tracer(scope),
		MeterProvider:  tel.meters,
		TracerProvider: tel.tracers,
		drainTimeout:   flags.DrainTimeout,
		draining:       make(chan struct{}),
		cancel:         cancel,
	}
	p.ready.block("starting")

	if flags.TelemetryListen != "" {
		ln, err := Listen(ctx, flags.TelemetryListen, "--telemetry.listen")
		if err != nil {
			return err
		}
		p.telemetryURL = "http://" + ln.Addr().String()
		stop := serveHTTP(ln, p, tel)
		defer stop()
	}
	log.Info("monarch starts", "role", role, "version", Version().Version, "telemetry", p.telemetryURL)

	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for told := 0; told < 2; {
			select {
			case sig := <-w.signals:
				// A terminal that goes away may say so twice, by the shell and by
				// the system, which is not to cut the drain short.
				if sig == syscall.SIGHUP && (!w.terminal || told > 0) {
					log.Info("goes on: files of secrets are read again without SIGHUP, flags at the start only")
					continue
				}
				log.Info("told to stop", "signal", sig.String())
				p.signalled()
				told++
			case <-done:
				return
			}
		}
		// From here the default of a signal holds: it kills.
		signal.Stop(w.signals)
	})
	defer func() {
		close(done)
		watch.Wait()
	}()

	err = main(ctx, p)
	select {
	case <-p.draining:
		// What was given up because of the signal is not a fault.
		if errors.Is(err, context.Canceled) {
			err = nil
		}
	default:
	}
	if err == nil {
		log.Info("monarch ends", "role", role)
	}
	return err
}
