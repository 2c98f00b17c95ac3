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
	"strings"
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

// Process is a running program. Its methods may be called from the test's own
// goroutine only, but for Kill, Signal and Done.
type Process struct {
	// Name says which it is, in failures: "notification 2".
	Name string

	t         testing.TB
	cmd       *exec.Cmd
	telemetry string // host:port; empty if it has none
	out, err  string // files with what it writes
	done      chan struct{}
	// stopping is set before the process is told to end: until then an end
	// is a failure.
	stopping atomic.Bool
}

// Monarch starts the server with a command and its flags, and a telemetry
// listener. env is added to the environment, from which everything has been
// taken that configures the server or its telemetry.
func Monarch(t testing.TB, name string, env []string, args ...string) *Process {
	t.Helper()
	telemetry := Loopback(Port(t))
	return monarch(t, name, telemetry, env, append(args, "--telemetry.listen", telemetry))
}

// Run runs the server until it ends by itself, and returns its exit status and
// what it wrote.
func Run(t testing.TB, env []string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	p := monarch(t, strings.Join(args, " "), "", env, args)
	p.stopping.Store(true)
	p.wait()
	stdout, stderr = p.Output()
	return p.cmd.ProcessState.ExitCode(), stdout, stderr
}

func monarch(t testing.TB, name, telemetry string, env, args []string) *Process {
	t.Helper()
	path, err := binary.path()
	if err != nil {
		t.Fatal(err)
	}
	if race {
		// A race ends the process, which fails the test.
		env = append(env, "GORACE=halt_on_error=1")
	}
	return run(t, name, telemetry, env, path, args...)
}

// run starts any program.
func run(t testing.TB, name, telemetry string, env []string, path string, args ...string) *Process {
	t.Helper()
	dir := t.TempDir()
	p := &Process{
		Name:      name,
		t:         t,
		cmd:       exec.Command(path, args...),
		telemetry: telemetry,
		out:       filepath.Join(dir, "stdout"),
		err:       filepath.Join(dir, "stderr"),
		done:      make(chan struct{}),
	}
	p.cmd.Dir = dir
	p.cmd.Env = append(environment(), env...)
	for file, stream := range map[string]*io.Writer{p.out: &p.cmd.Stdout, p.err: &p.cmd.Stderr} {
		f, err := os.Create(file)
		if err != nil {
			t.Fatalf("start %s: %v", name, err)
		}
		defer f.Close() // the process has its own
		*stream = f
	}
	if err := start(p.cmd); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in ProcessState
		close(p.done)
	}()
	t.Cleanup(p.end)
	return p
}

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
	if err := p.poll(p.ready); err != nil {
		p.t.Fatalf("wait for %s to be ready: %v", p.Name, err)
	}
}

// poll asks until condition holds, the process has ended or Patience is over.
func (p *Process) poll(condition func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := condition(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.done:
			return fmt.Errorf("it has ended with %v", p.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("given up after %v: %w", Patience, err)
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
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// Signal sends a signal to the process alone.
func (p *Process) Signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

// Kill ends the process and its group with SIGKILL, as a machine that loses
// power does, and returns when it is gone.
func (p *Process) Kill() {
	p.stopping.Store(true)
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may be gone already
	<-p.done
}

// Done is closed when the process is gone.
func (p *Process) Done() <-chan struct{} { return p.done }

// Stop has the process leave in good order but without delay: told twice to
// stop, it closes its clients' sessions at once. It fails the test unless that
// ends with status 0.
func (p *Process) Stop() { stop(p.t, []*Process{p}) }

// stop stops several processes together. A second signal that came while the
// first is pending would be lost, so it waits until the first has shown effect.
func stop(t testing.TB, processes []*Process) {
	t.Helper()
	for _, p := range processes {
		p.stopping.Store(true)
		_ = p.Signal(syscall.SIGTERM) // one that is gone is told of below
	}
	for _, p := range processes {
		_ = p.poll(func(ctx context.Context) error {
			if p.ready(ctx) == nil {
				return errors.New("still ready")
			}
			return nil
		})
		_ = p.Signal(syscall.SIGTERM)
	}
	for _, p := range processes {
		p.wait()
		if status := p.cmd.ProcessState; status.ExitCode() != 0 {
			_, stderr := p.Output()
			t.Errorf("%s, told to stop, ended with %v, want status 0\n%s", p.Name, status, stderr)
		}
	}
}

// wait waits for the end, and brings it about when Patience is over.
func (p *Process) wait() {
	select {
	case <-p.done:
	case <-time.After(Patience):
		p.t.Errorf("%s did not end within %v", p.Name, Patience)
		p.Kill()
	}
}

// end is called when the test is over.
func (p *Process) end() {
	select {
	case <-p.done:
		if !p.stopping.Load() {
			p.t.Errorf("%s ended by itself: %v", p.Name, p.cmd.ProcessState)
		}
	default:
	}
	p.Kill()
	if p.t.Failed() {
		stdout, stderr := p.Output()
		p.t.Logf("%s (%v):\n%s%s", p.Name, p.cmd.ProcessState, tail(stdout), tail(stderr))
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
