package client_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// A server plays one conversation for each connection, in the order in which
// they are made, and then says what went wrong.
type server struct {
	ln   net.Listener
	done chan error
}

// listen starts a server. A line of a conversation begins with
//
//	C:  a line that the client must send
//	c:  bytes that it must send, without an end of line
//	S:  a line to send
//	s:  bytes to send, without an end of line; \r and \n are escapes
//
// and the server closes the connection when a conversation is over.
func listen(conversations ...string) *server {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	s := &server{ln: ln, done: make(chan error, 1)}
	go func() { s.done <- s.serve(conversations) }()
	return s
}

func (s *server) addr() string { return s.ln.Addr().String() }

// wait returns once all conversations are over.
func (s *server) wait(t *testing.T) {
	t.Helper()
	if err := <-s.done; err != nil {
		t.Errorf("server: %v", err)
	}
}

func (s *server) serve(conversations []string) error {
	defer s.ln.Close()
	for _, text := range conversations {
		conn, err := s.ln.Accept()
		if err != nil {
			return err
		}
		err = converse(conn, text)
		conn.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func converse(conn net.Conn, text string) error {
	for line := range strings.Lines(text) {
		line = strings.TrimLeft(strings.TrimSuffix(line, "\n"), "\t")
		if line == "" {
			continue
		}
		who, what := line[:3], line[3:]
		switch who {
		case "S: ", "s: ":
			if who == "S: " {
				what += "\r\n"
			}
			if _, err := io.WriteString(conn, strings.NewReplacer(`\r`, "\r", `\n`, "\n").Replace(what)); err != nil {
				return err
			}
		case "C: ", "c: ":
			if who == "C: " {
				what += "\r\n"
			}
			got := make([]byte, len(what))
			if n, err := io.ReadFull(conn, got); err != nil || string(got) != what {
				return fmt.Errorf("want %q, got %q, %v", what, got[:n], err)
			}
		default:
			return fmt.Errorf("conversation has a line %q", line)
		}
	}
	return nil
}
