package front

import (
	"errors"
	"os"

	"github.com/monarch-msn/monarch/msnp"
)

// reader is a msnp.Reader and its source, and the command that it reads into.
// It is pooled where the source can change hands, and else stays with its
// connection.
type reader struct {
	*msnp.Reader
	source  fdSource
	command msnp.Command
}

// fdSource reads, without waiting, from the descriptor of whichever connection
// has borrowed the reader.
type fdSource struct {
	conn *Conn
	// drained says that the last read found less than it could have taken. The
	// poller reports what comes after that, so the next is spared.
	drained bool
}

// errAgain is what the source says where there is nothing to read yet.
var errAgain = errors.New("nothing to read yet")

// borrow makes sure that the connection has a reader, and that it reads.
func (c *Conn) borrow() {
	if c.reader == nil {
		r, ok := c.srv.readers.Get().(*reader)
		if !ok {
			r = new(reader)
			r.Reader = msnp.NewReader(&r.source, msnp.FromClient)
			r.Line = c.srv.cfg.ReadLine
		}
		r.source.conn = c
		c.reader = r
	}
	c.reader.source.drained = false
}

// giveBack returns the reader to the pool, unless it holds the beginning of a
// command.
func (c *Conn) giveBack() {
	if c.reader != nil && c.reader.Buffered() == 0 {
		c.dropReader()
	}
}

func (c *Conn) dropReader() {
	r := c.reader
	c.reader = nil
	r.source.conn = nil
	if r.Buffered() > 0 {
		r.Reset(&r.source)
	}
	c.srv.readers.Put(r)
}

// commandsPerTurn is how many commands of a connection are done before others
// have their turn.
const commandsPerTurn = 16

// ring has what the client has sent handled, or its end. Any goroutine may call
// it.
func (c *Conn) ring() {
	if c.rings.Add(1) == 1 {
		c.call.crew.put((*Conn).attend, c)
	}
}

// attend handles what the client has sent until there is nothing left to read,
// others have waited long enough, or the connection has ended. A worker of the
// crew calls it, and none other does until it has returned.
func (c *Conn) attend() {
	c.borrow()
	seen := c.rings.Load()
	for range commandsPerTurn {
		switch err := c.doNext(); err {
		case nil:
			continue
		case errAgain:
		default:
			c.leave(err)
			return
		}
		c.giveBack()
		if c.rings.CompareAndSwap(seen, 0) {
			return
		}
		// It rang meanwhile, and nobody else came.
		c.borrow()
		seen = c.rings.Load()
	}
	c.call.crew.put((*Conn).attend, c)
}

// hold is the life of a connection that the poller cannot watch, on a goroutine
// of its own: it waits in Read, and so holds its reader.
func (c *Conn) hold() {
	c.reader = &reader{Reader: msnp.NewReader(c.nc, msnp.FromClient)}
	c.reader.Line = c.srv.cfg.ReadLine
	for {
		if err := c.doNext(); err != nil {
			c.leave(err)
			return
		}
	}
}

// doNext reads the next command and has the session handle it. It returns
// errAgain where there is none yet, and all else ends the connection.
func (c *Conn) doNext() error {
	if end := c.end.Load(); end != nil {
		return end
	}
	if c.late.Load() {
		return os.ErrDeadlineExceeded
	}
	cmd := &c.reader.command
	if err := c.reader.Next(cmd); err != nil {
		return err
	}
	err := c.guard(func() error { return c.session.Do(c.ctx, cmd) })
	// That a client says goodbye is no news.
	if cause := errors.Unwrap(err); cause != nil || err != nil && ReasonOf(err) != ReasonClient {
		c.session.Log().Info("closing", "verb", cmd.Verb, "reason", ReasonOf(err), "error", cause)
	}
	return err
}
