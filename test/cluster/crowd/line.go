package crowd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/monarch-msn/monarch/msnp"
	"github.com/monarch-msn/monarch/msnp/client"
)

// line is a connection to a notification server with a goroutine that reads.
type line struct {
	*client.Client
	ended chan struct{}
	// leaving says that the user has said OUT. A line of presence may still
	// come behind the server's OUT, which is of no consequence.
	leaving atomic.Bool

	mu      sync.Mutex
	replies map[string]chan client.Message
}

var (
	errEnded  = errors.New("the connection has ended")
	errSilent = errors.New("no answer came")
)

// login signs in: by dispatch, or now and then at the notification server of
// last time, which real clients remember, and by dispatch if that one does not
// answer. It reads the lists and goes online.
func (m *member) login(ctx context.Context) error {
	m.mu.Lock()
	if m.missing.IsZero() {
		m.missing = time.Now()
	}
	dispatch := someone(m.rng, m.crowd.opt.Dispatch)
	address := dispatch
	if m.at != "" && m.rng.IntN(3) == 0 {
		address = m.at
	}
	m.mu.Unlock()
	base := map[string]int64{}
	for _, o := range m.crowd.members {
		base[o.email] = o.ends.Load()
	}
	attempt, cancel := context.WithTimeout(ctx, loginTime)
	defer cancel()
	c, err := client.Login(attempt, client.Options{Dispatch: address, Email: m.email, Password: m.password})
	var code msnp.Code
	if err != nil && !errors.As(err, &code) && address != dispatch {
		// The server of last time is gone, or is just going.
		m.note("-- login at %s: %v", address, err)
		address = dispatch
		c, err = client.Login(attempt, client.Options{Dispatch: address, Email: m.email, Password: m.password})
	}
	if err != nil {
		m.mu.Lock()
		m.at = ""
		m.mu.Unlock()
		return err
	}
	block, err := c.Sync(attempt, 0)
	if err != nil {
		c.Close()
		return fmt.Errorf("SYN: %w", err)
	}
	l := &line{Client: c, ended: make(chan struct{}), replies: map[string]chan client.Message{}}
	if err := m.open(l, address, block, base); err != nil {
		c.Close()
		m.crowd.fail("%s: %v\n%s", m.email, err, m.recent())
		return err
	}
	m.crowd.living.Go(func() { m.read(l) })
	if err := m.change(ctx, l, "NLN"); err != nil {
		m.hangUp(l)
		return fmt.Errorf("CHG: %w", err)
	}
	m.crowd.count.logins.Add(1)
	m.back()
	return nil
}

// back notes how long that took.
func (m *member) back() {
	m.mu.Lock()
	took := time.Since(m.missing)
	m.missing = time.Time{}
	m.mu.Unlock()
	m.crowd.change(func() { m.crowd.absence = max(m.crowd.absence, took) })
}

// open takes in what a login has found.
func (m *member) open(l *line, address string, block []client.Message, base map[string]int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(l.Referrals); n > 0 {
		address = l.Referrals[n-1]
	}
	m.notes("-- login at %s", address)
	for _, b := range block {
		if err := m.hearVersion(b); err != nil {
			return fmt.Errorf("%q: %w", b.Text, err)
		}
	}
	found, reverse := readBlock(block)
	if err := m.book.adopt(found); err != nil {
		return err
	}
	m.told = newTold()
	m.told.lists, m.told.reverse, m.told.base = maps.Clone(found), reverse, base
	m.line, m.at, m.status = l, address, ""
	return nil
}

// read takes in what the server says until the connection ends.
func (m *member) read(l *line) {
	var last string
	for {
		msg, err := l.Next(context.Background()) // ends with the connection
		if err != nil {
			m.over(l, last, err)
			return
		}
		last = msg.Text
		m.mu.Lock()
		m.notes("< %s", msg.Text)
		wrong := m.hear(msg)
		m.mu.Unlock()
		if wrong != nil {
			m.crowd.fail("%s was told %q: %v\n%s%s", m.email, msg.Text, wrong, m.recent(), m.about(msg))
		}
		l.answer(msg)
		if ring, ok := client.ParseRing(msg); ok {
			m.crowd.talking.Go(func() { m.enter(l, ring) })
		}
	}
}

