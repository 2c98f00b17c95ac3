package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// store is a kind of server that can be started here.
type store struct {
	program
	variable string // that names its URL
	// keeps is the name of the directory with what is kept for a next time; ""
	// if there is nothing to keep.
	keeps string
	// prepare makes what the server needs in its home and returns its command
	// for a port; url is where it is found then.
	prepare func(ctx context.Context, h home) (func(port int) *exec.Cmd, error)
	// ready returns nil as soon as the server on port can be used.
	ready func(ctx context.Context, port int) error
	url   func(port int) string
	// quit ends the server at once, and leaves whole what is kept.
	quit os.Signal
}

// home is where a server has its files.
type home struct {
	dir string // made if it is missing, unlike the one above it
	// kept says that the files are worth something, and may be there already.
	kept bool
}

// make makes the directory, and those above it if it is kept.
func (h home) make() error {
	if h.kept {
		return os.MkdirAll(h.dir, 0o700)
	}
	return os.Mkdir(h.dir, 0o700)
}

// server is a running store.
type server struct {
	cmd  *exec.Cmd
	quit os.Signal
	// ended is closed when the process is gone.
	ended chan struct{}
}

const (
	startTimeout = 60 * time.Second
	stopTimeout  = 10 * time.Second
	attempts     = 3
)

// start starts s with its files in h and returns its URL when it can be used.
// A port that is free when it is chosen may be taken a moment later, so it
// tries again with another one.
func start(ctx context.Context, s store, h home) (*server, string, error) {
	command, err := s.prepare(ctx, h)
	if err != nil {
		return nil, "", fmt.Errorf("prepare %s: %w", s.what, err)
	}
	for range attempts {
		var port int
		if port, err = freePort(ctx); err != nil {
			break
		}
		var sv *server
		if sv, err = startOn(ctx, s, command(port), port); err == nil {
			return sv, s.url(port), nil
		}
	}
	return nil, "", fmt.Errorf("start %s: %w", s.what, err)
}

func startOn(ctx context.Context, s store, cmd *exec.Cmd, port int) (*server, error) {
	var log output
	cmd.Stdout, cmd.Stderr = &log, &log
	dieWithParent(cmd, s.quit.(syscall.Signal))
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	sv := &server{cmd, s.quit, make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(sv.ended)
	}()

	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.ready(ctx, port)
		if err == nil {
			return sv, nil
		}
		select {
		case <-sv.ended:
			return nil, fmt.Errorf("it ended at once:\n%s", log.tail())
		case <-ctx.Done():
			sv.stop()
			return nil, fmt.Errorf("not ready after %s: %w\n%s", startTimeout, err, log.tail())
		case <-tick.C:
		}
	}
}

// stop ends the server and waits until it is gone.
func (sv *server) stop() {
	_ = sv.cmd.Process.Signal(sv.quit) // it may be gone already
	select {
	case <-sv.ended:
	case <-time.After(stopTimeout):
		_ = sv.cmd.Process.Kill()
		<-sv.ended
	}
}

// output keeps the last lines that a server wrote.
type output struct {
	mu sync.Mutex
	b  []byte
}

const outputBytes = 8 << 10

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.b = append(o.b, p...)
	if len(o.b) > 2*outputBytes {
		o.b = bytes.Clone(tail(o.b, outputBytes))
	}
	return len(p), nil
}

func (o *output) tail() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(tail(o.b, outputBytes))
}

func freePort(ctx context.Context) (int, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

var redis = store{
	program:  program{"Redis", "redis-server", func() bool { return redisServer() != "" }},
	variable: "MONARCH_TEST_REDIS",
	quit:     syscall.SIGTERM,
	url:      func(port int) string { return fmt.Sprintf("redis://127.0.0.1:%d", port) },
	prepare: func(_ context.Context, h home) (func(int) *exec.Cmd, error) {
		if err := h.make(); err != nil {
			return nil, err
		}
		return func(port int) *exec.Cmd {
			return exec.Command(redisServer(), "--bind", "127.0.0.1", "--port", strconv.Itoa(port),
				"--dir", h.dir, "--save", "", "--appendonly", "no", "--daemonize", "no")
		}, nil
	},
	ready: func(ctx context.Context, port int) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return err
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Second)) // a TCP connection takes deadlines
		if _, err := conn.Write([]byte("PING\r\n")); err != nil {
			return err
		}
		answer := make([]byte, 16)
		n, err := conn.Read(answer)
		if err != nil {
			return err
		}
		if string(answer[:n]) != "+PONG\r\n" {
			return fmt.Errorf("it answers %q to PING", answer[:n])
		}
		return nil
	},
}

func redisServer() string {
	if path := find("redis-server"); path != "" {
		return path
	}
	return find("valkey-server")
}
