package front_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
)

// untilClosed hands each connection to the test, and ignores the client.
func untilClosed(conns chan<- *front.Conn) opener {
	return func(_ context.Context, c *front.Conn) front.Session {
		conns <- c
		return session{}
	}
}

func TestSendKeepsTheOrderOfEachSender(t *testing.T) {
	const senders, lines = 8, 500
	for name, over := range transports {
		t.Run(name, func(t *testing.T) {
			conns := make(chan *front.Conn, 1)
			client := over(t, front.Config{}, untilClosed(conns)).client()
			c := awaits(t, "the connection", conns)
			var all sync.WaitGroup
			for s := range senders {
				all.Go(func() {
					var b []byte
					for i := range lines {
						// The buffer is used again at once: Send has copied it.
						b = fmt.Appendf(b[:0], "%d %d\r\n", s, i)
						c.Send(b)
					}
				})
			}
			next := make([]int, senders)
			for range senders * lines {
				line, err := client.in.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				var s, i int
				if _, err := fmt.Sscanf(line, "%d %d\r\n", &s, &i); err != nil {
					t.Fatalf("torn line %q: %v", line, err)
				}
				if next[s] != i {
					t.Fatalf("sender %d: want line %d, got %d", s, next[s], i)
				}
				next[s]++
			}
			all.Wait()
		})
	}
}

func TestClientThatNeverReadsIsSlow(t *testing.T) {
	for name, over := range transports {
		t.Run(name, func(t *testing.T) {
			conns := make(chan *front.Conn, 1)
			n := over(t, front.Config{OutboxBytes: 64 << 10}, untilClosed(conns))
			n.client()
			c := awaits(t, "the connection", conns)
			line := filler(1000)
			most := int64(0)
			for i := 0; c.Reason() == ""; i++ {
				c.Send(line)
				if i%100 == 0 {
					most = max(most, n.sums("monarch_outbox_bytes", "role")["notification"])
				}
			}
			if got := c.Reason(); got != front.ReasonSlow {
				t.Errorf("reason: want %q, got %q", front.ReasonSlow, got)
			}
			if most > 64<<10 {
				t.Errorf("bytes in the outbox: want at most %d, got %d", 64<<10, most)
			}
			if got := n.sums("monarch_outbox_bytes", "role")["notification"]; got != 0 {
				t.Errorf("bytes in the outbox of a slow connection that was cut: want 0, got %d", got)
			}
			n.wantClosed(front.ReasonSlow)
		})
	}
}

func TestOneSendBeyondTheBoundIsSlow(t *testing.T) {
	conns := make(chan *front.Conn, 1)
	n := overTCP(t, front.Config{OutboxBytes: 4 << 10}, untilClosed(conns))
	client := n.client()
	awaits(t, "the connection", conns).Send(filler(4<<10 + 1))
	n.wantClosed(front.ReasonSlow)
	if _, err := io.Copy(io.Discard, client.in); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("what a client hears that was cut: want a reset, got %v", err)
	}
}

// The lists of SYN as the default limits allow them, in one piece.
func TestLongestAnswerReachesAHealthyClient(t *testing.T) {
	var syn bytes.Buffer
	name, email := strings.Repeat("%D0%96", 387/6), strings.Repeat("a", 129)
	for i := range 150 + 600 + 600 + 5000 {
		fmt.Fprintf(&syn, "LST 8 RL 9 %d 5000 %s %s\r\n", i, email, name)
	}
	conns := make(chan *front.Conn, 1)
	client := overTCP(t, front.Config{}, untilClosed(conns)).client()
	awaits(t, "the connection", conns).Send(syn.Bytes())
	client.hears(syn.String())
}

// What a full socket does not take is written by somebody else, and in order.
func TestOrderOutlivesAFullSocket(t *testing.T) {
	conns := make(chan *front.Conn, 1)
	n := overTCP(t, front.Config{OutboxBytes: 32 << 20}, untilClosed(conns))
	client := n.client()
	c := awaits(t, "the connection", conns)
	rest := strings.Repeat("x", 1000)
	var sent, full int
	for ; full < 100; sent++ {
		c.Send(fmt.Appendf(nil, "%d %s\r\n", sent, rest))
		if c.Unsent() > 1<<20 {
			full++
		}
	}
	c.Close(front.ReasonOperator)
	for i := range sent {
		client.hears(fmt.Sprintf("%d %s\r\n", i, rest))
	}
	client.hearsLast("OUT\r\n")
	n.wantClosed(front.ReasonOperator)
}

