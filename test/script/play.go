package script

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A play is one run of a script in one dialect.
type play struct {
	script  *Script
	dialect string
	network Network
	timeout time.Duration

	alias   *alias
	vars    vars
	conns   []*conn // in the order of their first appearance
	reading sync.WaitGroup
}

// A turn is one step of a play under way.
type turn struct {
	*play
	ctx context.Context
}

// Play plays the script once, for one of its dialects, with accounts of its
// own. Patience is how long any one line may take to come. The error is a
// *Failure unless the accounts could not be made.
func (s *Script) Play(ctx context.Context, network Network, dialect string, patience time.Duration) error {
	p := &play{
		script:  s,
		dialect: dialect,
		network: network,
		timeout: patience,
		vars: vars{
			"dialect":  dialect,
			"offer":    offers[dialect],
			"dispatch": network.Dispatch(),
		},
	}
	var emails []string
	for _, a := range s.accounts {
		emails = append(emails, a.email)
	}
	p.alias = newAlias(emails)
	if err := p.stage(ctx); err != nil {
		return fmt.Errorf("%s: set the stage: %w", s.Name, err)
	}
	defer p.reading.Wait()
	defer func() {
		for _, c := range p.conns {
			c.close()
		}
	}()
	t := &turn{play: p, ctx: ctx}
	for _, step := range s.stepsFor(dialect) {
		if err := step.act.do(t); err != nil {
			return p.failure(step.line, step.text, err)
		}
	}
	last := s.steps[len(s.steps)-1]
	err := (settle{}).do(t)
	if err == nil {
		err = t.hangUp()
	}
	if err != nil {
		return p.failure(last.line, "silence at the end", err)
	}
	return nil
}

// stepsFor are the steps of one dialect, runs of unordered lines in one step.
func (s *Script) stepsFor(dialect string) []step {
	var steps []step
	for _, st := range s.steps {
		if !st.only.has(dialect) {
			continue
		}
		e, ok := st.act.(*expect)
		if ok && e.unordered {
			if last := len(steps) - 1; last >= 0 {
				before, ok := steps[last].act.(*expect)
				if ok && before.unordered && before.conn == e.conn {
					steps[last].act = &expect{e.conn, true, append(slices.Clip(before.lines), e.lines...)}
					continue
				}
			}
		}
		steps = append(steps, st)
	}
	return steps
}

// conn finds a connection that was opened.
func (p *play) conn(name string) *conn {
	i := slices.IndexFunc(p.conns, func(c *conn) bool { return c.name == name })
	if i < 0 {
		return nil
	}
	return p.conns[i]
}

// open dials a new connection of that name.
func (t *turn) open(name, address string) (*conn, error) {
	c := t.conn(name)
	if c == nil {
		c = &conn{name: name, play: t.play}
		t.conns = append(t.conns, c)
	}
	if err := c.dial(t.ctx, address); err != nil {
		return c, &mismatch{conn: c, err: err}
	}
	return c, nil
}

// home is the node on which the connection lives: neighbouring accounts, and
// connections of one account, live on different ones.
func (p *play) home(conn string) int {
	short := accountOf(conn)
	i := slices.IndexFunc(p.script.accounts, func(a *account) bool { return a.short() == short })
	n := 0
	fmt.Sscanf(strings.TrimPrefix(conn, short), "%d", &n)
	return max(i, 0) + max(n-1, 0)
}

// many reports whether the network has more than one notification node.
func (p *play) many() bool { return p.network.Notification(0) != p.network.Notification(1) }

func (a connect) do(t *turn) error {
	address := t.network.Dispatch()
	switch {
	case a.address != "":
		var err error
		if address, err = t.vars.expand(a.address); err != nil {
			return err
		}
	case a.server == "notification":
		node := a.node - 1
		if node < 0 {
			node = t.home(a.conn)
		}
		address = t.network.Notification(node)
	}
	_, err := t.open(a.conn, address)
	return err
}

func (a follow) do(t *turn) error {
	c := t.conn(a.conn)
	if c.referral == "" {
		return &mismatch{conn: c, want: "an XFR to follow", got: "none"}
	}
	_, err := t.open(a.conn, c.referral)
	return err
}

func (a drop) do(t *turn) error {
	c := t.conn(a.conn)
	c.note("-- dropped")
	c.close()
	return nil
}

func (a bytewise) do(t *turn) error {
	t.conn(a.conn).bytewise = true
	return nil
}

func (a *send) do(t *turn) error {
	c := t.conn(a.conn)
	body, err := a.payload.bytes(t.play)
	if err != nil {
		return err
	}
	body = t.alias.out(body)
	t.vars["len"] = fmt.Sprint(len(body))
	text, err := t.vars.expand(a.text)
	if err != nil {
		return err
	}
	line := t.alias.out([]byte(text))
	if !a.raw {
		line = append(line, "\r\n"...)
	}
	if err := c.send(append(line, body...), a.hold); err != nil {
		return &mismatch{conn: c, err: err}
	}
	return nil
}