// about is the log of whom a line of presence is about.
func (m *member) about(msg client.Message) string {
	for _, a := range msg.Args {
		if o := m.crowd.byEmail[a]; o != nil && o != m {
			return o.recent()
		}
	}
	return ""
}

// answer hands a line to who waits for it.
func (l *line) answer(msg client.Message) {
	key := msg.TrID()
	if msg.Verb == "QNG" {
		key = msg.Verb
	}
	l.mu.Lock()
	reply := l.replies[key]
	delete(l.replies, key)
	l.mu.Unlock()
	if reply != nil {
		reply <- msg
	}
}

// over notes that the connection has ended.
func (m *member) over(l *line, last string, err error) {
	m.ends.Add(1)
	m.mu.Lock()
	m.notes("-- ended: %v", err)
	ours := m.line == l
	if ours {
		m.line, m.status = nil, ""
	}
	ended := gone{m.email, m.told.falls, m.told.base, m.tail()}
	m.mu.Unlock()
	m.crowd.mu.Lock()
	m.crowd.gone = append(m.crowd.gone, ended)
	m.crowd.mu.Unlock()
	switch {
	case !ours: // the user has hung up
	case last == "OUT SSD":
		m.crowd.count.away.Add(1)
	case !l.leaving.Load() || !errors.Is(err, io.EOF):
		m.crowd.count.lost.Add(1)
		m.crowd.change(func() { m.crowd.lost = keep(m.crowd.lost, ended.tail) })
	}
	close(l.ended)
	l.Close()
}

// hangUp ends the connection, and waits until its reader has ended.
func (m *member) hangUp(l *line) {
	m.mu.Lock()
	if m.line == l {
		m.line, m.status = nil, ""
	}
	m.mu.Unlock()
	l.Close()
	<-l.ended
}

// session does things until the connection ends.
func (m *member) session(ctx context.Context) {
	m.mu.Lock()
	l := m.line
	m.mu.Unlock()
	if l == nil {
		return // over already
	}
	for {
		pace := int64(m.crowd.opt.Pace)
		select {
		case <-ctx.Done():
			m.hangUp(l)
			return
		case <-l.ended:
			return
		case <-time.After(time.Duration(pace/2 + m.rng.Int64N(pace))):
		}
		if !m.crowd.acting.TryRLock() {
			continue // the crowd rests; to wait for its end here would be deaf to that of the connection
		}
		err := m.act(ctx, l)
		m.crowd.acting.RUnlock()
		if err == nil {
			continue
		}
		if !errors.Is(err, errEnded) && ctx.Err() == nil {
			m.crowd.fail("%s: %v\n%s", m.email, err, m.recent())
		}
		m.hangUp(l)
		return
	}
}

// do sends a command and returns the first line of its answer. An error line
// is an error that is its code.
func (m *member) do(ctx context.Context, l *line, verb string, args ...string) (client.Message, error) {
	if verb == "PNG" {
		return m.await(ctx, l, "QNG", "PNG")
	}
	trid := strconv.FormatUint(uint64(l.NextTrID()), 10)
	return m.await(ctx, l, trid, strings.Join(append([]string{verb, trid}, args...), " "))
}

func (m *member) await(ctx context.Context, l *line, key, command string) (client.Message, error) {
	reply := make(chan client.Message, 1)
	l.mu.Lock()
	l.replies[key] = reply
	l.mu.Unlock()
	m.note("> %s", command)
	if err := l.Send(command); err != nil {
		return client.Message{}, fmt.Errorf("%s: %w: %w", command, errEnded, err)
	}
	select {
	case msg := <-reply:
		if code, ok := msg.Code(); ok {
			return msg, code
		}
		return msg, nil
	case <-l.ended:
		return client.Message{}, fmt.Errorf("%s: %w", command, errEnded)
	case <-ctx.Done():
		return client.Message{}, ctx.Err()
	case <-time.After(answerTime):
		return client.Message{}, fmt.Errorf("%s: %w", command, errSilent)
	}
}
