package front

import (
	"errors"
	"os"
	"sync"
	"time"
)

// outbox is the write side of a connection.
//
// Invariants, under mu: pending is nil or not empty; where it is not nil,
// writing is set and there is a writer that will see it; once the connection
// has ended nothing is added but the last line.
type outbox struct {
	mu      sync.Mutex
	pending *buffer
	unsent  int  // bytes of pending and of the buffer that the writer has
	writing bool // a writer exists
	cut     bool // the rest is lost; nothing is to be written any more
	writer  sync.WaitGroup

	deadline time.Time   // as SetDeadline has set it
	timer    *time.Timer // that will find it passed, or nil
}

// Send queues b, which must be whole lines or payloads.
//
//   - Any goroutine may call it.
//   - It never blocks, whatever the client does.
//   - It never reorders: what one goroutine sends arrives in that order, and
//     nothing comes in between the bytes of one call.
//   - It copies b, which the caller may use again at once.
//   - Where more than Config.OutboxBytes would wait, the connection ends with
//     ReasonSlow.
//   - After the end of the connection it does nothing.
func (c *Conn) Send(b []byte) {
	if len(b) == 0 {
		return
	}
	o := &c.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	if c.end.Load() != nil {
		return
	}
	if o.unsent+len(b) > c.srv.cfg.OutboxBytes {
		c.endLocked(&Close{Reason: ReasonSlow}, true)
		return
	}
	o.add(b)
	c.startWriter()
}

// Unsent returns how many bytes the client has still to take: those that wait
// and those being written. A sender may hold back by it, or leave out what is
// of use only at once. Any goroutine may call it; it does not block.
func (c *Conn) Unsent() int {
	c.outbox.mu.Lock()
	defer c.outbox.mu.Unlock()
	return c.outbox.unsent
}

// Close ends the connection for r. The first reason wins; later calls do
// nothing.
//
//   - Any goroutine may call it, the handler's own as well.
//   - It never blocks. What is pending, then the last line of r, is written
//     behind its back within Config.FlushTimeout; only for ReasonSlow that is
//     dropped.
//   - When it returns, Send has no effect, no further command reaches the
//     session, and its context has ended. Leave is called soon, when the Do
//     that may be under way has returned.
//
// The socket is closed after that.
func (c *Conn) Close(r Reason) {
	c.outbox.mu.Lock()
	defer c.outbox.mu.Unlock()
	c.endLocked(&Close{Reason: r}, r == ReasonSlow)
}

// longPast is a deadline that stops what is under way.
var longPast = time.Unix(1, 0)

// endLocked is Close for whoever holds outbox.mu. With cut, nothing more is
// written.
func (c *Conn) endLocked(end *Close, cut bool) {
	if c.end.Load() != nil {
		return
	}
	o := &c.outbox
	c.end.Store(end)
	c.cancel(end)
	if o.timer != nil {
		o.timer.Stop()
		o.timer = nil
	}
	c.nc.SetReadDeadline(longPast) // for whoever waits in Read
	c.ring()
	if cut {
		o.drop()
		c.nc.SetWriteDeadline(longPast)
		return
	}
	if line := end.Reason.lastLine(); line != "" && !c.srv.cfg.Silent {
		o.add([]byte(line))
	}
	c.nc.SetWriteDeadline(time.Now().Add(c.srv.cfg.FlushTimeout))
	// Also with nothing to write: the writer shuts our direction.
	c.startWriter()
}

// startWriter makes sure there is a writer. The caller holds outbox.mu.
func (c *Conn) startWriter() {
	o := &c.outbox
	if o.writing {
		return
	}
	o.writing = true
	o.writer.Add(1)
	if c.fd >= 0 {
		c.call.crew.put((*Conn).flush, c)
	} else {
		go c.write(nil, 0)
	}
}

// flush is a writer that does not wait: it writes what is pending as far as the
// socket takes it. Where that is not all it hands the rest to one that waits.
func (c *Conn) flush() {
	o := &c.outbox
	b, ended := o.take(c)
	if b == nil {
		c.stopWriting(ended)
		return
	}
	n, err := c.writeNow(b.bytes)
	if err != nil {
		b.free()
		c.writeFailed(err)
		o.writer.Done()
		return
	}
	if n < len(b.bytes) {
		go c.write(b, n)
		return
	}
	b.free()
	if o.flushed(c, n) {
		o.writer.Done()
	} else {
		c.call.crew.put((*Conn).flush, c)
	}
}

