package front

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/monarch-msn/monarch/msnp"
)

// A Session is what a service makes of a connection.
type Session interface {
	// Do handles one command, whose slices are valid until it returns. It is
	// called for one command after the other, in their order, by whichever
	// goroutine is free, and may block. An error ends the connection, for the
	// reason that ReasonOf tells; it is a *Close where the session means it.
	Do(ctx context.Context, cmd *msnp.Command) error
	// Leave is called once, when the connection has ended and no Do is under
	// way or to come.
	Leave()
	// Log is the logger of this connection. It is asked where there is
	// something to log.
	Log() *slog.Logger
}

// A Conn is one client connection. Which goroutine may call a method, and
// whether it can block, stands above each.
type Conn struct {
	srv     *Server
	nc      net.Conn
	call    *serveCall // that accepted it
	session Session    // nil if it could not be opened

	// fd is the descriptor of nc, or -1 where it has none. Whoever uses it
	// keeps finish from closing it: attend by being what is called ahead of
	// it, and flush by the outbox.
	fd int
	// watched says that the poller tells when there is something to read.
	watched bool

	// cancel ends ctx, the context of the session.
	ctx    context.Context
	cancel context.CancelCauseFunc

	// end is set once, under mu, and says that the connection has ended and
	// why.
	end atomic.Pointer[Close]

	// rings counts the calls for attend, from the one that it answers; it is
	// zero while the connection rests.
	rings atomic.Int32
	// hungUp says that the client has closed its side, perhaps behind bytes
	// that are still to be read.
	hungUp atomic.Bool
	// late says that the deadline has passed. It is set under mu.
	late atomic.Bool

	reader *reader // belongs to attend; nil while the connection rests

	outbox outbox
}

func newConn(s *Server, nc net.Conn, fd int, call *serveCall) *Conn {
	c := &Conn{srv: s, nc: nc, fd: fd, call: call}
	c.ctx, c.cancel = context.WithCancelCause(call.ctx)
	c.rings.Store(1) // it is not attended to before it is begun
	return c
}

// begin opens the session and lets the client be heard. The goroutine that
// accepts connections calls it.
func (c *Conn) begin(open func(context.Context, *Conn) Session) {
	c.guard(func() error {
		c.session = open(c.ctx, c)
		return nil
	})
	// Where there is no poller, or it has no room, a goroutine does as well.
	if c.watched = c.call.watch(c) == nil; !c.watched {
		go c.hold()
		return
	}
	if !c.rings.CompareAndSwap(1, 0) {
		c.call.crew.put((*Conn).attend, c)
	}
}

// guard keeps a panic in the session from reaching anybody but its connection.
func (c *Conn) guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			c.srv.log.Error("panic while serving a connection",
				"remote", c.nc.RemoteAddr().String(), "panic", r, "stack", string(debug.Stack()))
			c.Close(ReasonInternal)
			err = c.end.Load()
		}
	}()
	return f()
}

// leave takes the connection to its end, for err unless it has ended. It waits
// for the session, the writer, and then for the client, about a second.
func (c *Conn) leave(err error) {
	if syntax := (*msnp.SyntaxError)(nil); errors.As(err, &syntax) {
		c.session.Log().Info("malformed input", "error", err)
	}
	c.Close(ReasonOf(err))
	if c.session != nil {
		c.guard(func() error {
			c.session.Leave()
			return nil
		})
	}
	c.finish()
	c.srv.forget(c)
	c.call.conns.Done()
}

// SetDeadline sets the time after which the connection ends with ReasonIdle,
// unless it is moved before; what is under way then may still do so. The zero
// time is none. An Await gives up at that time.
//
// Any goroutine may call it; it does not block, and does nothing once the
// connection is closed.
func (c *Conn) SetDeadline(t time.Time) {
	o := &c.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	if c.end.Load() != nil {
		return
	}
	if o.timer != nil {
		o.timer.Stop()
		o.timer = nil
	}
	o.deadline = t
	c.late.Store(false)
	c.nc.SetReadDeadline(t)
	if !t.IsZero() && c.fd >= 0 {
		o.timer = time.AfterFunc(time.Until(t), c.deadlinePassed)
	}
}

// deadlinePassed is called at the deadline, or at one that was moved just then.
func (c *Conn) deadlinePassed() {
	o := &c.outbox
	o.mu.Lock()
	passed := !o.deadline.IsZero() && !time.Now().Before(o.deadline)
	if passed {
		c.late.Store(true)
	}
	o.mu.Unlock()
	if passed {
		c.ring()
	}
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
// goroutine may call it. The context of the session ends at the same moment,
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

// finish closes the socket of a connection that has ended, in good order if it
// was not cut.
func (c *Conn) finish() {
	if c.reader != nil && c.watched {
		c.dropReader()
	}
	cut := c.outbox.wait()
	switch nc := c.nc.(type) {
	case interface{ SetLinger(sec int) error }: // of TCP
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
	if c.watched {
		c.call.poller.remove(c)
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
