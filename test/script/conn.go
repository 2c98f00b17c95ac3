package script

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	// maxLine bounds what is kept of a server that never ends a line.
	maxLine = 1 << 16
	// recentLines is how much of a connection a failure shows.
	recentLines = 12
)

// A message is one line from a server, without its CRLF, and its payload.
type message struct {
	line    string
	payload []byte
	loaded  bool // has a payload, perhaps of no bytes
}

// A conn is one connection of the play. Only the play's goroutine uses it; a
// goroutine of its own takes in what the server sends.
type conn struct {
	name string
	play *play

	socket net.Conn
	in     *intake

	held          []byte // written with the next send
	bytewise      bool
	authenticated bool   // USR OK has come
	referral      string // address in the last XFR
	chat          *room  // that it entered by a directive
	account       string // that it entered for
	ended         bool   // dropped by us or seen closed by the server
	recent        []string
}

// An intake is what a server has sent on one socket and nobody has read.
type intake struct {
	mu   sync.Mutex
	buf  []byte
	err  error         // why nothing more comes
	more chan struct{} // holds a token when something was added
}

// newIntake reads from the socket until it ends; the goroutine is waited for by
// wg, and ends when the socket is closed.
func newIntake(socket net.Conn, wg *sync.WaitGroup) *intake {
	in := &intake{more: make(chan struct{}, 1)}
	wg.Go(func() {
		chunk := make([]byte, 4096)
		for {
			n, err := socket.Read(chunk)
			in.mu.Lock()
			in.buf = append(in.buf, chunk[:n]...)
			in.err = err
			in.mu.Unlock()
			select {
			case in.more <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	})
	return in
}

// next takes the next message. It waits until ctx ends; io.EOF says that the
// server closed the connection between two messages.
func (in *intake) next(ctx context.Context) (message, error) {
	for {
		in.mu.Lock()
		m, n, err := cut(in.buf)
		if n > 0 {
			in.buf = in.buf[n:]
		} else if err == nil {
			err = in.ended()
		}
		in.mu.Unlock()
		if n > 0 || err != nil {
			return m, err
		}
		select {
		case <-in.more:
		case <-ctx.Done():
			return message{}, context.Cause(ctx)
		}
	}
}

// unread is what has come and was not taken, without waiting.
func (in *intake) unread() []byte {
	in.mu.Lock()
	defer in.mu.Unlock()
	return bytes.Clone(in.buf)
}

// ended tells what to make of a socket that gives nothing more. A reset counts
// as closed: it only says that the server had not read everything.
func (in *intake) ended() error {
	if in.err == nil {
		return nil
	}
	if len(in.buf) > 0 {
		return fmt.Errorf("connection ended amid %q", in.buf)
	}
	var timeout net.Error
	if errors.As(in.err, &timeout) && timeout.Timeout() {
		return in.err
	}
	return io.EOF
}

// cut takes the first message off buf and says how many bytes it has; 0 when it
// is not complete. The error names what no server may send.
func cut(buf []byte) (message, int, error) {
	end := bytes.IndexByte(buf, '\n')
	if end < 0 {
		if len(buf) > maxLine {
			return message{}, 0, fmt.Errorf("line of more than %d bytes that begins with %q", maxLine, buf[:80])
		}
		return message{}, 0, nil
	}
	line := buf[:end]
	if err := wellFormed(line); err != nil {
		return message{}, 0, fmt.Errorf("%w: %q", err, buf[:end+1])
	}
	line = line[:end-1]
	m := message{line: string(line)}
	size := end + 1
	words := bytes.Split(line, []byte(" "))
	switch string(words[0]) {
	case "MSG", "NOT", "IPG": // the commands of a server that carry a payload
		n, err := strconv.ParseUint(string(words[len(words)-1]), 10, 16)
		if err != nil {
			return message{}, 0, fmt.Errorf("payload length in %q: %w", line, err)
		}
		size += int(n)
		if len(buf) < size {
			return message{}, 0, nil
		}
		m.payload, m.loaded = bytes.Clone(buf[end+1:size]), true
	}
	return m, size, nil
}

// wellFormed checks a line that still has its CR.
func wellFormed(line []byte) error {
	text, ok := bytes.CutSuffix(line, []byte("\r"))
	switch {
	case !ok:
		return errors.New("line does not end in CRLF")
	case len(text) == 0:
		return errors.New("empty line")
	case bytes.HasPrefix(text, []byte(" ")), bytes.HasSuffix(text, []byte(" ")), bytes.Contains(text, []byte("  ")):
		return errors.New("empty word in line")
	}
	for _, c := range text {
		if c < ' ' || c > '~' {
			return errors.New("byte in line that must be escaped")
		}
	}
	return nil
}

// dial opens the connection's socket anew.
func (c *conn) dial(ctx context.Context, address string) error {
	if c.socket != nil {
		c.socket.Close()
	}
	var d net.Dialer
	socket, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	c.socket, c.in = socket, newIntake(socket, &c.play.reading)
	c.held, c.authenticated, c.ended, c.referral = nil, false, false, ""
	c.chat, c.account = nil, ""
	c.note("-- connected to " + address)
	return nil
}

// send writes the bytes as the wire gets them, behind those held back. A server
// that has closed does not fail it: what the script expects next decides.
func (c *conn) send(b []byte, hold bool) error {
	c.note("> " + shown(c.play.alias.in(b)))
	c.held = append(c.held, b...)
	if hold {
		return nil
	}
	b, c.held = c.held, nil
	if err := c.socket.SetWriteDeadline(time.Now().Add(c.play.timeout)); err != nil {
		return err
	}
	size := len(b)
	if c.bytewise {
		size = 1
	}
	for part := range slices.Chunk(b, max(size, 1)) {
		if _, err := c.socket.Write(part); errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		} else if err != nil {
			c.note("-- not all was written")
			return nil
		}
	}
	return nil
}

// receive waits for the next message and gives it the script's addresses; a
// payload length is that of the payload as the script has it.
func (c *conn) receive(ctx context.Context) (message, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.play.timeout, fmt.Errorf("nothing within %v", c.play.timeout))
	defer cancel()
	m, err := c.in.next(ctx)
	if err != nil {
		if errors.Is(err, io.EOF) {
			c.ended = true
			c.note("-- closed by the server")
		}
		return m, err
	}
	m.line = string(c.play.alias.in([]byte(m.line)))
	if m.loaded {
		m.payload = c.play.alias.in(m.payload)
		words := m.line[:lastSpace(m.line)+1]
		m.line = words + strconv.Itoa(len(m.payload))
	}
	c.note("< " + m.String())
	c.watch(m.line)
	return m, nil
}

// note keeps the line for the report of a failure.
func (c *conn) note(line string) {
	if len(c.recent) == recentLines {
		c.recent = append(c.recent[:0], c.recent[1:]...)
	}
	c.recent = append(c.recent, line)
}

// close ends the connection from this side.
func (c *conn) close() {
	if c.socket != nil {
		c.socket.Close()
	}
	c.ended = true
}
