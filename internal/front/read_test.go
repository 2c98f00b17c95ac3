package front_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
)

func TestCommandsAreReadInOrder(t *testing.T) {
	for name, over := range transports {
		t.Run(name, func(t *testing.T) {
			n := over(t, front.Config{}, echo)
			c := n.client()
			var said, want strings.Builder
			for i := range 300 {
				fmt.Fprintf(&said, "CHG %d NLN\r\nPNG\n", i)
				fmt.Fprintf(&want, "CHG %d NLN\r\nQNG\r\n", i)
			}
			go io.WriteString(c, said.String())
			c.hears(want.String())
			c.Close()
			n.wantClosed(front.ReasonClient)
		})
	}
}

func TestCommandsThatArriveByteByByte(t *testing.T) {
	for name, over := range transports {
		t.Run(name, func(t *testing.T) {
			c := over(t, front.Config{}, echo).client()
			if tcp, ok := c.Conn.(*net.TCPConn); ok {
				tcp.SetNoDelay(true)
			}
			for _, b := range []byte("VER 1 MSNP7 CVR0\r\n\r\nPNG\r\n") {
				c.say(string(b))
			}
			c.hears("VER 1 MSNP7 CVR0\r\nQNG\r\n")
		})
	}
}

func TestClientThatHalfClosesHearsItsAnswers(t *testing.T) {
	n := overTCP(t, front.Config{}, echo)
	c := n.client()
	c.say("CHG 1 NLN\r\nCHG 2 AWY\r\n")
	c.Conn.(*net.TCPConn).CloseWrite()
	c.hearsLast("CHG 1 NLN\r\nCHG 2 AWY\r\n")
	n.wantClosed(front.ReasonClient)
}

func TestEndOfInputGivesTheReason(t *testing.T) {
	for _, tt := range []struct {
		name, said string
		want       front.Reason
	}{
		{"a client that hangs up between commands", "PNG\r\n", front.ReasonClient},
		{"a client that hangs up amid a command", "CHG 1", front.ReasonClient},
		{"a word that is none", "GET / HTTP/1.0\r\n", front.ReasonProtocol},
		{"a line without end", strings.Repeat("x", 9000), front.ReasonProtocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := overTCP(t, front.Config{}, echo)
			c := n.client()
			c.say(tt.said)
			c.Conn.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, c.in)
			n.wantClosed(tt.want)
		})
	}
}

func TestDeadlinePassesAndNoByteIsLost(t *testing.T) {
	for name, over := range transports {
		t.Run(name, func(t *testing.T) {
			results := make(chan error)
			again := make(chan struct{})
			n := over(t, front.Config{}, func(_ context.Context, c *front.Conn) {
				var cmd msnp.Command
				for range 2 { // with half a command, and with nothing at all
					c.SetDeadline(time.Now().Add(10 * time.Millisecond))
					err := c.Next(&cmd)
					results <- err
					<-again
					c.SetDeadline(time.Time{})
					if err := c.Next(&cmd); err != nil {
						t.Errorf("next after the deadline: %v", err)
					}
					c.Send(answer(&cmd))
				}
			})
			c := n.client()
			c.say("CHG 7 ")
			for _, rest := range []string{"NLN\r\n", "CHG 7 NLN\r\n"} {
				if err := awaits(t, "the deadline", results); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("want a deadline that has passed, got %v", err)
				}
				again <- struct{}{}
				c.say(rest)
				c.hears("CHG 7 NLN\r\n")
			}
		})
	}
}

func TestDeadlineEndsTheWaitThatIsUnderWay(t *testing.T) {
	conns := make(chan *front.Conn, 1)
	n := overTCP(t, front.Config{}, func(_ context.Context, c *front.Conn) {
		conns <- c
		var cmd msnp.Command
		c.Next(&cmd)
	})
	n.client()
	c := awaits(t, "the connection", conns)
	c.SetDeadline(time.Now())
	awaits(t, "the end", c.Done())
	n.wantClosed(front.ReasonIdle)
}

func TestDeadlineAfterCloseDoesNotReopen(t *testing.T) {
	n := overTCP(t, front.Config{}, func(_ context.Context, c *front.Conn) {
		c.Close(front.ReasonOperator)
		c.SetDeadline(time.Time{})
		var cmd msnp.Command
		wantClose(t, c.Next(&cmd), front.ReasonOperator)
	})
	n.client().hearsLast("OUT\r\n")
}

// An hour of silence is a matter of the deadline alone.
func TestSilenceWithoutADeadlineIsNoEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := overPipe(t, front.Config{}, echo)
		c := n.client()
		c.SetDeadline(time.Time{})
		time.Sleep(24 * time.Hour)
		c.say("PNG\r\n")
		c.hears("QNG\r\n")
		n.stop()
	})
}

func TestNextAfterCloseLeavesReceivedCommandsAlone(t *testing.T) {
	for name, over := range transports {
		t.Run(name, func(t *testing.T) {
			checked := make(chan struct{})
			n := over(t, front.Config{}, func(_ context.Context, c *front.Conn) {
				defer close(checked)
				var cmd msnp.Command
				if err := c.Next(&cmd); err != nil {
					t.Errorf("first command: %v", err)
				}
				c.Close(front.ReasonRefused)
				wantClose(t, c.Next(&cmd), front.ReasonRefused)
			})
			c := n.client()
			c.say("USR 1 MD5 I ann@example.com\r\nPNG\r\nPNG\r\n")
			awaits(t, "the handler", checked)
			n.wantClosed(front.ReasonRefused)
		})
	}
}

// A reader takes a buffer of two kilobytes. The memory of connections that
// have sent half a command is compared with that of the same connections when
// they wait for a whole one.
func TestIdleConnectionHoldsNoBuffer(t *testing.T) {
	const clients = 300
	n := overTCP(t, front.Config{}, echo)
	var all []*client
	for range clients {
		all = append(all, n.client())
	}
	heap := func() int {
		var m runtime.MemStats
		for range 3 { // a pool is emptied by the second collection
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	// The goroutine of a connection needs a moment from its answer to its next
	// wait, so the condition is awaited.
	await := func(what string, cond func(perConn int) bool, since int) int {
		t.Helper()
		for deadline := time.Now().Add(patience); ; {
			now := heap()
			if per := (now - since) / clients; cond(per) {
				return now
			} else if time.Now().After(deadline) {
				t.Fatalf("%s: the heap changed by %d bytes a connection", what, per)
			}
		}
	}
	everybody := func(said, heard string) {
		for _, c := range all {
			c.say(said)
		}
		for _, c := range all {
			c.hears(heard)
		}
	}
	everybody("PNG\r\n", "QNG\r\n")
	idle := heap()
	everybody("PNG\r\nCHG 1 ", "QNG\r\n")
	busy := await("amid a command", func(per int) bool { return per > 1500 }, idle)
	everybody("NLN\r\n", "CHG 1 NLN\r\n")
	await("idle again", func(per int) bool { return per < -1500 }, busy)
	everybody("PNG\r\n", "QNG\r\n")
}

func TestNextAllocatesNothing(t *testing.T) {
	result := make(chan float64, 1)
	n := overTCP(t, front.Config{}, func(_ context.Context, c *front.Conn) {
		var cmd msnp.Command
		result <- testing.AllocsPerRun(200, func() {
			if err := c.Next(&cmd); err != nil {
				t.Errorf("next: %v", err)
			}
		})
	})
	c := n.client()
	c.say(strings.Repeat("PNG\r\n", 201))
	if got := awaits(t, "the count", result); got >= 1 {
		t.Errorf("allocations of Next: want 0, got %v", got)
	}
}
