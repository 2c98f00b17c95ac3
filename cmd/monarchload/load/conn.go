package load

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// block is what a connection reads into. It has room for any command that
// servers send: payloads have at most 1664 bytes, lines less than 8192.
type block [16 << 10]byte

var blocks = sync.Pool{New: func() any { return new(block) }}

// What ends a connection besides what the system says.
var (
	errTooLong   = errors.New("a command longer than any that servers send")
	errMalformed = errors.New("a line that does not end in CRLF")
)

// conn is a connection to a server. Where the system allows it, a block is
// held only while bytes of a command are at hand, so that one on which nothing
// comes costs little more than its goroutine.
type conn struct {
	run *run
	nc  net.Conn
	raw syscall.RawConn // nil where a block is always held

	block            *block // nil while nothing is held
	start, used, end int    // the command at hand, its size, the end of what was read
	at               int64  // when bytes were read last
	try              func(fd uintptr) bool
	err              error // of try
}

func newConn(r *run, nc net.Conn) *conn {
	c := &conn{run: r, nc: nc, raw: rawConn(nc)}
	c.try = c.attempt
	return c
}

// next returns the next command: its line without CRLF, and its payload. Both
// are valid until the next call.
func (c *conn) next() (line, payload []byte, err error) {
	c.start += c.used
	c.used = 0
	for {
		if c.block != nil {
			held := c.block[c.start:c.end]
			if i := bytes.IndexByte(held, '\n'); i >= 0 {
				if i == 0 || held[i-1] != '\r' {
					return nil, nil, errMalformed
				}
				line = held[:i-1]
				size := payloadSize(line)
				if i+1+size <= len(held) {
					c.used = i + 1 + size
					return line, held[i+1 : c.used], nil
				}
			}
		}
		if err := c.fill(); err != nil {
			return nil, nil, err
		}
	}
}

// payloadSize is how many bytes follow a line.
func payloadSize(line []byte) int {
	if len(line) < 4 || line[3] != ' ' {
		return 0
	}
	switch string(line[:3]) {
	case "MSG", "NOT", "IPG":
		n, err := strconv.Atoi(string(line[bytes.LastIndexByte(line, ' ')+1:]))
		if err != nil || n < 0 || n > len(block{}) {
			return len(block{}) // More than can be held ends the connection.
		}
		return n
	}
	return 0
}

// fill reads something.
func (c *conn) fill() error {
	switch {
	case c.start == c.end:
		c.drop()
	case c.end == len(c.block) && c.start == 0:
		return errTooLong
	case c.end == len(c.block):
		c.end = copy(c.block[:], c.block[c.start:c.end])
		c.start = 0
	}
	if c.raw == nil {
		c.take()
		n, err := c.nc.Read(c.block[c.end:])
		c.end += n
		c.at = c.run.now()
		if n > 0 {
			return nil
		}
		return err
	}
	if err := c.raw.Read(c.try); err != nil {
		return err
	}
	return c.err
}

// attempt reads from the descriptor; false asks to be called again when there
// is something to read.
func (c *conn) attempt(fd uintptr) bool {
	c.take()
	n, err := readFD(fd, c.block[c.end:])
	switch {
	case again(err):
		if c.end == 0 {
			c.drop()
		}
		return false
	case err == nil && n == 0:
		err = io.EOF
	}
	c.end += max(n, 0)
	c.at = c.run.now()
	c.err = err
	return true
}

func (c *conn) take() {
	if c.block == nil {
		c.block = blocks.Get().(*block)
	}
}

func (c *conn) drop() {
	c.start, c.end = 0, 0
	if c.block != nil {
		blocks.Put(c.block)
		c.block = nil
	}
}

// close ends the connection. Its reader gives back what it holds.
func (c *conn) close() { c.nc.Close() }

// fields are the first words of a line. Lines of more than these words exist,
// but none of which more matters.
type fields [8][]byte

// unexpected is the error of a line that no server sends there.
func (f fields) unexpected() error {
	return errUnexpected(bytes.TrimRight(bytes.Join(f[:], []byte(" ")), " "))
}

func split(line []byte) (f fields) {
	for i := range f {
		end := bytes.IndexByte(line, ' ')
		if end < 0 {
			f[i] = line
			break
		}
		f[i], line = line[:end], line[end+1:]
	}
	return f
}
