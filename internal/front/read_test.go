package front_test

import (
	"context"
	"fmt"
	"io"
	"net"
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

func TestDeadlineEndsASilentConnection(t *testing.T) {
	for name, over := range transports {
		for _, said := range []string{"", "CHG 7 "} {
			t.Run(fmt.Sprintf("%s, said %q", name, said), func(t *testing.T) {
				conns := make(chan *front.Conn, 1)
				n := over(t, front.Config{}, untilClosed(conns))
				c := n.client()
				if said != "" {
					c.say(said)
				}
				awaits(t, "the connection", conns).SetDeadline(time.Now().Add(10 * time.Millisecond))
				c.hearsLast("")
				n.wantClosed(front.ReasonIdle)
			})
		}
	}
}

// A deadline that passes while a command is done is for the command to move.
func TestDeadlineThatIsMovedIsNone(t *testing.T) {
	for name, over := range transports {
		t.Run(name, func(t *testing.T) {
			n := over(t, front.Config{}, func(_ context.Context, c *front.Conn) front.Session {
				return session{do: func(_ context.Context, cmd *msnp.Command) error {
					passed := make(chan struct{})
					c.SetDeadline(time.Now().Add(time.Millisecond))
					time.AfterFunc(5*time.Millisecond, func() { close(passed) })
					<-passed
					c.SetDeadline(time.Now().Add(patience))
					c.Send(answer(cmd))
					c.SetDeadline(time.Time{})
					return nil
				}}
			})
			c := n.client()
			for _, said := range []string{"CHG 7 NLN\r\n", "CHG 8 NLN\r\n"} {
				c.say(said)
				c.hears(said)
			}
			c.Close()
			n.wantClosed(front.ReasonClient)
		})
	}
}

func TestDeadlineAfterCloseDoesNotReopen(t *testing.T) {
	n := overTCP(t, front.Config{}, func(_ context.Context, c *front.Conn) front.Session {
		c.Close(front.ReasonOperator)
		c.SetDeadline(time.Time{})
		return session{do: func(_ context.Context, cmd *msnp.Command) error {
			t.Errorf("%s reached a session that was closed", cmd.Verb)
			return nil
		}}
	})
	c := n.client()
	c.say("PNG\r\n")
	c.hearsLast("OUT\r\n")
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

func TestCloseLeavesReceivedCommandsAlone(t *testing.T) {
	for name, over := range transports {
		t.Run(name, func(t *testing.T) {
			done := make(chan string, 3)
			n := over(t, front.Config{}, func(_ context.Context, c *front.Conn) front.Session {
				return session{do: func(_ context.Context, cmd *msnp.Command) error {
					done <- cmd.Verb
					c.Close(front.ReasonRefused)
					return nil
				}}
			})
			c := n.client()
			c.say("USR 1 MD5 I ann@example.com\r\nPNG\r\nPNG\r\n")
			if verb := awaits(t, "the command", done); verb != "USR" {
				t.Errorf("first command: want USR, got %s", verb)
			}
			c.hearsLast("")
			n.wantClosed(front.ReasonRefused)
			if len(done) > 0 {
				t.Errorf("after Close: want no command, got %d", len(done))
			}
		})
	}
}

// What a client has sent before others is not all done before theirs is.
func TestFloodDoesNotKeepOthersFromTheirTurn(t *testing.T) {
	n := overTCP(t, front.Config{}, echo)
	stop, flooded := make(chan struct{}), make(chan struct{})
	for range 4 {
		c := n.client()
		go io.Copy(io.Discard, c.in)
		go func() {
			defer func() { flooded <- struct{}{} }()
			flood := []byte(strings.Repeat("PNG\r\n", 1000))
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := c.Write(flood); err != nil {
					t.Errorf("flood: %v", err)
					return
				}
			}
		}()
	}
	c := n.client()
	for range 5 {
		c.say("CHG 1 NLN\r\n")
		c.hears("CHG 1 NLN\r\n")
	}
	close(stop)
	for range 4 {
		awaits(t, "the end of a flood", flooded)
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
	// A worker needs a moment from the answer to the end of its turn, so the condition is awaited.
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

func TestCommandsAllocateNothing(t *testing.T) {
	const commands = 2000
	result := make(chan float64, 1)
	n := overTCP(t, front.Config{}, func(_ context.Context, c *front.Conn) front.Session {
		var before, after runtime.MemStats
		done := 0
		return session{do: func(context.Context, *msnp.Command) error {
			switch done++; done {
			case commands / 2: // what is kept is there by now
				runtime.ReadMemStats(&before)
			case commands:
				runtime.ReadMemStats(&after)
				result <- float64(after.Mallocs-before.Mallocs) / (commands / 2)
			}
			return nil
		}}
	})
	n.client().say(strings.Repeat("PNG\r\n", commands))
	if got := awaits(t, "the count", result); got >= 0.5 {
		t.Errorf("allocations per command: want 0, got %v", got)
	}
}
