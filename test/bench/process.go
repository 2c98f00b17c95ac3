package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is a server that runs.
type process struct {
	name      string // "notification 2"
	telemetry string // host:port with /readyz and /debug/pprof
	cmd       *exec.Cmd
	log       string
	gone      chan struct{} // closed at its end
}

// startTimeout bounds the wait for a server; only what fails takes that long.
const startTimeout = 30 * time.Second

// start starts a server with a telemetry listener. What it writes goes to a file
// in dir. It is gone with the driver, however that ends.
func start(dir, name, path string, args ...string) (*process, error) {
	free, err := freeAddresses(1)
	if err != nil {
		return nil, err
	}
	telemetry := free[0]
	p := &process{
		name:      name,
		telemetry: telemetry,
		cmd:       exec.Command(path, append(args, "--telemetry.listen", telemetry)...),
		log:       filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".log"),
		gone:      make(chan struct{}),
	}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env = log, log, environment()
	dieWithParent(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in its log
		close(p.gone)
	}()
	return p, nil
}

// environment is that of the driver without what configures a server.
func environment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "MONARCH_") && !strings.HasPrefix(v, "OTEL_") {
			env = append(env, v)
		}
	}
	return env
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// await returns when the process says that it is ready.
func (p *process) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		body, err := p.get(ctx, "/readyz")
		if err == nil {
			_ = body.Close() // the status is all
			return nil
		}
		select {
		case <-tick.C:
		case <-p.gone:
			return fmt.Errorf("start %s: it ended: %s", p.name, p.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("start %s: not ready: %w", p.name, err)
		}
	}
}

// get reads from the telemetry listener. The caller closes the body.
func (p *process) get(ctx context.Context, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.telemetry+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close() // the status is all
		return nil, errors.New(resp.Status)
	}
	return resp.Body, nil
}

// kill ends the process at once: nothing that it has is needed any more.
func (p *process) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL) // it may be gone already
	<-p.gone
}

// lastWords is the last line that the process has written.
func (p *process) lastWords() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return lastLine(string(b))
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// freeAddresses returns so many addresses of this machine on which nobody
// listens.
func freeAddresses(n int) ([]string, error) {
	addresses := make([]string, n)
	for i := range addresses {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		// Not before all are chosen, or one might be given twice.
		defer ln.Close()
		addresses[i] = ln.Addr().String()
	}
	return addresses, nil
}
