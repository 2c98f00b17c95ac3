package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"testing"
)

// Redis is a Redis server of the test's own, which keeps nothing on disk.
type Redis struct {
	*Process
	// URL is where it is.
	URL string
}

// StartRedis starts one and returns when it answers.
func StartRedis(t testing.TB) *Redis {
	t.Helper()
	path, err := findRedis()
	if err != nil {
		t.Fatal(err)
	}
	port := Port(t)
	p := run(t, "redis", "", nil, path, "--bind", "127.0.0.1", "--port", strconv.Itoa(port),
		"--save", "", "--appendonly", "no", "--daemonize", "no")
	if err := p.poll(t.Context(), func(ctx context.Context) error { return pingRedis(ctx, Loopback(port)) }); err != nil {
		t.Fatalf("wait for redis: %v", err)
	}
	return &Redis{p, "redis://" + Loopback(port)}
}

func findRedis() (string, error) {
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("neither redis-server nor valkey-server is in PATH: install one of them")
}

// pingRedis asks in the plainest form of the protocol.
func pingRedis(ctx context.Context, addr string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer := make([]byte, 16)
	n, err := conn.Read(answer)
	if err == nil && string(answer[:n]) != "+PONG\r\n" {
		err = fmt.Errorf("it answers %q to PING", answer[:n])
	}
	return err
}
