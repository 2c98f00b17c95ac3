package load

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/monarch-msn/monarch/msnp"
)

// client is one simulated client: an account, and its connection to a
// notification server while it has one.
//
// The goroutine that reads the connection is the client's own; it takes in
// what comes. Operations are begun by anybody, under mu.
type client struct {
	run             *run
	id              int32
	email, password string
	name            string // as the server spells it, of USR OK

	// steady is set while the client is online and is to stay so: what others
	// are told of it must then be one of its statuses.
	steady atomic.Bool

	mu   sync.Mutex
	conn *conn // nil while offline
	trid uint32
	out  []byte // what is being written
	// watchers are those who must be told of this client's status.
	watchers []*client

	// The change of status under way, if there is one: its number, which says
	// which status it is, when it was due and begun, and how many have not been
	// told yet, the client itself among them.
	seq        atomic.Uint32
	due, begun atomic.Int64
	pending    atomic.Int32
	statuses   *pacer // nil where statuses are not what is done

	// What the client knows of others, in ascending order of who. Behind mu in
	// the order of locking.
	known    sync.Mutex
	contacts []contact
	answered uint32 // the number of the status that CHG confirmed last
	// givenUp is the last change of this client's own that was given up.
	givenUp uint32

	lists *lists // of SYN; nil once it is clear who sees whom

	member *member // of the room that the client is in
	ticket chan ticket
	edit   atomic.Pointer[edit] // nil where lists are not edited
}

// contact is somebody on the forward list who is under load too.
type contact struct {
	who   int32
	seq   uint32      // number of the status that was seen last
	shown msnp.Status // what was seen last, offline at first
	// visible says that the contact's lists admit this client.
	visible bool
	// lost says that the status of number seq has not come in time.
	lost bool
}

// offline is how a contact appears of whom nothing was heard.
const offline = msnp.StatusNone

// round has the statuses in the order in which clients take them. The first is
// that of the login. LUN is not among them.
var round = [...]msnp.Status{msnp.NLN, msnp.BSY, msnp.IDL, msnp.BRB, msnp.AWY, msnp.PHN}

// statusOf is the status that the change of a number sets. Numbers begin at 1.
func statusOf(seq uint32) msnp.Status { return round[(seq-1)%uint32(len(round))] }

// send writes what render appends to it, which is a command or more. The caller
// holds mu.
func (c *client) send(render func(b []byte) []byte) error {
	if c.conn == nil {
		return net.ErrClosed
	}
	c.out = render(c.out[:0])
	_, err := c.conn.nc.Write(c.out)
	return err
}

// listen takes in what comes until the connection ends.
func (c *client) listen(conn *conn) error {
	for {
		line, payload, err := conn.next()
		if err != nil {
			return err
		}
		if err := c.hear(conn, line, payload); err != nil {
			return err
		}
	}
}

// codeError is an error that the server has answered with.
type codeError string

func (e codeError) Error() string { return "the server answered " + string(e) }

// errSentAway is an OUT that was not asked for.
type errSentAway string

func (e errSentAway) Error() string { return "the server said OUT " + string(e) }

// errUnexpected is a line that no server sends there.
type errUnexpected string

func (e errUnexpected) Error() string { return fmt.Sprintf("the server sent %q", string(e)) }

// hear takes in one command.
func (c *client) hear(conn *conn, line, payload []byte) error {
	if len(line) < 3 {
		return errUnexpected(line)
	}
	switch string(line[:3]) {
	case "NLN": // NLN state handle friendly
		f := split(line)
		c.see(f[2], f[1], f[3], conn.at)
	case "ILN": // ILN TrID state handle friendly
		f := split(line)
		c.see(f[3], f[2], f[4], conn.at)
	case "FLN":
		c.see(split(line)[1], nil, nil, conn.at)
	case "CHG":
		f := split(line)
		c.confirmed(f[1], f[2], conn.at)
	case "CHL":
		return c.answerChallenge(string(split(line)[2]))
	case "RNG":
		c.called(split(line))
	case "XFR":
		c.referred(split(line))
	case "ADD", "REM":
		c.edited(split(line), conn.at)
	case "OUT":
		return errSentAway(line[3:])
	case "MSG", "NOT", "QRY", "QNG", "BPR", "SYN", "LST", "GTC", "BLP", "PRP", "LSG":
		// Mail and notices, confirmations, and what belongs to lists.
	default:
		if _, ok := number(line[:3]); ok {
			c.refused(split(line), conn.at)
			return nil
		}
		return errUnexpected(line)
	}
	return nil
}