func TestClientThatStopsReadingIsSlowAfterTheWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conns := make(chan *front.Conn, 1)
		n := overPipe(t, front.Config{WriteTimeout: 30 * time.Second}, untilClosed(conns))
		n.client()
		c := <-conns
		c.Send(filler(100))
		time.Sleep(29 * time.Second)
		synctest.Wait()
		if got := c.Reason(); got != "" {
			t.Errorf("reason before the timeout: want none, got %q", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := c.Reason(); got != front.ReasonSlow {
			t.Errorf("reason after the timeout: want %q, got %q", front.ReasonSlow, got)
		}
		n.stop()
	})
}

// Six hundred kilobytes at 14.4 kbit/s take six minutes.
func TestModemIsNotSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conns := make(chan *front.Conn, 1)
		n := overPipe(t, front.Config{}, untilClosed(conns))
		client := n.client()
		client.SetDeadline(time.Time{})
		c := <-conns
		const size = 600 << 10
		c.Send(filler(size))
		b := make([]byte, 1800)
		for got := 0; got < size; {
			time.Sleep(time.Second)
			m, err := client.Read(b)
			if err != nil {
				t.Fatalf("after %d bytes: %v (reason %q)", got, err, c.Reason())
			}
			got += m
		}
		n.stop()
	})
}

func TestLastLines(t *testing.T) {
	for reason, want := range map[front.Reason]string{
		front.ReasonClient:    "",
		front.ReasonProtocol:  "",
		front.ReasonIdle:      "",
		front.ReasonDisplaced: "OUT OTH\r\n",
		front.ReasonOperator:  "OUT\r\n",
		front.ReasonShutdown:  "OUT SSD\r\n",
		front.ReasonRefused:   "",
		front.ReasonInternal:  "",
	} {
		for _, silent := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, silent %t", reason, silent), func(t *testing.T) {
				want := want
				if silent {
					want = ""
				}
				conns := make(chan *front.Conn, 1)
				n := overTCP(t, front.Config{Silent: silent}, untilClosed(conns))
				client := n.client()
				c := awaits(t, "the connection", conns)
				c.Send([]byte("NLN AWY bob@example.com Bob\r\n"))
				c.Close(reason)
				client.hearsLast("NLN AWY bob@example.com Bob\r\n" + want)
				n.wantClosed(reason)
			})
		}
	}
}

// A socket that is closed with unread input resets the connection, and the
// client loses what it has not read yet.
func TestLastLineSurvivesInputThatNobodyReads(t *testing.T) {
	for range 20 {
		conns := make(chan *front.Conn, 1)
		n := overTCP(t, front.Config{}, untilClosed(conns))
		client := n.client()
		c := awaits(t, "the connection", conns)
		client.say(strings.Repeat("PNG\r\n", 5000))
		c.Send(filler(100 << 10))
		c.Close(front.ReasonDisplaced)
		client.say(strings.Repeat("PNG\r\n", 5000))
		client.hearsLast(string(filler(100<<10)) + "OUT OTH\r\n")
		client.Close()
		n.stop()
	}
}

// The client hears the end at once, although a command is still being done, or
// the session takes its time to leave.
func TestEndDoesNotWaitForTheSession(t *testing.T) {
	release := make(chan struct{})
	n := overTCP(t, front.Config{}, func(_ context.Context, c *front.Conn) front.Session {
		return session{
			do: func(_ context.Context, cmd *msnp.Command) error {
				c.Close(front.ReasonOperator)
				<-release
				return nil
			},
			leave: func() { <-release },
		}
	})
	doing, leaving := n.client(), n.client()
	doing.say("PNG\r\n")
	doing.hearsLast("OUT\r\n")
	eventually(t, "both are there", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return len(n.conns) == 2
	})
	for _, c := range n.conns {
		c.Close(front.ReasonOperator)
	}
	leaving.hearsLast("OUT\r\n")
	close(release)
}

func TestFirstReasonWins(t *testing.T) {
	conns := make(chan *front.Conn, 1)
	n := overTCP(t, front.Config{}, untilClosed(conns))
	client := n.client()
	c := awaits(t, "the connection", conns)
	c.Close(front.ReasonDisplaced)
	c.Close(front.ReasonShutdown)
	c.Close(front.ReasonSlow)
	c.Send([]byte("FLN bob@example.com\r\n"))
	if got := c.Reason(); got != front.ReasonDisplaced {
		t.Errorf("reason: want %q, got %q", front.ReasonDisplaced, got)
	}
	client.hearsLast("OUT OTH\r\n")
	n.wantClosed(front.ReasonDisplaced)
}

func TestContextOfTheSessionEndsWithTheReason(t *testing.T) {
	causes := make(chan error, 1)
	n := overTCP(t, front.Config{}, func(ctx context.Context, c *front.Conn) front.Session {
		c.Close(front.ReasonOperator)
		if ctx.Err() == nil {
			t.Error("the context of the session goes on after Close")
		}
		causes <- context.Cause(ctx)
		return session{}
	})
	n.client()
	wantClose(t, awaits(t, "the cause", causes), front.ReasonOperator)
}

