package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Redis is a Redis server of the test's own, which keeps no data on disk: when
// it is started again after its end it is empty, on the same port.
type Redis struct {
	*Process
	// URL is where it is, for clients that speak with this server alone.
	URL string

	addr string
}

// StartRedis starts one and returns when it answers.
func StartRedis(t testing.TB) *Redis {
	t.Helper()
	r := launchRedis(t, "redis", Port(t))
	r.AwaitReady()
	return r
}

// launchRedis starts a server with further arguments; it does not wait.
func launchRedis(t testing.TB, name string, port int, args ...string) *Redis {
	t.Helper()
	path, err := findRedis()
	if err != nil {
		t.Fatal(err)
	}
	args = append([]string{
		"--bind", "127.0.0.1", "--port", strconv.Itoa(port),
		"--save", "", "--appendonly", "no", "--daemonize", "no",
		// A replica is served at once, not five seconds later with others.
		"--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0",
	}, args...)
	addr := Loopback(port)
	return &Redis{run(t, name, "", nil, path, args...), "redis://" + addr, addr}
}

func findRedis() (string, error) {
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("neither redis-server nor valkey-server is in PATH: install one of them")
}

// AwaitReady returns when the server answers. It fails the test if that does
// not come about.
func (r *Redis) AwaitReady() {
	r.t.Helper()
	if err := r.Await(context.Background()); err != nil {
		r.t.Fatal(err)
	}
}

// Await returns when the server answers, and an error if it ends instead, or
// does not answer within [Patience] or before ctx is done.
func (r *Redis) Await(ctx context.Context) error {
	return r.until(ctx, "answer", func(ctx context.Context) error {
		_, err := r.Do(ctx, "PING")
		return err
	})
}

// until polls for something that the server is to do.
func (r *Redis) until(ctx context.Context, what string, holds func(ctx context.Context) error) error {
	if err := r.poll(ctx, holds); err != nil {
		return fmt.Errorf("wait for %s to %s: %w", r.Name, what, err)
	}
	return nil
}

// askTimeout bounds one question to a server. One that is paused takes
// connections and never answers.
const askTimeout = 5 * time.Second

// Do has the server execute one command, and returns its reply as the Redis
// client for Go has it. It asks once, and waits five seconds at most.
func (r *Redis) Do(ctx context.Context, args ...any) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	// Beforehand, as the client would log that there is no server.
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", r.addr)
	if err != nil {
		return nil, fmt.Errorf("%v at %s: %w", args, r.Name, err)
	}
	defer conn.Close()
	c := redis.NewClient(&redis.Options{
		Protocol: 2, DisableIdentity: true, ContextTimeoutEnabled: true, ReadTimeout: askTimeout, MaxRetries: -1,
		Dialer:                   func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	defer c.Close()
	reply, err := c.Do(ctx, args...).Result()
	if err != nil {
		return nil, fmt.Errorf("%v at %s: %w", args, r.Name, err)
	}
	return reply, nil
}

// text is Do for a command that answers with a text.
func (r *Redis) text(ctx context.Context, args ...any) (string, error) {
	reply, err := r.Do(ctx, args...)
	if err != nil {
		return "", err
	}
	text, ok := reply.(string)
	if !ok {
		return "", fmt.Errorf("%v at %s: the answer is a %T", args, r.Name, reply)
	}
	return text, nil
}

// role returns what the server takes itself for: master, slave or sentinel.
func (r *Redis) role(ctx context.Context) (string, error) {
	reply, err := r.Do(ctx, "ROLE")
	if err != nil {
		return "", err
	}
	fields, ok := reply.([]any)
	if !ok || len(fields) == 0 {
		return "", fmt.Errorf("ROLE at %s: the answer is %v", r.Name, reply)
	}
	role, _ := fields[0].(string)
	return role, nil
}

// follows reports as an error that the server does not replicate, or has not
// caught up.
func (r *Redis) follows(ctx context.Context) error {
	reply, err := r.Do(ctx, "ROLE")
	if err != nil {
		return err
	}
	// A replica answers slave, address, port, state of the link, offset.
	if fields, ok := reply.([]any); !ok || len(fields) < 4 || fields[0] != "slave" || fields[3] != "connected" {
		return fmt.Errorf("its role is %v", reply)
	}
	return nil
}

// running reports whether the server has not ended.
func (r *Redis) running() bool {
	select {
	case <-r.Done():
		return false
	default:
		return true
	}
}

// AwaitReplicas returns when each replica of the server, of which there must be
// one at least, has what the server had when it was called.
func (r *Redis) AwaitReplicas(ctx context.Context) error {
	want := int64(-1)
	return r.until(ctx, "have its replicas catch up", func(ctx context.Context) error {
		reply, err := r.Do(ctx, "ROLE")
		if err != nil {
			return err
		}
		// A master answers master, offset, and for each replica its host, port
		// and offset.
		fields, _ := reply.([]any)
		if len(fields) != 3 || fields[0] != "master" {
			return fmt.Errorf("its role is %v", reply)
		}
		if want < 0 {
			want, _ = fields[1].(int64)
		}
		replicas, _ := fields[2].([]any)
		for _, replica := range replicas {
			about, _ := replica.([]any)
			if len(about) != 3 {
				return fmt.Errorf("its role is %v", reply)
			}
			if offset, err := strconv.ParseInt(fmt.Sprint(about[2]), 10, 64); err != nil || offset < want {
				return fmt.Errorf("a replica is at %v of %d", about[2], want)
			}
		}
		if len(replicas) == 0 {
			return errors.New("it has no replica")
		}
		return nil
	})
}
