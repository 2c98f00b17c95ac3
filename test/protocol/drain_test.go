package protocol

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/msnp"
	"github.com/monarch-msn/monarch/msnp/client"
	"github.com/monarch-msn/monarch/services/allinone"
)

// TestErrorOfADrainingNetwork: with no node left that takes logins, those that
// drain are unavailable, which MSNP7's clients know as busy, and dispatch has
// nowhere to refer to.
func TestErrorOfADrainingNetwork(t *testing.T) {
	n := start(t, allinone.Options{NotificationNodes: 2})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	draining, stop := context.WithCancel(ctx)
	drained := make(chan error, 1)
	go func() { drained <- n.Drain(draining) }()
	defer func() {
		stop()
		<-drained
	}()
	for _, d := range msnp.Dialects() {
		want := "601 2"
		if d == msnp.MSNP7 {
			want = "600 2"
		}
		for i := range n.Nodes() {
			// A node learns of the others' drain from their next heartbeat.
			if got := eventually(ctx, t, n.Notification(i), d); got != want {
				t.Errorf("%v at node %d: want %s, got %s", d, i+1, want, got)
			}
		}
		if got := eventually(ctx, t, n.Dispatch(), d); got != "600 2" {
			t.Errorf("%v at dispatch: want 600 2, got %s", d, got)
		}
	}
}

// eventually asks to log in until that is refused, and returns the refusal. The
// server closes behind it.
func eventually(ctx context.Context, t *testing.T, address string, d *msnp.Dialect) string {
	t.Helper()
	for {
		answer := identify(ctx, t, address, d)
		if _, refused := answer.Code(); refused {
			return answer.Text
		}
		time.Sleep(10 * time.Millisecond) // asks again, without wearing the machine out
	}
}

// identify says who wants to log in and returns the answer.
func identify(ctx context.Context, t *testing.T, address string, d *msnp.Dialect) client.Message {
	t.Helper()
	c, err := client.Dial(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var answer client.Message
	for i, line := range []string{"VER 1 " + d.String(), "USR 2 MD5 I ann@example.com"} {
		if err := c.Send(line); err != nil {
			t.Fatal(err)
		}
		if answer, err = c.Next(ctx); err != nil {
			t.Fatalf("line %d: %v", i+1, err)
		}
	}
	if _, refused := answer.Code(); refused {
		if m, err := c.Next(ctx); !errors.Is(err, io.EOF) {
			t.Errorf("behind %s: want the end, got %s, %v", answer, m, err)
		}
	}
	return answer
}