// write is a writer that waits for the client: it writes what is left of b, if
// any, and then takes all that is pending and writes it, until there is nothing.
func (c *Conn) write(b *buffer, sent int) {
	var ended bool
	for {
		if b == nil {
			if b, ended = c.outbox.take(c); b == nil {
				c.stopWriting(ended)
				return
			}
		}
		err := c.writeAll(b.bytes, sent)
		b.free()
		b, sent = nil, 0
		if err != nil {
			c.writeFailed(err)
			c.outbox.writer.Done()
			return
		}
	}
}

// stopWriting ends the writer, and shuts our direction if the connection has
// ended.
func (c *Conn) stopWriting(ended bool) {
	if half, ok := c.nc.(halfCloser); ok && ended {
		half.CloseWrite()
	}
	c.outbox.writer.Done()
}

// take hands the pending bytes to the writer. Where there are none it notes
// that the writer is leaving, and reports whether our direction is to be shut.
func (o *outbox) take(c *Conn) (b *buffer, ended bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if b = o.pending; b == nil {
		o.writing = false
		return nil, c.end.Load() != nil && !o.cut
	}
	o.pending = nil
	return b, false
}

// flushed takes off what was sent. It reports whether the writer may leave, and
// notes that it does.
func (o *outbox) flushed(c *Conn, n int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.cut {
		o.unsent -= n
	}
	o.writing = o.pending != nil || c.end.Load() != nil
	return !o.writing
}

// writeChunk is how much a client has to take within Config.WriteTimeout. One
// deadline for all that is pending would end a modem user in the middle of a
// long list.
const writeChunk = 32 << 10

// errCut tells the writer that the connection was cut under its feet.
var errCut = errors.New("connection cut")

// writeAll writes b but for the bytes that were sent already, and takes all of
// them off.
func (c *Conn) writeAll(b []byte, sent int) error {
	for b = b[sent:]; ; {
		if err := c.outbox.progress(c, sent); err != nil || len(b) == 0 {
			return err
		}
		n, err := c.nc.Write(b[:min(len(b), writeChunk)])
		if err != nil {
			return err
		}
		sent, b = n, b[n:]
	}
}

// progress takes off what was sent and gives the next write its deadline.
func (o *outbox) progress(c *Conn, sent int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cut {
		return errCut
	}
	o.unsent -= sent
	if c.end.Load() == nil {
		c.nc.SetWriteDeadline(time.Now().Add(c.srv.cfg.WriteTimeout))
	}
	return nil
}

// writeFailed ends the connection, unless it has ended, and with it the writer.
func (c *Conn) writeFailed(err error) {
	reason := ReasonClient
	if errors.Is(err, os.ErrDeadlineExceeded) {
		reason = ReasonSlow
	}
	o := &c.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writing = false
	c.endLocked(&Close{Reason: reason, Err: err}, true)
	o.drop()
}

// wait waits until the writer of an ended connection is gone, and reports
// whether something was left unsent. The owner of the connection calls it, after
// a Close of its own: with that it has seen the mutex since the connection
// ended, and no writer is about to start.
func (o *outbox) wait() (cut bool) {
	o.writer.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.cut
}

// add appends to what is pending.
func (o *outbox) add(b []byte) {
	if o.pending == nil {
		o.pending = newBuffer()
	}
	o.pending.bytes = append(o.pending.bytes, b...)
	o.unsent += len(b)
}

// drop forgets what is pending and keeps the writer from going on.
func (o *outbox) drop() {
	o.cut = true
	o.unsent = 0
	if o.pending != nil {
		o.pending.free()
		o.pending = nil
	}
}

// halfCloser is a connection of which one direction can be closed: TCP and Unix
// sockets. The others close both at once, which loses nothing where a write is
// over only when the other side has read it.
type halfCloser interface{ CloseWrite() error }

// buffer is pending bytes, pooled.
type buffer struct{ bytes []byte }

const (
	startBuffer = 512
	// largestPooled keeps the buffer of a rare long answer from staying.
	largestPooled = 64 << 10
)

var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, 0, startBuffer)} }}

func newBuffer() *buffer { return buffers.Get().(*buffer) }

func (b *buffer) free() {
	if cap(b.bytes) > largestPooled {
		return
	}
	b.bytes = b.bytes[:0]
	buffers.Put(b)
}
