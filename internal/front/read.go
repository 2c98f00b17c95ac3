package front

import (
	"errors"

	"github.com/monarch-msn/monarch/msnp"
)

// reader is a msnp.Reader and its source. It is pooled where the source can
// change hands, and else stays with its connection.
type reader struct {
	*msnp.Reader
	source fdSource
}

// fdSource reads, without waiting, from the descriptor of whichever connection
// has borrowed the reader. It is used only within readReady, where that
// descriptor is known to be open.
type fdSource struct{ fd uintptr }

// borrow takes a reader from the pool.
func (c *Conn) borrow() {
	r, ok := c.srv.readers.Get().(*reader)
	if !ok {
		r = new(reader)
		r.Reader = msnp.NewReader(&r.source, msnp.FromClient)
		r.Line = c.srv.cfg.ReadLine
	}
	c.reader = r
}

// giveBack returns the reader to the pool.
func (c *Conn) giveBack() {
	if c.reader.Buffered() > 0 {
		c.reader.Reset(&c.reader.source)
	}
	c.srv.readers.Put(c.reader)
	c.reader = nil
}

// nextParked reads the next command. It goes through the poller of the runtime
// by hand: readReady is called, and where it finds nothing to read it gives the
// reader back before the goroutine is parked until the socket is readable, the
// deadline passes, or the connection ends.
func (c *Conn) nextParked(cmd *msnp.Command) error {
	c.command = cmd
	err := c.raw.Read(c.poll)
	c.command = nil
	if err == nil {
		return c.readErr
	}
	// The deadline, which may have passed before readReady was called at all.
	if c.reader != nil && c.reader.Buffered() == 0 {
		c.giveBack()
	}
	return err
}

// nextHeld reads the next command where the poller cannot be reached, and holds
// its reader from then on.
func (c *Conn) nextHeld(cmd *msnp.Command) error {
	if c.reader == nil {
		c.reader = &reader{Reader: msnp.NewReader(c.nc, msnp.FromClient)}
		c.reader.Line = c.srv.cfg.ReadLine
	}
	return c.reader.Next(cmd)
}

// errAgain is what the source says where there is nothing to read yet.
var errAgain = errors.New("nothing to read yet")

// readReady tries to read a command without blocking and leaves the error in
// readErr. It returns false where the poller has to wait for more bytes. Amid a
// command the reader stays, since it holds the beginning.
func (c *Conn) readReady(fd uintptr) bool {
	if c.reader == nil {
		c.borrow()
	}
	c.reader.source.fd = fd
	c.readErr = c.reader.Next(c.command)
	if c.readErr != errAgain {
		return true
	}
	if c.reader.Buffered() == 0 {
		c.giveBack()
	}
	return false
}