// number reads a decimal number.
func number(b []byte) (uint32, bool) {
	n, err := strconv.ParseUint(string(b), 10, 32)
	return uint32(n), err == nil
}

// answerChallenge answers CHL, so that the server keeps the client.
func (c *client) answerChallenge(challenge string) error {
	sum, _ := msnp.RespondClient(challenge, msnp.DefaultProduct)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.send(func(b []byte) []byte {
		b = append(b, "QRY "...)
		b = strconv.AppendUint(b, uint64(c.nextTrID()), 10)
		b = append(b, " "+msnp.DefaultProduct+" 32\r\n"...)
		return hex.AppendEncode(b, sum[:])
	})
}

// Transaction ids tell what they are of: those of status changes are even, all
// others odd. The caller holds mu.
func (c *client) nextTrID() uint32 {
	c.trid++
	return c.trid<<1 | 1
}

// contact finds what is known of somebody. The caller holds known.
func (c *client) contact(who int32) *contact {
	low, high := 0, len(c.contacts)
	for low < high {
		if mid := (low + high) / 2; c.contacts[mid].who < who {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low < len(c.contacts) && c.contacts[low].who == who {
		return &c.contacts[low]
	}
	return nil
}

// refused is told of an error. One of a status change ends it.
func (c *client) refused(f fields, at int64) {
	trid, _ := number(f[1])
	c.mu.Lock()
	waiting := c.ticket
	c.mu.Unlock()
	switch {
	case trid&1 == 0:
		c.run.faults.error("status: "+string(f[0]), 1)
		c.giveUp(trid>>1, at, false)
	case c.editRefused(trid, string(f[0]), at):
	case waiting != nil:
		c.run.faults.error("room: "+string(f[0]), 1)
		select {
		case waiting <- ticket{}:
		default:
		}
	default:
		c.run.faults.error("command: "+string(f[0]), 1)
	}
}

func (c *client) editRefused(trid uint32, code string, at int64) bool {
	e := c.edit.Load()
	return e != nil && e.refused(trid, code, at)
}

// reason is a short word for what ended a connection.
func reason(err error) string {
	var code codeError
	var away errSentAway
	var timeout net.Error
	switch {
	case errors.As(err, &code):
		return string(code)
	case errors.As(err, &away):
		return "OUT" + string(away)
	case errors.Is(err, io.EOF):
		return "closed"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, errMalformed), errors.Is(err, errTooLong):
		return "malformed"
	case errors.As(err, new(errUnexpected)):
		return "unexpected answer"
	}
	// The system's own words, such as "connection refused".
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err.Error()
}

// gone takes a client out whose connection has ended.
func (c *client) gone() {
	c.mu.Lock()
	c.conn.close()
	c.conn = nil
	c.mu.Unlock()
	c.excuse()
}

// excuse lets nobody wait any more for a client that was steady and has gone.
func (c *client) excuse() {
	if !c.steady.Swap(false) {
		return
	}
	c.run.online.Add(-1)
	if c.pending.Load() > 0 {
		c.giveUp(c.seq.Load(), c.run.now(), true)
	}
	for i := range c.contacts {
		if k := &c.contacts[i]; k.visible {
			c.run.clients[k.who].unwatched(c)
		}
	}
}

// unwatched is told that a watcher has gone.
func (c *client) unwatched(w *client) {
	c.mu.Lock()
	for i, other := range c.watchers {
		if other == w {
			c.watchers[i] = c.watchers[len(c.watchers)-1]
			c.watchers = c.watchers[:len(c.watchers)-1]
			break
		}
	}
	w.known.Lock()
	k := w.contact(c.id)
	waits := c.pending.Load() > 0 && k.seq != c.seq.Load()
	k.seq = c.seq.Load()
	w.known.Unlock()
	c.mu.Unlock()
	if waits {
		c.told(c.run.now())
	}
}
