package chat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/monarch-msn/monarch/msnp/client"
)

// member is one stay of a user in a room, with all that was said to it. A
// goroutine of its own reads.
type member struct {
	user    *user
	chat    *client.Chat
	number  int // of the stay, within the room
	spoken  int // messages so far
	entered uint64
	// gone says that the member left, was dropped or stalls: nothing is
	// promised to it any more.
	gone bool

	reading sync.WaitGroup
	stalled atomic.Bool

	mu      sync.Mutex
	changed chan struct{} // closed and renewed with each message
	heard   []string      // names of messages, in order
	here    map[string]bool
	replies map[uint32]client.Message
	pongs   int
	ended   bool
	err     error
}

// said is one message that was sent.
type said struct {
	name   string
	sender *member
	mode   string
	sent   uint64 // before it went out
	trid   uint32
}

func newMember(u *user, chat *client.Chat, number int, entered uint64) *member {
	m := &member{
		user: u, chat: chat, number: number, entered: entered, changed: make(chan struct{}),
		here: make(map[string]bool), replies: make(map[uint32]client.Message),
	}
	for _, other := range chat.Present {
		m.here[other.Email] = true
	}
	m.reading.Go(m.read)
	return m
}

func (m *member) email() string { return m.chat.Email }

func (m *member) read() {
	for {
		msg, err := m.chat.Next(context.Background()) // ends with the connection
		m.mu.Lock()
		if err == nil {
			err = m.hear(msg)
		} else if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || m.stalled.Load() {
			err = nil
			m.ended = true
		}
		if err != nil && m.err == nil {
			m.err = fmt.Errorf("%s: %w", m.email(), err)
		}
		m.ended = m.ended || err != nil
		ended := m.ended
		close(m.changed)
		m.changed = make(chan struct{})
		m.mu.Unlock()
		if ended || m.stalled.Load() {
			return
		}
	}
}

// hear takes in one line; the caller holds mu.
func (m *member) hear(msg client.Message) error {
	switch msg.Verb {
	case "MSG":
		name, err := check(msg.Payload)
		if err != nil {
			return fmt.Errorf("message of %s: %w", msg.Arg(0), err)
		}
		m.heard = append(m.heard, name)
	case "JOI":
		if m.here[msg.Arg(0)] {
			return fmt.Errorf("%q: is here already", msg.Text)
		}
		m.here[msg.Arg(0)] = true
	case "BYE":
		if !m.here[msg.Arg(0)] {
			return fmt.Errorf("%q: is not here", msg.Text)
		}
		delete(m.here, msg.Arg(0))
	case "QNG":
		m.pongs++
	default:
		trid, err := strconv.ParseUint(msg.TrID(), 10, 32)
		if err != nil {
			return fmt.Errorf("%q: unexpected", msg.Text)
		}
		m.replies[uint32(trid)] = msg
	}
	return nil
}

// until waits for a condition of what was heard.
func (m *member) until(ctx context.Context, what string, holds func() bool) error {
	for {
		m.mu.Lock()
		ok, ended, err, changed := holds(), m.ended, m.err, m.changed
		m.mu.Unlock()
		switch {
		case err != nil:
			return err
		case ok:
			return nil
		case ended:
			return fmt.Errorf("%s waits for %s: the server has closed", m.email(), what)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s waits for %s: %w", m.email(), what, ctx.Err())
		}
	}
}

// say sends a message, and waits for the answer to one of mode A.
func (m *member) say(ctx context.Context, clock *atomic.Uint64, name, mode string, size int) (*said, error) {
	s := &said{name: name, sender: m, mode: mode, sent: clock.Add(1)}
	trid, err := m.chat.Write(mode, payload(name, size))
	if err != nil {
		return nil, err
	}
	s.trid = trid
	if mode == "A" {
		err = m.until(ctx, "an answer to "+name, func() bool { return m.replies[trid].Verb != "" })
	}
	return s, err
}

// fence waits until the server has handled all that the member sent, and the
// member has read all that it was sent before.
func (m *member) fence(ctx context.Context) error {
	m.mu.Lock()
	want := m.pongs + 1
	m.mu.Unlock()
	if err := m.chat.Send("PNG"); err != nil {
		return fmt.Errorf("%s: %w", m.email(), err)
	}
	return m.until(ctx, "QNG", func() bool { return m.pongs >= want })
}

// call calls a user who is not in the room, as soon as the member knows that,
// and returns the number of the room.
func (m *member) call(ctx context.Context, email string) (session string, err error) {
	// Whoever came and went may have done so unheard as yet: first the JOI.
	if err := m.fence(ctx); err != nil {
		return "", err
	}
	if err := m.until(ctx, "BYE "+email, func() bool { return !m.here[email] }); err != nil {
		return "", err
	}
	trid, err := m.chat.Start("CAL", email)
	if err != nil {
		return "", err
	}
	var reply client.Message
	err = m.until(ctx, "an answer to CAL", func() bool {
		reply = m.replies[trid]
		return reply.Verb != ""
	})
	if err == nil && (reply.Verb != "CAL" || reply.Arg(1) != "RINGING") {
		err = fmt.Errorf("%s calls %s: %q", m.email(), email, reply.Text)
	}
	return reply.Arg(2), err
}

// reply returns the verb of the answer to a message, empty if there was none.
func (s *said) reply() string {
	s.sender.mu.Lock()
	defer s.sender.mu.Unlock()
	return s.sender.replies[s.trid].Verb
}

// leave ends the stay: in good order or not.
func (m *member) leave(politely bool) {
	m.gone = true
	if politely {
		_ = m.chat.Send("OUT") // a connection that has ended is as good
		m.reading.Wait()
	}
	m.chat.Close()
	m.reading.Wait()
}

// stall stops reading, but for one message more at most, and has the kernel
// take little in its place.
func (m *member) stall() error {
	m.gone = true
	m.stalled.Store(true)
	return m.chat.NetConn().(*net.TCPConn).SetReadBuffer(1 << 10)
}

// knows returns who is here, as the member was told.
func (m *member) knows() map[string]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.here)
}

// messages returns the names of those that were heard, in order.
func (m *member) messages() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.heard)
}

// fault returns what was wrong with something that was heard.
func (m *member) fault() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// payload makes the bytes of a message from its name: any bytes at all.
func payload(name string, size int) []byte {
	var seed [32]byte
	copy(seed[:], name)
	b := append([]byte(name), '\n')
	noise := rand.NewChaCha8(seed)
	body := make([]byte, size)
	noise.Read(body)
	return append(b, body...)
}

// check returns the name of a message, if all its bytes are right.
func check(b []byte) (string, error) {
	for i, c := range b {
		if c == '\n' {
			name := string(b[:i])
			if want := payload(name, len(b)-i-1); string(want) != string(b) {
				return "", fmt.Errorf("%s: bytes are not those that were sent", name)
			}
			return name, nil
		}
	}
	return "", fmt.Errorf("has no name: %q", b)
}
