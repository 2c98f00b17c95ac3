package network

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
)

// relay has a server of this machine appear at listen, an address of a host,
// until the test is over: it takes connections there and passes on what comes,
// both ways. Where the server is not there they are closed.
func relay(t testing.TB, h *Host, listen, server string) {
	t.Helper()
	var ln net.Listener
	var err error
	// A listener, and what it accepts, stays in the network of the thread that
	// opened it; what is dialled elsewhere is in that of the test.
	h.thread.do(func() { ln, err = net.Listen("tcp", listen) })
	if err != nil {
		t.Fatalf("stand in for %s on host %s: %v", server, h.Name, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return // closed, see below
			}
			running.Go(func() { pass(ctx, conn, server) })
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = ln.Close() // it ends the accepting
		running.Wait()
	})
}

// pass passes on what comes on conn and what server answers, until one of them
// hangs up or ctx is done.
func pass(ctx context.Context, conn net.Conn, server string) {
	defer conn.Close()
	there, err := new(net.Dialer).DialContext(ctx, "tcp", server)
	if err != nil {
		return
	}
	defer there.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Closed at once and twice: a copy that waits for the other side ends.
	stop := context.AfterFunc(ctx, func() {
		_ = conn.Close()
		_ = there.Close()
	})
	defer stop()
	var copying sync.WaitGroup
	for from, to := range map[net.Conn]net.Conn{conn: there, there: conn} {
		copying.Go(func() {
			defer cancel()
			_, _ = io.Copy(to, from) // whichever broke, both are closed
		})
	}
	copying.Wait()
}
