package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// store is a kind of server that can be started here.
type store struct {
	program
	variable string // that names its URL
	// prepare makes what the server needs in dir and returns its command for
	// a port; url is where it is found then.
	prepare func(ctx context.Context, dir string) (func(port int) *exec.Cmd, error)
	// ready returns nil as soon as the server on port can be used.
	ready func(ctx context.Context, port int) error
	url   func(port int) string
	// quit ends the server at once. Its data is worth nothing.
	quit os.Signal
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

// start starts s with its files below dir and returns its URL when it can be
// used. A port that is free when it is chosen may be taken a moment later, so
// it tries again with another one.
func start(ctx context.Context, s store, dir string) (*server, string, error) {
	dir = filepath.Join(dir, s.variable)
	command, err := s.prepare(ctx, dir)
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
	prepare: func(_ context.Context, dir string) (func(int) *exec.Cmd, error) {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
		return func(port int) *exec.Cmd {
			return exec.Command(redisServer(), "--bind", "127.0.0.1", "--port", strconv.Itoa(port),
				"--dir", dir, "--save", "", "--appendonly", "no", "--daemonize", "no")
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

var postgres = store{
	program: program{"PostgreSQL", "postgresql", func() bool {
		return find("postgres") != "" && find("initdb") != ""
	}},
	variable: "MONARCH_TEST_POSTGRES",
	quit:     syscall.SIGQUIT,
	url: func(port int) string {
		return fmt.Sprintf("postgres://monarch@127.0.0.1:%d/postgres?sslmode=disable", port)
	},
	prepare: func(ctx context.Context, dir string) (func(int) *exec.Cmd, error) {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
		as := func(cmd *exec.Cmd) *exec.Cmd { return cmd }
		// PostgreSQL refuses to run as root.
		if os.Geteuid() == 0 {
			uid, gid, err := unprivileged()
			if err != nil {
				return nil, err
			}
			if err := os.Chown(dir, uid, gid); err != nil {
				return nil, err
			}
			as = func(cmd *exec.Cmd) *exec.Cmd {
				runAs(cmd, uid, gid)
				return cmd
			}
		}
		environment := func(cmd *exec.Cmd) *exec.Cmd {
			cmd.Dir = dir
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC", "HOME=" + dir}
			return as(cmd)
		}
		data := filepath.Join(dir, "data")
		initdb := environment(exec.CommandContext(ctx, find("initdb"),
			"-D", data, "-U", "monarch", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"))
		if out, err := initdb.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("initdb: %w\n%s", err, tail(out, outputBytes))
		}
		return func(port int) *exec.Cmd {
			return environment(exec.Command(find("postgres"), "-D", data, "-p", strconv.Itoa(port),
				"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
				"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off",
				"-c", "max_connections=300"))
		}, nil
	},
	ready: readyPostgres,
}

// readyPostgres begins a session as the protocol has it, without the client's
// programs: an answer of the kind R, authentication, comes only from a server
// that accepts sessions.
func readyPostgres(ctx context.Context, port int) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second)) // a TCP connection takes deadlines
	body := "\x00\x03\x00\x00user\x00monarch\x00database\x00postgres\x00\x00"
	message := append([]byte{0, 0, 0, byte(4 + len(body))}, body...)
	if _, err := conn.Write(message); err != nil {
		return err
	}
	kind := make([]byte, 1)
	if _, err := conn.Read(kind); err != nil {
		return err
	}
	if kind[0] != 'R' {
		return errors.New("it does not accept sessions yet")
	}
	return nil
}

// unprivileged returns the user that PostgreSQL runs as where we are root.
func unprivileged() (uid, gid int, err error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, lookupErr := user.Lookup(name)
		if lookupErr != nil {
			err = lookupErr
			continue
		}
		uid, uidErr := strconv.Atoi(u.Uid)
		gid, gidErr := strconv.Atoi(u.Gid)
		if err = errors.Join(uidErr, gidErr); err == nil {
			return uid, gid, nil
		}
	}
	return 0, 0, fmt.Errorf("find a user to run as: %w", err)
}
