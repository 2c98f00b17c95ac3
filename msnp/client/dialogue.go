package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
)

// maxHeld bounds the lines kept while a reply is awaited.
const maxHeld = 1 << 16

// A Dialogue is a Conn on which commands have transaction ids, and which finds
// the reply to a command among what comes unasked. Its methods are for one
// goroutine at a time, but for those of sending and for Close.
type Dialogue struct {
	*Conn
	trid atomic.Uint32
	// held are messages that were read while a reply was awaited.
	held []Message
	// hear, if set, is told of each message as it is read.
	hear func(Message) error
}

// NextTrID returns a fresh transaction id, for commands sent with Send.
func (d *Dialogue) NextTrID() uint32 { return d.trid.Add(1) }

// Start sends a command under a fresh transaction id, which it returns, and
// awaits nothing. PNG and OUT have no id: use Ping and Logout.
func (d *Dialogue) Start(verb string, args ...string) (trid uint32, err error) {
	trid = d.NextTrID()
	var b strings.Builder
	b.WriteString(verb)
	b.WriteByte(' ')
	b.WriteString(strconv.FormatUint(uint64(trid), 10))
	for _, a := range args {
		b.WriteByte(' ')
		b.WriteString(a)
	}
	return trid, d.Send(b.String())
}

// Do sends a command and returns the first line that answers it. Lines that
// come before it are kept for Next, and so are further lines of the answer. If
// the answer is an error line, err is its msnp.Code.
func (d *Dialogue) Do(ctx context.Context, verb string, args ...string) (Message, error) {
	trid, err := d.Start(verb, args...)
	if err != nil {
		return Message{}, err
	}
	return d.await(ctx, func(m Message) bool { return m.TrID() == strconv.FormatUint(uint64(trid), 10) })
}

// Ping sends PNG and awaits QNG.
func (d *Dialogue) Ping(ctx context.Context) error {
	if err := d.Send("PNG"); err != nil {
		return err
	}
	_, err := d.await(ctx, func(m Message) bool { return m.Verb == "QNG" })
	return err
}

// Next returns the next message: one that was kept, or one that is read.
func (d *Dialogue) Next(ctx context.Context) (Message, error) {
	if len(d.held) > 0 {
		m := d.held[0]
		d.held = d.held[1:]
		return m, nil
	}
	return d.receive(ctx)
}

// Logout says OUT and reads until the server has closed; what it still said
// is discarded. The connection is closed in any case.
func (d *Dialogue) Logout(ctx context.Context) error {
	defer d.Close()
	if err := d.Send("OUT"); err != nil {
		return err
	}
	for {
		switch _, err := d.receive(ctx); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// await reads until a message fits, keeping the others.
func (d *Dialogue) await(ctx context.Context, fits func(Message) bool) (Message, error) {
	for {
		m, err := d.receive(ctx)
		if err != nil {
			return Message{}, err
		}
		if !fits(m) {
			if len(d.held) == maxHeld {
				return Message{}, fmt.Errorf("await a reply: %d other lines came instead", maxHeld)
			}
			d.held = append(d.held, m)
			continue
		}
		if code, ok := m.Code(); ok {
			return m, code
		}
		return m, nil
	}
}

// receive reads a message from the connection.
func (d *Dialogue) receive(ctx context.Context) (Message, error) {
	m, err := d.Conn.Next(ctx)
	if err == nil && d.hear != nil {
		err = d.hear(m)
	}
	return m, err
}
