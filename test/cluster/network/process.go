package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Patience is how long anything that must happen may take. Only a failing test
// waits so long.
const Patience = 2 * time.Minute

// pollEvery is how often something is asked that cannot be waited for.
const pollEvery = 25 * time.Millisecond

// tailBytes is how much of each output is printed after a failure.
const tailBytes = 6 << 10

// Process is a program that runs, and may be started again in place after it
// has ended. AwaitReady, Stop and Wait may be called from the test's own
// goroutine only, everything else from any.
type Process struct {
	// Name says which it is, in failures: "notification 2".
	Name string

	t         testing.TB
	program   program
	dir       string
	telemetry string // host:port; empty if it has none
	out, err  string // files with what it writes, of all starts together
	secrets   secrets

	mu    sync.Mutex
	now   *execution // the last one
	over  bool       // the test is: nothing may be started any more
	count int        // of starts
}

// program is what a process runs, each time that it is started.
type program struct {
	path string
	args []string
	// env is added to the environment of the tests, without what configures a
	// server.
	env []string
	// ends says that it is to end by itself.
	ends bool
	// host is where it runs; nil is where the test runs.
	host *Host
	// prepare, if there is one, has the last word on each command before it
	// is started.
	prepare func(*exec.Cmd)
}

// execution is one start of a process.
type execution struct {
	cmd  *exec.Cmd
	done chan struct{}
	// due is set before the process is told to end: until then an end is a
	// failure.
	due atomic.Bool
}

// Monarch starts the server with a command and its flags, and a telemetry
// listener. env is added to the environment, from which everything has been
// taken that configures the server or its telemetry.
func Monarch(t testing.TB, name string, env []string, args ...string) *Process {
	t.Helper()
	telemetry := Loopback(Port(t))
	p := server(t, Binary(t), env, append(args, "--telemetry.listen", telemetry))
	return runProgram(t, name, telemetry, p)
}

// Run runs the server until it ends by itself, and returns its exit status and
// what it wrote.
func Run(t testing.TB, env []string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	program := server(t, Binary(t), env, args)
	program.ends = true
	p := runProgram(t, strings.Join(args, " "), "", program)
	status = p.ended().ExitCode()
	stdout, stderr = p.Output()
	return status, stdout, stderr
}

// Binary returns the path of the server, which is built from this tree at the
// first call; with the race detector if the tests have it.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := binary.path()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// PlainBinary returns the path of the server as its users have it: without the
// race detector, which leaves a small machine little time for hundreds of
// clients.
func PlainBinary(t testing.TB) string {
	t.Helper()
	path, err := plain.path()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func server(t testing.TB, path string, env, args []string) program {
	t.Helper()
	if race {
		// A race ends the process, which fails the test.
		env = append(slices.Clip(env), "GORACE=halt_on_error=1")
	}
	return program{path: path, args: args, env: env}
}

// run starts any program.
func run(t testing.TB, name, telemetry string, env []string, path string, args ...string) *Process {
	t.Helper()
	return runProgram(t, name, telemetry, program{path: path, args: args, env: env})
}

// runProgram starts a program, which ends with the test.
func runProgram(t testing.TB, name, telemetry string, program program) *Process {
	t.Helper()
	dir := t.TempDir()
	p := &Process{
		Name:      name,
		t:         t,
		program:   program,
		dir:       dir,
		telemetry: telemetry,
		out:       filepath.Join(dir, "stdout"),
		err:       filepath.Join(dir, "stderr"),
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.end)
	return p
}

// Start starts the process again after its end, as it was started first: the
// same command, environment, directory and ports. What it writes follows what
// it wrote before. It does not wait until the process is ready. It is an error
// if the process runs, or if the test is over.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return fmt.Errorf("start %s: the test is over", p.Name)
	}
	if p.now != nil {
		select {
		case <-p.now.done:
		default:
			return fmt.Errorf("start %s: it still runs", p.Name)
		}
	}
	e := &execution{cmd: exec.Command(p.program.path, p.program.args...), done: make(chan struct{})}
	e.due.Store(p.program.ends)
	e.cmd.Dir = p.dir
	e.cmd.Env = append(environment(), p.program.env...)
	e.cmd.SysProcAttr = attributes()
	for file, stream := range map[string]*io.Writer{p.out: &e.cmd.Stdout, p.err: &e.cmd.Stderr} {
		f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("start %s: %w", p.Name, err)
		}
		defer f.Close() // the process has its own
		*stream = f
	}
	if p.program.prepare != nil {
		p.program.prepare(e.cmd)
	}
	start := start
	if p.program.host != nil {
		start = p.program.host.thread.start
	}
	if err := start(e.cmd); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	p.now = e
	p.count++
	go func() {
		_ = e.cmd.Wait() // how it ended is in ProcessState
		if !e.due.Load() {
			p.t.Errorf("%s ended by itself: %v", p.Name, e.cmd.ProcessState)
		}
		close(e.done)
	}()
	return nil
}

