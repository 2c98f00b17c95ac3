package front_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"runtime"
	"testing"

	"go.opentelemetry.io/otel/metric/noop"

	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
)

// benchServer serves until the benchmark ends, and returns where.
func benchServer(b *testing.B, open opener) (addr string) {
	b.Helper()
	s, err := front.NewServer(front.Config{}, slog.New(slog.DiscardHandler), noop.Meter{}, "bench")
	if err != nil {
		b.Fatal(err)
	}
	ln, err := front.Listen(b.Context(), "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- s.Serve(ctx, ln, open) }()
	b.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			b.Error(err)
		}
	})
	return ln.Addr().String()
}

func benchDial(b *testing.B, addr string) net.Conn {
	b.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { nc.Close() })
	return nc
}

var presence = []byte("NLN AWY bob@example.com Bob%20Builder\r\n")

// BenchmarkSend queues lines for a peer that reads as fast as it can. The stub
// makes one system call for each line.
func BenchmarkSend(b *testing.B) {
	b.Run("front", func(b *testing.B) {
		conns := make(chan *front.Conn, 1)
		nc := benchDial(b, benchServer(b, untilClosed(conns)))
		c := <-conns
		const window = 1 << 19 // stay below what counts as slow
		b.ReportAllocs()
		b.SetBytes(int64(len(presence)))
		in, sent := make([]byte, 64<<10), 0
		for b.Loop() {
			c.Send(presence)
			if sent += len(presence); sent >= window {
				drain(b, nc, in, sent)
				sent = 0
			}
		}
		drain(b, nc, in, sent)
	})
	b.Run("stub", func(b *testing.B) {
		conns := make(chan net.Conn, 1)
		nc := benchDial(b, stubServer(b, func(c net.Conn) { conns <- c }))
		c := <-conns
		const window = 1 << 19
		b.ReportAllocs()
		b.SetBytes(int64(len(presence)))
		in, sent := make([]byte, 64<<10), 0
		for b.Loop() {
			if _, err := c.Write(presence); err != nil {
				b.Fatal(err)
			}
			if sent += len(presence); sent >= window {
				drain(b, nc, in, sent)
				sent = 0
			}
		}
		drain(b, nc, in, sent)
	})
}

func drain(b *testing.B, r io.Reader, buf []byte, n int) {
	for n > 0 {
		m, err := r.Read(buf)
		if err != nil {
			b.Fatal(err)
		}
		n -= m
	}
}

// stubServer is the least that a server on TCP can do.
func stubServer(b *testing.B, handle func(net.Conn)) (addr string) {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		b.Cleanup(func() { nc.Close() })
		handle(nc)
	}()
	b.Cleanup(func() {
		ln.Close()
		<-done
	})
	return ln.Addr().String()
}

// BenchmarkRoundTrip is a command and its answer. The stub has a buffer and a
// goroutine to itself.
func BenchmarkRoundTrip(b *testing.B) {
	run := func(b *testing.B, nc net.Conn) {
		b.ReportAllocs()
		ping, in := []byte("PNG\r\n"), make([]byte, 5)
		for b.Loop() {
			if _, err := nc.Write(ping); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(nc, in); err != nil {
				b.Fatal(err)
			}
		}
		nc.Close()
	}
	pong := []byte("QNG\r\n")
	b.Run("front", func(b *testing.B) {
		run(b, benchDial(b, benchServer(b, func(_ context.Context, c *front.Conn) front.Session {
			return session{do: func(context.Context, *msnp.Command) error {
				c.Send(pong)
				return nil
			}}
		})))
	})
	b.Run("stub", func(b *testing.B) {
		run(b, benchDial(b, stubServer(b, func(nc net.Conn) {
			in := bufio.NewReader(nc)
			for {
				if _, err := in.ReadSlice('\n'); err != nil {
					return
				}
				if _, err := nc.Write(pong); err != nil {
					return
				}
			}
		})))
	})
}

// BenchmarkIdle reports the memory of one connection that has been served and
// is silent, that of the client's end in the same process included.
func BenchmarkIdle(b *testing.B) {
	const clients = 2000
	addr := benchServer(b, echo)
	memory := func() (heap, stack float64) {
		var m runtime.MemStats
		for range 3 {
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc), float64(m.StackInuse)
	}
	for b.Loop() {
		heap, stack := memory()
		conns := make([]net.Conn, clients)
		in := make([]byte, 5)
		for i := range conns {
			nc, err := net.Dial("tcp", addr)
			if err != nil {
				b.Fatal(err)
			}
			conns[i] = nc
			io.WriteString(nc, "PNG\r\n")
			io.ReadFull(nc, in)
		}
		heapNow, stackNow := memory()
		b.ReportMetric((heapNow-heap)/clients, "heap-B/conn")
		b.ReportMetric((stackNow-stack)/clients, "stack-B/conn")
		for _, nc := range conns {
			nc.Close()
		}
	}
}
