package front_test

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
)

// awaiting serves one client whose session takes a command, waits for ctx, says
// what came of it, and then echoes.
func awaiting(t *testing.T, over func(*testing.T, front.Config, opener) *network, ctx context.Context, deadline time.Duration) (*network, *client, chan *front.Conn, chan error) {
	t.Helper()
	conns, results := make(chan *front.Conn, 1), make(chan error, 1)
	n := over(t, front.Config{}, func(of context.Context, c *front.Conn) front.Session {
		var once sync.Once
		echoing := echo(of, c)
		return session{do: func(of context.Context, cmd *msnp.Command) error {
			first := false
			once.Do(func() { first = true })
			if !first {
				return echoing.Do(of, cmd)
			}
			if deadline > 0 {
				c.SetDeadline(time.Now().Add(deadline))
			}
			conns <- c
			results <- c.Await(ctx)
			return nil
		}}
	})
	c := n.client()
	c.say("PNG\r\n")
	return n, c, conns, results
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	for name, over := range transports {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			_, c, conns, results := awaiting(t, over, ctx, time.Hour)
			awaits(t, "the wait", conns)
			cancel()
			if err := awaits(t, "the end of the wait", results); err != nil {
				t.Errorf("want nil, got %v", err)
			}
			// The deadline is what it was, and the connection goes on.
			c.say("PNG\r\n")
			c.hears("QNG\r\n")
		})
	}
}

func TestAwaitWithAContextThatIsDone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, c, _, results := awaiting(t, overTCP, ctx, 0)
	if err := awaits(t, "the end of the wait", results); err != nil {
		t.Errorf("want nil, got %v", err)
	}
	c.say("PNG\r\n")
	c.hears("QNG\r\n")
}

func TestAwaitEndsWhenTheClientHangsUp(t *testing.T) {
	_, c, conns, results := awaiting(t, overTCP, t.Context(), 0)
	awaits(t, "the wait", conns)
	c.Close()
	if err := awaits(t, "the end of the wait", results); !errors.Is(err, io.EOF) {
		t.Errorf("want EOF, got %v", err)
	}
}

func TestAwaitLosesNothingThatTheClientSays(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, c, conns, results := awaiting(t, overTCP, ctx, 0)
	awaits(t, "the wait", conns)
	c.say("CHG 1 NLN\r\nPN")
	c.say("G\r\n")
	select {
	case err := <-results:
		t.Fatalf("the wait ended with what the client said: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	cancel()
	if err := awaits(t, "the end of the wait", results); err != nil {
		t.Errorf("want nil, got %v", err)
	}
	c.hears("CHG 1 NLN\r\nQNG\r\n")
}

func TestAwaitEndsWithTheConnection(t *testing.T) {
	for name, over := range transports {
		t.Run(name, func(t *testing.T) {
			_, c, conns, results := awaiting(t, over, t.Context(), 0)
			awaits(t, "the wait", conns).Close(front.ReasonOperator)
			wantClose(t, awaits(t, "the end of the wait", results), front.ReasonOperator)
			c.hearsLast("OUT\r\n")
		})
	}
}

func TestAwaitEndsWithTheDeadline(t *testing.T) {
	_, _, _, results := awaiting(t, overTCP, t.Context(), time.Millisecond)
	if err := awaits(t, "the end of the wait", results); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("want the deadline, got %v", err)
	}
}
