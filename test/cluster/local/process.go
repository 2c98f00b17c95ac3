package main

import (
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

// process is one role, in one process after the other. Only the supervisor's
// loop touches it, but for ready.
type process struct {
	role      string
	index     int // from 1
	address   string
	portFlag  string // that chooses the address
	telemetry string
	log       string
	path      string
	args, env []string

	cmd *exec.Cmd // nil while it is down
	// gone is closed when cmd has ended.
	gone    chan struct{}
	started time.Time
	isReady bool // since that start
	// due is when it is started again; zero while it runs, and at the end.
	due time.Time
	// faults is how often in a row it has ended soon after its start.
	faults int
}

func (p *process) String() string { return fmt.Sprintf("%s %d", p.role, p.index) }

// checkPorts returns an error if somebody else listens where the process is to
// listen: one sentence ahead of anything that would have to be undone.
func (p *process) checkPorts() error {
	for address, chosen := range map[string]string{p.address: p.portFlag, p.telemetry: "telemetry.port"} {
		ln, err := net.Listen("tcp", address)
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			return fmt.Errorf("%s is in use, where %s is to listen: end what runs there, or choose another with --%s",
				address, p, chosen)
		case err != nil:
			return fmt.Errorf("%s cannot listen on %s: %w; choose another with --%s", p, address, err, chosen)
		}
		_ = ln.Close() // it has accepted nothing
	}
	return nil
}

// start starts the process. What it returns waits for the end, and must be
// called once.
func (p *process) start() (ended func() *os.ProcessState, err error) {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p, err)
	}
	defer log.Close() // the process has its own
	path, err := filepath.Abs(p.path)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p, err)
	}
	cmd := exec.Command(path, p.args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = p.env, log, log
	cmd.SysProcAttr = attributes()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p, err)
	}
	gone := make(chan struct{})
	p.cmd, p.gone, p.started, p.isReady = cmd, gone, time.Now(), false
	return func() *os.ProcessState {
		_ = cmd.Wait() // how it ended is in ProcessState
		close(gone)
		return cmd.ProcessState
	}, nil
}

// readyEvery is how often a process is asked whether it is ready.
const readyEvery = 100 * time.Millisecond

// awaitReady returns true when the process answers that it is ready, and false
// when it is gone.
func awaitReady(gone <-chan struct{}, telemetry string) bool {
	client := http.Client{Timeout: 5 * time.Second}
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for {
		resp, err := client.Get("http://" + telemetry + "/readyz")
		if err == nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // only the status counts
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return true
			}
		}
		select {
		case <-gone:
			return false
		case <-tick.C:
		}
	}
}

// signal sends a signal to the process, if there is one.
func (p *process) signal(sig syscall.Signal) {
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(sig) // it may have ended just now
	}
}

// lastWords is the last line that the process has written.
func (p *process) lastWords() string {
	f, err := os.Open(p.log)
	if err != nil {
		return ""
	}
	defer f.Close()
	const enough = 4 << 10
	if info, err := f.Stat(); err == nil && info.Size() > enough {
		_, _ = f.Seek(-enough, io.SeekEnd) // or the beginning is read, and the words are others
	}
	b, err := io.ReadAll(io.LimitReader(f, enough))
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
