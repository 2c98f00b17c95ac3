package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/msnp"
	"github.com/monarch-msn/monarch/msnp/client"
)

func dial(t *testing.T, s *server) *client.Conn {
	t.Helper()
	c, err := client.Dial(t.Context(), s.addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestConnSendsAnything(t *testing.T) {
	s := listen(`
		C: CHG 9 NLN
		C: MSG 3 N 2
		c: hiMSG 4 N 0
		C: 
		c: PNG
		S: QNG`)
	c := dial(t, s)
	if err := c.Send("CHG 9 NLN"); err != nil {
		t.Error(err)
	}
	if err := c.SendPayload("MSG 3 N", []byte("hi")); err != nil {
		t.Error(err)
	}
	if err := c.SendPayload("MSG 4 N", nil); err != nil {
		t.Error(err)
	}
	for _, b := range []byte("PNG") {
		if err := c.SendRaw([]byte{b}); err != nil {
			t.Error(err)
		}
	}
	expect(t, c.Next, "QNG")
	s.wait(t)
}

func TestMessages(t *testing.T) {
	s := listen(`
		S: NLN AWY bob@example.com Bob
		S: MSG bob@example.com Bob 7
		s: Hi\r\nAnn217 4\r\n
		S: NOT 0
		S: ADD 0 RL 5 ann@example.com Ann
		S: QNG`)
	c := dial(t, s)
	var all []client.Message
	for _, test := range []struct {
		text, verb, trid, payload string
		args                      int
		code                      msnp.Code
	}{
		{"NLN AWY bob@example.com Bob", "NLN", "", "", 3, 0},
		{"MSG bob@example.com Bob 7", "MSG", "", "Hi\r\nAnn", 3, 0},
		{"217 4", "217", "4", "", 1, msnp.CodeNotOnline},
		{"NOT 0", "NOT", "", "", 1, 0},
		{"ADD 0 RL 5 ann@example.com Ann", "ADD", "0", "", 5, 0},
		{"QNG", "QNG", "", "", 0, 0},
	} {
		m := expect(t, c.Next, test.text)
		all = append(all, m)
		code, isCode := m.Code()
		if m.Verb != test.verb || m.TrID() != test.trid || string(m.Payload) != test.payload || len(m.Args) != test.args ||
			code != test.code || isCode != (test.code != 0) || m.String() != test.text {
			t.Errorf("%s: got %+v, id %q, code %d", test.text, m, m.TrID(), code)
		}
		if len(m.Args) > 0 && strings.Join(append([]string{m.Verb}, m.Args...), " ") != m.Text {
			t.Errorf("%s: words are %q", test.text, m.Args)
		}
	}
	if m := all[0]; m.Text != "NLN AWY bob@example.com Bob" || m.Arg(2) != "Bob" || m.Arg(3) != "" || m.Arg(-1) != "" {
		t.Errorf("want a message to outlive the next, got %+v", m)
	}
	if _, ok := (client.Message{}).Code(); ok {
		t.Error("no message: want no code")
	}
	if _, err := c.Next(t.Context()); err != io.EOF {
		t.Errorf("want the end, got %v", err)
	}
	s.wait(t)
}

func TestReadIsWithoutACopy(t *testing.T) {
	s := listen("S: NLN AWY bob@example.com Bob")
	c := dial(t, s)
	var cmd msnp.Command
	if err := c.Read(t.Context(), &cmd); err != nil || cmd.Verb != "NLN" || string(cmd.Args[2]) != "Bob" {
		t.Errorf("want NLN, got %s %s, %v", cmd.Verb, cmd.Args, err)
	}
	s.wait(t)
}

func TestContextEndsAReadAndNothingIsLost(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	c := client.NewConn(ours)
	defer c.Close()
	if c.NetConn() != ours {
		t.Error("NetConn: want the connection that was given")
	}

	// Half a command is read, then the context ends.
	ctx, cancel := context.WithCancel(t.Context())
	sent := make(chan error)
	go func() {
		_, err := io.WriteString(theirs, "MSG bob@example.com Bob 4\r\nhi")
		cancel()
		sent <- err
	}()
	if _, err := c.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("want %v, got %v", context.Canceled, err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if _, err := c.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: want %v, got %v", context.Canceled, err)
	}

	// A deadline ends it again.
	soon, cancelSoon := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancelSoon()
	if _, err := c.Next(soon); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("want %v, got %v", context.DeadlineExceeded, err)
	}

	// The rest comes, and the whole is there.
	go func() {
		_, err := io.WriteString(theirs, "!!QNG\r\n")
		sent <- err
	}()
	m, err := c.Next(context.Background())
	if err != nil || string(m.Payload) != "hi!!" {
		t.Errorf("want the payload hi!!, got %+v, %v", m, err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	expect(t, c.Next, "QNG")
}

func TestCloseEndsARead(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	c := client.NewConn(ours)
	go c.Close()
	if _, err := c.Next(context.Background()); !errors.Is(err, io.ErrClosedPipe) && !errors.Is(err, os.ErrClosed) {
		t.Errorf("want a closed connection, got %v", err)
	}
	if err := c.Send("PNG"); err == nil {
		t.Error("sending on a closed connection: want an error")
	}
}

func TestDialFails(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if c, err := client.Dial(ctx, "127.0.0.1"); err == nil {
		c.Close()
		t.Error("dial with an ended context: want an error")
	}
}

// A client must cost little: a load test holds tens of thousands of them.
func TestConnNeedsNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 100 {
		ours, theirs := net.Pipe()
		c := client.NewConn(ours)
		defer c.Close()
		defer theirs.Close()
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("want no goroutine for a connection, got %d for 100", after-before)
	}
}
