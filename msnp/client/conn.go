package client

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/monarch-msn/monarch/msnp"
)

// WriteTimeout bounds each sending: a server that takes nothing for so long
// is gone.
const WriteTimeout = 10 * time.Second

// A Conn is a connection to a server of any kind.
type Conn struct {
	nc     net.Conn
	reader *msnp.Reader
	cmd    msnp.Command
	expire bool // a read deadline in the past is set

	sending sync.Mutex
	out     []byte
}

// Dial connects to addr, host:port. Without a port it is 1863.
func Dial(ctx context.Context, addr string) (*Conn, error) {
	return dial(ctx, new(net.Dialer).DialContext, addr)
}

func dial(ctx context.Context, by func(ctx context.Context, network, addr string) (net.Conn, error), addr string) (*Conn, error) {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		addr = net.JoinHostPort(addr, "1863")
	}
	nc, err := by(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return NewConn(nc), nil
}

// NewConn speaks over a connection that stands already.
func NewConn(nc net.Conn) *Conn {
	return &Conn{nc: nc, reader: msnp.NewReader(nc, msnp.FromServer)}
}

// Send sends one line, to which it adds CRLF. Nothing is checked.
func (c *Conn) Send(line string) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	c.out = append(append(c.out[:0], line...), "\r\n"...)
	return c.write(c.out)
}

// SendPayload sends a line, to which it adds the length of the payload and
// CRLF, and the payload, all in one write.
func (c *Conn) SendPayload(line string, payload []byte) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	c.out = append(append(c.out[:0], line...), ' ')
	c.out = append(strconv.AppendInt(c.out, int64(len(payload)), 10), "\r\n"...)
	c.out = append(c.out, payload...)
	return c.write(c.out)
}

// SendRaw sends bytes as they are, in one write.
func (c *Conn) SendRaw(b []byte) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	return c.write(b)
}

func (c *Conn) write(b []byte) error {
	if err := c.nc.SetWriteDeadline(time.Now().Add(WriteTimeout)); err != nil {
		return err
	}
	_, err := c.nc.Write(b)
	return err
}

// Next reads one message. It returns io.EOF once the server has closed in
// good order, and the error of ctx when that ends first; reading can then go
// on.
func (c *Conn) Next(ctx context.Context) (Message, error) {
	if err := c.Read(ctx, &c.cmd); err != nil {
		return Message{}, err
	}
	return newMessage(&c.cmd), nil
}

// Read is Next without a copy: the slices of cmd are valid until the next
// read.
func (c *Conn) Read(ctx context.Context, cmd *msnp.Command) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("read from %v: %w", c.nc.RemoteAddr(), err)
	}
	if c.expire {
		c.expire = false
		if err := c.nc.SetReadDeadline(time.Time{}); err != nil {
			return err
		}
	}
	if ctx.Done() == nil {
		return c.reader.Next(cmd)
	}
	expired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(expired)
		_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // fails on a closed connection only
	})
	err := c.reader.Next(cmd)
	if !stop() {
		// The deadline must not hit the next read.
		<-expired
		c.expire = true
		if err != nil {
			err = fmt.Errorf("read from %v: %w", c.nc.RemoteAddr(), ctx.Err())
		}
	}
	return err
}

// Close closes the connection. A read or a sending under way fails.
func (c *Conn) Close() error { return c.nc.Close() }

// NetConn returns the connection underneath, for tests that need its
// addresses or half of it closed.
func (c *Conn) NetConn() net.Conn { return c.nc }
