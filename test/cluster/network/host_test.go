package network

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// silence is how long nothing has to come over a cut.
const silence = 300 * time.Millisecond

// A cut between two hosts is silent: a connection that stands hangs, a new one
// is neither made nor refused, and after mending both work. Everybody else is
// reached all along.
func TestCutIsSilent(t *testing.T) {
	RequireStores(t) // where they are, this must work too
	var own string
	t.Run("hosts", func(t *testing.T) {
		l := startLAN(t)
		own = l.own
		a, b, c := l.host("a"), l.host("b"), l.host("c")
		echo(t, b)
		dial := func(from *Host) (conn net.Conn, err error) {
			from.thread.do(func() { conn, err = net.DialTimeout("tcp", b.port("7"), Patience) })
			return conn, err
		}
		stands, err := dial(a)
		if err != nil {
			t.Fatal(err)
		}
		defer stands.Close()
		say(t, stands, "before")

		for range 2 { // a cut may be made again
			if err := Cut(a, b); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := stands.Write([]byte("meanwhile")); err != nil {
			t.Errorf("write over a cut: want it to be taken, got %v", err)
		}
		if err := stands.SetReadDeadline(time.Now().Add(silence)); err != nil {
			t.Fatal(err)
		}
		if n, err := stands.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read over a cut: want nothing, got %d bytes, %v", n, err)
		}
		var conn net.Conn
		a.thread.do(func() { conn, err = net.DialTimeout("tcp", b.port("7"), silence) })
		if err == nil {
			conn.Close()
		}
		if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
			t.Errorf("connect over a cut: want it to hang, got %v", err)
		}
		for _, from := range []*thread{c.thread, launcher} {
			from.do(func() { conn, err = net.DialTimeout("tcp", b.port("7"), Patience) })
			if err != nil {
				t.Fatalf("want others to get through: %v", err)
			}
			say(t, conn, "who is not cut off")
			conn.Close()
		}

		if err := Mend(a, b); err != nil {
			t.Fatal(err)
		}
		hear(t, stands, "meanwhile")
		say(t, stands, "after")
		again, err := dial(a)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		say(t, again, "after")
		if err := Rejoin([]*Host{a, b}, []*Host{c}); err != nil {
			t.Errorf("mend what is not cut: %v", err)
		}
	})
	if _, err := net.InterfaceByName(own); err == nil {
		t.Errorf("want nothing to be left, but %s is", own)
	}
}

// echo answers at port 7 of a host with what it is told.
func echo(t *testing.T, h *Host) {
	t.Helper()
	var ln net.Listener
	var err error
	h.thread.do(func() { ln, err = net.Listen("tcp", h.port("7")) })
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return // closed
			}
			running.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn) // until the test hangs up
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		running.Wait()
	})
}

// say writes text and wants it back.
func say(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	hear(t, conn, text)
}

func hear(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(Patience)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
		t.Fatalf("want %q, got %q, %v", text, got, err)
	}
}