// bytes is the payload as this play has it, before the accounts get their
// addresses on the wire.
func (p payload) bytes(of *play) ([]byte, error) {
	var b strings.Builder
	for _, line := range p.lines {
		if !line.only.has(of.dialect) {
			continue
		}
		text, err := of.vars.expand(line.text)
		if err != nil {
			return nil, err
		}
		b.WriteString(text)
	}
	return []byte(b.String()), nil
}

func (a *expect) do(t *turn) error {
	c := t.conn(a.conn)
	left := slices.Clone(a.lines)
	for len(left) > 0 {
		m, err := c.receive(t.ctx)
		if err != nil {
			return &mismatch{conn: c, want: wanted(left), err: err}
		}
		found := -1
		for i, want := range left {
			ok, err := want.matches(t.play, m)
			if err != nil {
				return &mismatch{conn: c, want: wanted(left), got: m.String(), err: err}
			}
			if ok {
				found = i
				break
			}
		}
		if found < 0 {
			return &mismatch{conn: c, want: wanted(left), got: m.String()}
		}
		left = slices.Delete(left, found, found+1)
	}
	return nil
}

// matches compares a message with the pattern, payload line by payload line.
func (w pattern) matches(p *play, m message) (bool, error) {
	p.vars["len"] = fmt.Sprint(len(m.payload))
	ok, err := p.vars.match(w.text, m.line)
	if !ok || w.any {
		return ok, err
	}
	rest := string(m.payload)
	for _, line := range w.lines {
		if !line.only.has(p.dialect) {
			continue
		}
		text, crlf := strings.CutSuffix(line.text, "\r\n")
		got := rest
		if crlf {
			var found bool
			if got, rest, found = strings.Cut(rest, "\r\n"); !found {
				return false, nil
			}
		} else {
			// Text without CRLF is as long as it is, or up to the end.
			n := min(len(text), len(rest))
			if strings.ContainsAny(text, "*$") {
				n = len(rest)
			}
			got, rest = rest[:n], rest[n:]
		}
		if ok, err := p.vars.match(text, got); !ok {
			return false, err
		}
	}
	return rest == "", nil
}

// wanted shows what is expected as the script writes it.
func wanted(lines []pattern) string {
	var texts []string
	for _, w := range lines {
		text := w.text
		for _, line := range w.lines {
			if body, ok := strings.CutSuffix(line.text, "\r\n"); ok {
				text += "\n   |" + body
			} else {
				text += "\n   =" + line.text
			}
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, "\nor ")
}

func (a closed) do(t *turn) error {
	c := t.conn(a.conn)
	m, err := c.receive(t.ctx)
	switch {
	case errors.Is(err, io.EOF):
		c.socket.Close()
		return nil
	case err != nil:
		return &mismatch{conn: c, want: "closed by the server", err: err}
	}
	return &mismatch{conn: c, want: "closed by the server", got: m.String()}
}

func (settle) do(t *turn) error { return t.settle(func(string) bool { return false }) }

// settle lets the network come to rest and checks that nobody received
// anything but lines that may pass. The first round of PNG makes sure that the
// servers have taken in everything that was sent, the second that everything
// which followed from it was read here.
func (t *turn) settle(pass func(line string) bool) error {
	if err := t.fence(pass); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(t.ctx, t.timeout)
	defer cancel()
	if err := t.network.Settle(ctx); err != nil {
		return fmt.Errorf("settle the network: %w", err)
	}
	return t.fence(pass)
}

// hangUp ends the sending side of the connections that have not logged in: a
// server answers what it was sent, then closes, so that here too silence is
// not a matter of time.
func (t *turn) hangUp() error {
	for _, c := range t.conns {
		if c.ended || c.authenticated {
			continue
		}
		if half, ok := c.socket.(*net.TCPConn); ok {
			if err := half.CloseWrite(); err != nil && !errors.Is(err, syscall.ENOTCONN) {
				return &mismatch{conn: c, err: err}
			}
		}
		m, err := c.receive(t.ctx)
		if errors.Is(err, io.EOF) {
			continue
		}
		return &mismatch{conn: c, want: "nothing more", got: m.String(), err: err}
	}
	return nil
}

// fence sends PNG on each connection that has logged in and reads up to the
// answer; on others nothing may have come.
func (t *turn) fence(pass func(line string) bool) error {
	for _, c := range t.conns {
		if c.ended || !c.authenticated {
			continue
		}
		if err := c.send([]byte("PNG\r\n"), false); err != nil {
			return &mismatch{conn: c, err: err}
		}
	}
	for _, c := range t.conns {
		if c.ended {
			continue
		}
		if !c.authenticated {
			if b := c.in.unread(); len(b) > 0 {
				return &mismatch{conn: c, want: "nothing more", got: strings.TrimSpace(string(t.alias.in(b)))}
			}
			continue
		}
		for {
			m, err := c.receive(t.ctx)
			if err != nil {
				return &mismatch{conn: c, want: "nothing more, and QNG", err: err}
			}
			if m.line == "QNG" {
				break
			}
			if !pass(m.line) {
				return &mismatch{conn: c, want: "nothing more, and QNG", got: m.String()}
			}
		}
	}
	return nil
}
