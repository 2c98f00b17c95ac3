package rpc_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/monarch-msn/monarch/internal/rpc"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// nameServer answers every question for addresses with the one that it has now.
type nameServer struct {
	net.PacketConn
	now atomic.Pointer[netip.Addr]
}

func serveNames(t *testing.T) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{PacketConn: conn}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for packet := make([]byte, 512); ; {
			n, from, err := conn.ReadFrom(packet)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			answer, err := s.answer(packet[:n])
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := conn.WriteTo(answer, from); err != nil && !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return s
}

func (s *nameServer) answer(packet []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(packet); err != nil {
		return nil, err
	}
	m.Response, m.Authoritative, m.Additionals = true, true, nil
	if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 30},
			Body:   &dnsmessage.AResource{A: s.now.Load().As4()},
		}}
	}
	return m.Pack()
}

// All servers of a name are replaced at once, by one at another address. It is
// found well before gRPC would ask for addresses by itself, half a minute after
// it did first.
func TestServersThatAreAllReplacedAreFound(t *testing.T) {
	t.Parallel()
	names := serveNames(t)
	first, second := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
	ln := listen(t)
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	names.now.Store(&first)
	stop := serve(t, ln, rpc.ServerOptions{}, new(directory).register)
	target := "dns://" + names.LocalAddr().String() + "/directory.test.:" + port
	client := directoryv1.NewDirectoryClient(dial(t, target, rpc.DialOptions{}))
	ctx, cancel := context.WithTimeout(t.Context(), patience/2)
	defer cancel()
	if _, err := client.Login(ctx, &directoryv1.LoginRequest{}); err != nil {
		t.Fatal(err)
	}

	if ln, err = net.Listen("tcp", net.JoinHostPort(second.String(), port)); err != nil {
		t.Fatal(err)
	}
	serve(t, ln, rpc.ServerOptions{}, new(directory).register)
	stop()
	// The answer of DNS is a little old when the servers are lost.
	time.Sleep(100 * time.Millisecond)
	names.now.Store(&second)
	for {
		_, err := client.Login(ctx, &directoryv1.LoginRequest{})
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("the new server is not found: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
