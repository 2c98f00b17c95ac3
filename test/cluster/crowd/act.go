package crowd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/monarch-msn/monarch/msnp"
)

var states = []string{"NLN", "BSY", "IDL", "BRB", "AWY", "PHN", "LUN"}

// act does one thing at random.
func (m *member) act(ctx context.Context, l *line) error {
	switch n := m.rng.IntN(100); {
	case n < 3:
		m.ends.Add(1)
		defer m.ends.Add(1) // it may take a while to take effect
		return m.change(ctx, l, "HDN")
	case n < 45:
		return m.change(ctx, l, someone(m.rng, states))
	case n < 60:
		return m.rename(ctx, l)
	case n < 75:
		return m.block(ctx, l, someone(m.rng, m.contacts))
	case n < 85:
		return m.befriend(ctx, l, someone(m.rng, m.strangers))
	case n < 97:
		return m.talk(ctx, l)
	default:
		m.note("> OUT")
		l.leaving.Store(true)
		if err := l.Send("OUT"); err != nil {
			return fmt.Errorf("OUT: %w: %w", errEnded, err)
		}
		select {
		case <-l.ended:
		case <-time.After(answerTime):
		}
		return errEnded
	}
}

func (m *member) change(ctx context.Context, l *line, status string) error {
	m.mu.Lock()
	if m.line == l {
		// What is told of others comes behind the echo.
		m.status = status
	}
	m.mu.Unlock()
	_, err := m.do(ctx, l, "CHG", status)
	return err
}

// edit makes one edit. The error is nil where the session goes on: also after
// an error of the server, which leaves the outcome open.
func (m *member) edit(ctx context.Context, l *line, k fact, value, verb string, args ...string) (done bool, err error) {
	if m.doubts(k) {
		return false, nil // until it is known what holds
	}
	_, err = m.do(ctx, l, verb, args...)
	m.mu.Lock()
	defer m.mu.Unlock()
	var code msnp.Code
	switch {
	case err == nil:
		m.book.set(k, value)
		m.crowd.count.edits.Add(1)
		return true, nil
	case errors.As(err, &code) && code >= 500:
		m.book.maybe[k] = value
		m.crowd.count.failed.Add(1)
		return false, nil
	case errors.As(err, &code):
		return false, fmt.Errorf("%s %v was refused: %w", verb, args, err)
	}
	m.book.maybe[k] = value
	m.crowd.count.unknown.Add(1)
	return false, err
}

// doubts reports whether it is not known if a fact holds, after an edit that may
// have been made.
func (m *member) doubts(k fact) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, open := m.book.maybe[k]
	return open
}

// holds returns a fact as far as the user knows.
func (m *member) holds(k fact) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.book.facts[k] != ""
}

func (m *member) rename(ctx context.Context, l *line) error {
	m.mu.Lock()
	m.number++
	nick := m.nick(m.number)
	m.mu.Unlock()
	_, err := m.edit(ctx, l, name, nick, "REA", m.email, nick)
	return err
}

// block moves a contact from AL to BL or back, as clients do.
func (m *member) block(ctx context.Context, l *line, o *member) error {
	m.ends.Add(1)
	defer m.ends.Add(1) // it may take a while to take effect
	allow, block := onList("AL", o.email), onList("BL", o.email)
	if m.doubts(allow) || m.doubts(block) {
		return nil // nobody can be on both, so both have to be known
	}
	if m.holds(block) {
		m.unsetBlocked(o.email)
		if done, err := m.edit(ctx, l, block, "", "REM", "BL", o.email); !done {
			return err
		}
		_, err := m.edit(ctx, l, allow, on, "ADD", "AL", o.email, o.email)
		return err
	}
	if m.holds(allow) {
		if done, err := m.edit(ctx, l, allow, "", "REM", "AL", o.email); !done {
			return err
		}
	}
	done, err := m.edit(ctx, l, block, on, "ADD", "BL", o.email, o.email)
	if done {
		m.mu.Lock()
		number := m.number
		m.mu.Unlock()
		m.setBlocked(o.email, number)
	}
	return err
}

// befriend puts somebody on FL, or takes that one off.
func (m *member) befriend(ctx context.Context, l *line, o *member) error {
	forward := onList("FL", o.email)
	if m.holds(forward) {
		_, err := m.edit(ctx, l, forward, "", "REM", "FL", o.email)
		return err
	}
	_, err := m.edit(ctx, l, forward, on, "ADD", "FL", o.email, o.email)
	return err
}