// What is pending when a connection is closed may take FlushTimeout, not more.
func TestCloseGivesUpOnAClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conns := make(chan *front.Conn, 1)
		n := overPipe(t, front.Config{FlushTimeout: 5 * time.Second}, untilClosed(conns))
		n.client()
		(<-conns).Send(filler(100))
		n.stop() // would report a deadlock
		if got := n.closes(); got[front.ReasonShutdown] != 1 {
			t.Errorf("connections that ended: want one for %q, got %v", front.ReasonShutdown, got)
		}
	})
}

// Nor does a client gain time by taking a little now and then.
func TestFlushIsBoundedAsAWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conns := make(chan *front.Conn, 1)
		n := overPipe(t, front.Config{FlushTimeout: 5 * time.Second}, untilClosed(conns))
		client := n.client()
		c := <-conns
		c.Send(filler(1 << 20))
		c.Close(front.ReasonOperator)
		start, got := time.Now(), 0
		for b := make([]byte, 10<<10); ; time.Sleep(time.Second / 2) {
			m, err := client.Read(b)
			if got += m; err != nil {
				break
			}
		}
		if took := time.Since(start); took < 4*time.Second || took > 6*time.Second {
			t.Errorf("end of the flush: want it after 5s, got %v with %d bytes", took, got)
		}
		n.stop()
	})
}

// A client that does not close its side is waited for, and then closed.
func TestClientThatStaysAfterTheEndIsLeft(t *testing.T) {
	conns := make(chan *front.Conn, 1)
	n := overTCP(t, front.Config{}, untilClosed(conns))
	client := n.client()
	awaits(t, "the connection", conns).Close(front.ReasonOperator)
	if got, err := io.ReadAll(client.in); err != nil || string(got) != "OUT\r\n" {
		t.Errorf("want to hear OUT and the end, got %q and %v", got, err)
	}
	n.wantClosed(front.ReasonOperator)
}

func TestClientThatFloodsAfterTheEndIsLeft(t *testing.T) {
	conns := make(chan *front.Conn, 1)
	n := overTCP(t, front.Config{}, untilClosed(conns))
	n.srv.SetLinger(time.Hour)
	client := n.client()
	awaits(t, "the connection", conns).Close(front.ReasonOperator)
	flooded := make(chan struct{})
	go func() {
		defer close(flooded)
		for {
			if _, err := client.Write(filler(64 << 10)); err != nil {
				return
			}
		}
	}()
	awaits(t, "the reset", flooded)
	n.wantClosed(front.ReasonOperator)
}

func TestClientThatIsGoneIsNoticedByTheWriter(t *testing.T) {
	conns := make(chan *front.Conn, 1)
	n := overPipe(t, front.Config{}, untilClosed(conns))
	client := n.client()
	c := awaits(t, "the connection", conns)
	c.Send(filler(100))
	if _, err := client.Conn.Read(make([]byte, 3)); err != nil { // the rest stays unread
		t.Fatal(err)
	}
	client.Close()
	n.wantClosed(front.ReasonClient)
}

func TestClientThatResetsIsGone(t *testing.T) {
	conns := make(chan *front.Conn, 1)
	n := overTCP(t, front.Config{}, func(ctx context.Context, c *front.Conn) front.Session {
		conns <- c
		return echo(ctx, c)
	})
	client := n.client()
	awaits(t, "the connection", conns).Send(filler(100))
	client.hears("xxx")
	client.Close() // with unread input, which resets
	n.wantClosed(front.ReasonClient)
}

// Run with the race detector.
func TestSendAndCloseFromEverywhere(t *testing.T) {
	for name, over := range transports {
		t.Run(name, func(t *testing.T) {
			n := over(t, front.Config{OutboxBytes: 8 << 10}, func(_ context.Context, c *front.Conn) front.Session {
				var others sync.WaitGroup
				for i := range 6 {
					others.Go(func() {
						for range 50 {
							c.Send(filler(10 + i))
							c.SetDeadline(time.Now().Add(time.Minute))
						}
						if i > 2 {
							c.Close([]front.Reason{front.ReasonDisplaced, front.ReasonSlow, front.ReasonOperator}[i-3])
						}
					})
				}
				return session{leave: others.Wait}
			})
			for range 50 {
				c, err := n.dial()
				if err != nil {
					continue // slow, and cut before the dial returned
				}
				go io.WriteString(c, "PNG\r\nPNG\r\n")
				io.Copy(io.Discard, c)
				c.Close()
			}
			n.stop()
			total := int64(0)
			for _, v := range n.closes() {
				total += v
			}
			if want := int64(len(n.conns)); total != want {
				t.Errorf("connections that ended: want %d, got %v", want, n.closes())
			}
		})
	}
}
