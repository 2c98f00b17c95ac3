package main

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
)

// Told to stop at its start, the directory may not have begun to serve.
func TestADirectoryThatIsToldToStopAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := serveGRPC(ctx, grpc.NewServer(), listener); err != nil {
			t.Fatal(err)
		}
		if conn, err := net.Dial("tcp", listener.Addr().String()); err == nil {
			_ = conn.Close() // it was only tried
			t.Fatal("the listener is still open")
		}
	}
}
