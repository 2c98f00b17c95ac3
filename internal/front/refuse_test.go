package front_test

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/monarch-msn/monarch/internal/front"
)

// full serves one client, whose connection it returns, and refuses all others.
func full(t *testing.T, over func(*testing.T, front.Config, opener) *network, cfg front.Config) (*network, *client) {
	t.Helper()
	cfg.MaxConnections = 1
	n := over(t, cfg, echo)
	return n, served(t, n)
}

func TestRefusedClientHearsWhyInAnswerToItsFirstCommand(t *testing.T) {
	for _, tt := range []struct{ name, says, hears string }{
		{"VER", "VER 1 MSNP7 MSNP6 CVR0\r\n", "600 1\r\n"},
		{"the first command of a switchboard", "USR 12 bob@example.com 123.456\r\n", "600 12\r\n"},
		{"an answer to a call", "ANS 0 bob@example.com 123.456 78\r\n", "600 0\r\n"},
		{"more commands than one", "VER 1 MSNP7\r\nINF 2\r\nUSR 3 MD5 I bob@example.com\r\n", "600 1\r\n"},
		{"a goodbye has no transaction id", "OUT\r\n", ""},
		{"what opens no conversation", "CHG 1 NLN\r\n", ""},
		{"the transaction id is missing", "VER MSNP7\r\n", ""},
		{"no command of any server", "GET / HTTP/1.1\r\n\r\n", ""},
		{"a line without an end", strings.Repeat("x", 4000), ""},
	} {
		for name, over := range transports {
			if name == "pipe" && strings.Count(tt.says, "\n") != 1 {
				continue // what is not read keeps the writer waiting
			}
			t.Run(tt.name+" over "+name, func(t *testing.T) {
				n, inside := full(t, over, front.Config{})
				c := n.client()
				c.say(tt.says)
				got, err := io.ReadAll(c.in)
				if string(got) != tt.hears || tt.hears != "" && err != nil {
					t.Errorf("want to hear %q and the end, got %q and %v", tt.hears, got, err)
				}
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error("the connection was not closed")
				}
				inside.say("PNG\r\n")
				inside.hears("QNG\r\n")
			})
		}
	}
}

func TestRefusedClientThatSaysNothingIsClosedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _ := full(t, overPipe, front.Config{RefusalTime: 5 * time.Second})
		c := n.client()
		start := time.Now()
		if got, err := io.ReadAll(c.in); err != nil || len(got) > 0 {
			t.Errorf("want the end, got %q and %v", got, err)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("want the end after 5s, got %v", took)
		}
		n.stop()
	})
}

// However many come, only so many are being told; the others are closed at once
// and the listener goes on.
func TestRefusalsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const told, flood = 3, 50
		n, inside := full(t, overPipe, front.Config{Refusals: told, RefusalTime: 5 * time.Second})
		start := time.Now()
		var waiting []*client
		for range told {
			waiting = append(waiting, n.client())
		}
		for range flood {
			if got, err := io.ReadAll(n.client().in); err != nil || len(got) > 0 {
				t.Fatalf("want the end at once, got %q and %v", got, err)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("the flood was refused in %v, want at once", took)
		}
		waiting[0].say("VER 1 MSNP7\r\n")
		waiting[0].hearsLast("600 1\r\n")
		synctest.Wait()
		again := n.client()
		again.say("VER 2 MSNP7\r\n")
		again.hearsLast("600 2\r\n")
		if got := n.sums("monarch_connections_refused_total", "limit")["full"]; got != told+flood+1 {
			t.Errorf("refused: want %d, got %d", told+flood+1, got)
		}
		if got := strings.Count(n.log.String(), "connections are refused"); got != 1 {
			t.Errorf("the log tells of a flood %d times, want once", got)
		}
		inside.say("PNG\r\n")
		inside.hears("QNG\r\n")
		n.stop()
	})
}

func TestServeDoesNotEndBeforeRefusedConnections(t *testing.T) {
	n, inside := full(t, overTCP, front.Config{RefusalTime: time.Hour})
	c := n.client()
	eventually(t, "the refusal", func() bool {
		return n.sums("monarch_connections_refused_total", "limit")["full"] == 1
	})
	go func() {
		io.Copy(io.Discard, inside.in)
		inside.Close()
	}()
	n.stop() // would wait for the hour
	if got, err := io.ReadAll(c.in); len(got) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("want a closed connection, got %q and %v", got, err)
	}
}
