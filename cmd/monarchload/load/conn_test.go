package load

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// pair returns both ends of a connection by TCP.
func pair(t *testing.T) (here *conn, there net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	there, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close(); there.Close() })
	return newConn(newRun(Config{}), nc), there
}

func TestCommandsAreReadHoweverTheyComeIn(t *testing.T) {
	const stream = "VER 1 MSNP7\r\nMSG Hotmail Hotmail 9\r\nNLN \r\nABCFLN ann@example.com\r\nMSG a@b.c A 0\r\nQNG\r\n"
	want := []string{"VER 1 MSNP7|", "MSG Hotmail Hotmail 9|NLN \r\nABC", "FLN ann@example.com|", "MSG a@b.c A 0|", "QNG|"}
	for size := 1; size <= len(stream); size++ {
		here, there := pair(t)
		if size%2 == 0 {
			here.raw = nil // as on systems without a way around net
		}
		go func() {
			for rest := stream; rest != ""; {
				n := min(size, len(rest))
				if _, err := there.Write([]byte(rest[:n])); err != nil {
					return
				}
				rest = rest[n:]
			}
			there.Close()
		}()
		for _, w := range want {
			line, payload, err := here.next()
			if got := fmt.Sprintf("%s|%s", line, payload); got != w || err != nil {
				t.Fatalf("in pieces of %d: want %q, got %q, %v", size, w, got, err)
			}
		}
		if _, _, err := here.next(); !errors.Is(err, io.EOF) {
			t.Errorf("in pieces of %d: want EOF, got %v", size, err)
		}
		here.close()
	}
}

func TestABlockIsHeldForPartsOnly(t *testing.T) {
	here, there := pair(t)
	fmt.Fprint(there, "QNG\r\n")
	if _, _, err := here.next(); err != nil {
		t.Fatal(err)
	}
	there.Close()
	if _, _, err := here.next(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	here.drop()
	if here.block != nil {
		t.Error("a connection that has ended holds a block")
	}
}

func TestWhatNoServerSendsEndsTheConnection(t *testing.T) {
	for _, tt := range []struct {
		sent string
		want error
	}{
		{"QNG\n", errMalformed},
		{"NLN " + strings.Repeat("x", len(block{})), errTooLong},
		{"MSG a@b.c A 99999\r\n" + strings.Repeat("x", len(block{})), errTooLong},
		{"MSG a@b.c A -1\r\n" + strings.Repeat("x", len(block{})), errTooLong},
	} {
		here, there := pair(t)
		go func() { _, _ = io.WriteString(there, tt.sent) }()
		if _, _, err := here.next(); !errors.Is(err, tt.want) {
			t.Errorf("%.20q: want %v, got %v", tt.sent, tt.want, err)
		}
	}
}
