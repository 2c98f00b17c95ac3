package front

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/monarch-msn/monarch/msnp"
)

// A Conn is one client connection. Which goroutine may call a method, and
// whether it can block, stands above each.
type Conn struct {
	srv  *Server
	nc   net.Conn
	call *serveCall // that accepted it

	// cancel ends ctx, the context of the handler.
	ctx    context.Context
	cancel context.CancelCauseFunc

	// end is set once, under mu, and says that the connection has ended and
	// why.
	end atomic.Pointer[Close]

	// What follows belongs to the goroutine of the handler.

	raw     syscall.RawConn       // nil where the kind of nc has none
	poll    func(fd uintptr) bool // readReady, bound once
	reader  *reader               // nil while the connection is idle
	command *msnp.Command         // of the Next under way
	readErr error                 // of the last Next

	outbox outbox
}

func newConn(ctx context.Context, s *Server, nc net.Conn, call *serveCall) *Conn {
	c := &Conn{srv: s, nc: nc, call: call}
	// The end of Serve's context ends a connection by a Close, so that whoever
	// sees the context end also sees a reason.
	c.ctx, c.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	c.raw = rawConn(nc)
	c.poll = c.readReady
	return c
}

// Next reads the next command into cmd, whose slices are valid until the next
// call. It waits for the client, the deadline, or the end of the connection.
//
//   - Only the goroutine of the handler may call it.
//   - While it waits between two commands the connection holds no buffer.
//   - A deadline that passes is an error for which
//     errors.Is(err, os.ErrDeadlineExceeded) holds; no byte is lost by it, and
//     Next may be called again.
//   - Once the connection is closed by us it returns a *Close with the reason,
//     also when commands were already received.
//   - All other errors are those of msnp.Reader: io.EOF when the client is
//     done, *msnp.SyntaxError when it cannot be understood.
func (c *Conn) Next(cmd *msnp.Command) error {
	if end := c.end.Load(); end != nil {
		return end
	}
	if c.raw != nil {
		c.readErr = c.nextParked(cmd)
	} else {
		c.readErr = c.nextHeld(cmd)
	}
	if c.readErr == nil {
		return nil
	}
	if end := c.end.Load(); end != nil {
		// Close moved the deadline to get us here.
		return end
	}
	return c.readErr
}

// SetDeadline sets the time after which a Next, also one that waits already,
// gives up. The zero time is none.
//
// Any goroutine may call it; it does not block, and does nothing once the
// connection is closed.
func (c *Conn) SetDeadline(t time.Time) {
	c.setReadDeadline(func(o *outbox) {
		o.deadline = t
		c.nc.SetReadDeadline(t)
	})
}

// Reason returns why the connection has ended, or "" while it has not. Any
// goroutine may call it; it does not block.
func (c *Conn) Reason() Reason {
	if end := c.end.Load(); end != nil {
		return end.Reason
	}
	return ""
}

// Done returns a channel that is closed when the connection ends. Any
// goroutine may call it. The context of the handler ends at the same moment,
// with the *Close as its cause.
func (c *Conn) Done() <-chan struct{} { return c.ctx.Done() }

// RemoteAddr returns the address of the client, and the zero AddrPort where the
// connection is not of TCP. It can be called at any time by any goroutine.
func (c *Conn) RemoteAddr() netip.AddrPort { return addrPort(c.nc.RemoteAddr()) }

// LocalAddr returns the address that the client reached us by, under the same
// conditions as RemoteAddr.
func (c *Conn) LocalAddr() netip.AddrPort { return addrPort(c.nc.LocalAddr()) }

// addrPort unmaps, since a client of a dual-stack listener has an IPv4 address
// in the form of IPv6.
func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// finish takes the connection to its end. The goroutine of the handler calls it
// last; it waits for the writer, and then for the client, about a second.
func (c *Conn) finish() {
	c.Close(ReasonOf(c.readErr))
	if c.reader != nil && c.raw != nil {
		c.giveBack()
	}
	cut := c.outbox.wait()
	switch nc := c.nc.(type) {
	case *net.TCPConn:
		if cut {
			// What the kernel still holds for a client that does not read
			// would stay for minutes after an ordinary close.
			nc.SetLinger(0)
		} else {
			c.linger()
		}
	case halfCloser:
		if !cut {
			c.linger()
		}
	}
	c.nc.Close()
}

// linger waits for the client to close its side. Closing a socket with unread
// input resets the connection, and a reset overtakes the last line.
func (c *Conn) linger() {
	c.nc.SetReadDeadline(time.Now().Add(c.srv.lingerTime))
	drain(c.nc)
}

// drain reads in vain until the client has closed its side, the deadline has
// passed, or there is no end to it.
func drain(nc net.Conn) {
	b := drains.Get().(*[drainBytes]byte)
	defer drains.Put(b)
	for left := maxDrained; left > 0; {
		n, err := nc.Read(b[:])
		if err != nil {
			return
		}
		left -= n
	}
}

const (
	lingerTime = time.Second
	drainBytes = 1 << 10
	// maxDrained is how much is read in vain of a client that we have closed.
	// One that still sends more is not waiting for a last line.
	maxDrained = 256 << 10
)

var drains = sync.Pool{New: func() any { return new([drainBytes]byte) }}