// last returns the execution that runs, or that ran last.
func (p *Process) last() *execution {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

// Starts returns how often the process has been started.
func (p *Process) Starts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// Host returns where the process runs; nil if it has no host of its own.
func (p *Process) Host() *Host { return p.program.host }

// PID returns the id of the process, or that which it had last.
func (p *Process) PID() int { return p.last().cmd.Process.Pid }

// environment is that of the tests without what configures a server.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "MONARCH_") || strings.HasPrefix(v, "OTEL_") || strings.HasPrefix(v, "GORACE=")
	})
}

// AwaitReady returns when the process says that it is ready. It fails the test
// if the process ends instead.
func (p *Process) AwaitReady() {
	p.t.Helper()
	if err := p.Await(context.Background()); err != nil {
		p.t.Fatal(err)
	}
}

// Await returns when the process says that it is ready, and an error if it ends
// instead, or is not ready within Patience or before ctx is done.
func (p *Process) Await(ctx context.Context) error {
	if err := p.poll(ctx, p.ready); err != nil {
		return fmt.Errorf("wait for %s to be ready: %w", p.Name, err)
	}
	return nil
}

// poll asks until condition holds, the process has ended, or Patience or ctx is
// over.
func (p *Process) poll(ctx context.Context, condition func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	e := p.last()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for begin := time.Now(); ; {
		err := condition(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-e.done:
			return fmt.Errorf("it has ended with %v", e.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("given up after %v: %w", time.Since(begin).Round(time.Millisecond), err)
		}
	}
}

// ready asks /readyz once.
func (p *Process) ready(ctx context.Context) error {
	status, body, err := p.get(ctx, "/readyz")
	if err == nil && status != http.StatusOK {
		err = errors.New(strings.TrimSpace(body))
	}
	return err
}

// Readiness returns what /readyz?verbose says, and whether it says ready.
func (p *Process) Readiness(ctx context.Context) (ready bool, text string, err error) {
	status, body, err := p.get(ctx, "/readyz?verbose")
	if err != nil {
		return false, "", fmt.Errorf("ask %s whether it is ready: %w", p.Name, err)
	}
	return status == http.StatusOK, body, nil
}

// Metric returns the sum of all series of a metric, as /metrics shows them now:
// 0 if there is none, because many appear with the first event that they count.
func (p *Process) Metric(ctx context.Context, name string) (float64, error) {
	status, body, err := p.get(ctx, "/metrics")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d", status)
	}
	var sum float64
	if err == nil {
		sum, err = sumSeries(body, name)
	}
	if err != nil {
		return 0, fmt.Errorf("read metric %s of %s: %w", name, p.Name, err)
	}
	return sum, nil
}

// sumSeries reads the text format of Prometheus, where a line is
// name{labels} value, or name value; a time may follow.
func sumSeries(text, name string) (sum float64, err error) {
	for line := range strings.Lines(text) {
		rest, found := strings.CutPrefix(line, name)
		if !found || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		fields := strings.Fields(rest[strings.LastIndexByte(rest, '}')+1:])
		if len(fields) == 0 {
			return 0, fmt.Errorf("%q has no value", line)
		}
		value, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			return 0, err
		}
		sum += value
	}
	return sum, nil
}

