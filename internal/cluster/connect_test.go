package cluster

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

// refusal is what a server answers.
type refusal string

func (r refusal) Error() string { return string(r) }
func (refusal) RedisError()     {}

// The map of a Redis Cluster is read again after what went wrong on the way to a
// server, and not after what a server said or a caller did.
func TestMapIsReadAgain(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want int32
	}{
		"nothing is wrong":            {nil, 0},
		"there is no such key":        {redis.Nil, 0},
		"the server refuses":          {refusal("ERR no"), 0},
		"the caller has left":         {context.Canceled, 0},
		"the connection ends":         {io.EOF, 1},
		"the server does not answer":  {context.DeadlineExceeded, 1},
		"nobody listens at the place": {errors.New("connection refused"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var read atomic.Int32
				c := redis.NewClusterClient(&redis.ClusterOptions{
					ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
						read.Add(1)
						return nil, nil
					},
				})
				defer c.Close()
				h := cartographer{c}
				run := h.ProcessHook(func(context.Context, redis.Cmder) error { return test.err })
				if err := run(t.Context(), redis.NewCmd(t.Context(), "get", "key")); !errors.Is(err, test.err) {
					t.Errorf("the error became %v", err)
				}
				time.Sleep(time.Second)
				if got := read.Load(); got != test.want {
					t.Errorf("read %d times after a command, want %d", got, test.want)
				}
				pipeline := h.ProcessPipelineHook(func(context.Context, []redis.Cmder) error { return test.err })
				if err := pipeline(t.Context(), nil); !errors.Is(err, test.err) {
					t.Errorf("the error became %v", err)
				}
				time.Sleep(time.Second)
				if got := read.Load(); got != 2*test.want {
					t.Errorf("read %d times after a pipeline as well, want %d", got, 2*test.want)
				}
			})
		})
	}
}

// What was given up is not done later: the system does not go on sending it.
func TestAConnectionThatIsGivenUpSendsNoMore(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := Open("redis://"+ln.Addr().String(), Options{Command: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Ping(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a server that is silent: want %v, got %v", ErrUnavailable, err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.Copy(io.Discard, conn); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("want the connection reset, got %v", err)
	}
}
