package front

import (
	"context"
	"io"
)

// Await waits for ctx to be done while the client is there. It is for a command
// that has to wait for something that costs nobody anything but the client's
// patience: who loses that is not worth serving any more.
//
//   - Only the session may call it, within Do.
//   - It returns nil when ctx is done.
//   - It returns io.EOF when the client hangs up before. Where bytes of the
//     client are unread, or the connection is none of the system's, that is
//     noticed only behind that Do.
//   - It returns a *Close when the connection ends otherwise, and an error for
//     which errors.Is(err, os.ErrDeadlineExceeded) holds when the deadline
//     passes that SetDeadline has set.
//   - No byte is taken from the client, and no buffer is held.
func (c *Conn) Await(ctx context.Context) error {
	raw := rawConn(c.nc)
	if raw == nil {
		select {
		case <-ctx.Done():
		case <-c.ctx.Done():
		}
		return c.ended(nil)
	}
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		c.setReadDeadline(func(*outbox) { c.nc.SetReadDeadline(longPast) })
	})
	gone := false
	err := raw.Read(func(fd uintptr) bool {
		gone = hungUp(fd)
		return gone
	})
	if !stop() {
		<-woken
		c.setReadDeadline(func(o *outbox) { c.nc.SetReadDeadline(o.deadline) })
	}
	switch {
	case gone:
		return c.ended(io.EOF)
	case ctx.Err() != nil:
		return c.ended(nil)
	}
	return c.ended(err)
}

// ended returns why the connection has ended, or err while it has not.
func (c *Conn) ended(err error) error {
	if end := c.end.Load(); end != nil {
		return end
	}
	return err
}

// setReadDeadline calls set unless the connection has ended: then the deadline
// is what gets its reader back.
func (c *Conn) setReadDeadline(set func(o *outbox)) {
	o := &c.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	if c.end.Load() == nil {
		set(o)
	}
}