// maxAnswer bounds what is read of an answer of the telemetry listener.
const maxAnswer = 16 << 20

func (p *Process) get(ctx context.Context, path string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.telemetry+path, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, string(b), err
}

// Signal sends a signal to the process alone. It does not make an end due: that
// is what Terminate, Stop and Kill are for.
func (p *Process) Signal(sig syscall.Signal) error { return p.last().cmd.Process.Signal(sig) }

// Kill ends the process and its group with SIGKILL, as a machine that loses
// power does, and returns when it is gone.
func (p *Process) Kill() {
	e := p.last()
	e.due.Store(true)
	_ = syscall.Kill(-e.cmd.Process.Pid, syscall.SIGKILL) // it may be gone already
	<-e.done
}

// Terminate tells the process to leave in good order, with SIGTERM, and returns
// at once. Its end is due from now on: see Wait.
func (p *Process) Terminate() { p.tell(syscall.SIGTERM) }

// tell sends a signal that is to end the process.
func (p *Process) tell(sig syscall.Signal) {
	e := p.last()
	e.due.Store(true)
	_ = e.cmd.Process.Signal(sig) // one that is gone has a status that tells
}

// Wait waits until the process has ended, and fails the test unless its exit
// status is 0. One that has not ended within Patience is killed.
func (p *Process) Wait() {
	p.t.Helper()
	if status := p.ended(); status.ExitCode() != 0 {
		_, stderr := p.Output()
		p.t.Errorf("%s, told to stop, ended with %v, want status 0\n%s", p.Name, status, tail(stderr))
	}
}

// Done is closed when the process is gone. After another Start it is another
// channel.
func (p *Process) Done() <-chan struct{} { return p.last().done }

// Stop has the process leave in good order but without delay: told twice to
// stop, it closes its clients' sessions at once. It fails the test unless that
// ends with status 0.
func (p *Process) Stop() { stop(p.t, []*Process{p}) }

// stop stops several processes together. A second signal that came while the
// first is pending would be lost, so it waits until the first has shown effect.
func stop(t testing.TB, processes []*Process) {
	t.Helper()
	for _, p := range processes {
		p.Terminate()
		_ = p.Signal(syscall.SIGCONT) // a test that failed may have left it paused
	}
	for _, p := range processes {
		_ = p.poll(context.Background(), func(ctx context.Context) error {
			if p.ready(ctx) == nil {
				return errors.New("still ready")
			}
			return nil
		})
		p.Terminate()
	}
	for _, p := range processes {
		p.Wait()
	}
}

// ended waits for the end, brings it about when Patience is over, and returns
// how it came.
func (p *Process) ended() *os.ProcessState {
	e := p.last()
	select {
	case <-e.done:
	case <-time.After(Patience):
		p.t.Errorf("%s did not end within %v", p.Name, Patience)
		p.Kill()
	}
	return e.cmd.ProcessState
}

// end is called when the test is over.
func (p *Process) end() {
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	p.Kill()
	if p.t.Failed() {
		stdout, stderr := p.Output()
		p.t.Logf("%s (%v):\n%s%s", p.Name, p.last().cmd.ProcessState, tail(stdout), tail(stderr))
	}
}

// Output returns what the process has written so far.
func (p *Process) Output() (stdout, stderr string) {
	return p.read(p.out), p.read(p.err)
}

func (p *Process) read(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		p.t.Errorf("read the output of %s: %v", p.Name, err)
	}
	return string(b)
}

// tail returns the last whole lines of s.
func tail(s string) string {
	if len(s) <= tailBytes {
		return s
	}
	s = s[len(s)-tailBytes:]
	return "...\n" + s[strings.IndexByte(s, '\n')+1:]
}
