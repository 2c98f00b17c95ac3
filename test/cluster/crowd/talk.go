package crowd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/monarch-msn/monarch/msnp"
	"github.com/monarch-msn/monarch/msnp/client"
)

const (
	// talkTime bounds a conversation, and everything of it.
	talkTime = 30 * time.Second
	// maxSaid is how much is said in one.
	maxSaid = 8
	// sayEvery is the mean time between two messages.
	sayEvery = 500 * time.Millisecond
)

// talk is one conversation of two: what was said and acknowledged, and what
// has arrived.
type talk struct {
	name         string
	acknowledged int // messages 1 to this were
	said         int
	heard        []int
	broken       bool // a connection ended before its time
	open         int  // ends that have not finished
}

// begin opens the books of a conversation. A caller has one at a time.
func (c *Crowd) begin(caller *member) *talk {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.talked++
	t := &talk{name: fmt.Sprintf("talk-%d", c.talked), open: 1}
	c.talks[caller.email] = t
	return t
}

// join adds the end of who was called; nil where the caller has given up.
func (c *Crowd) join(caller string) *talk {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.talks[caller]
	if t != nil {
		t.open++
	}
	return t
}

// finish closes one end of a conversation. With the last the books are
// compared.
func (c *Crowd) finish(t *talk) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.open--; t.open > 0 {
		return
	}
	arrived := map[int]bool{}
	for i, n := range t.heard {
		arrived[n] = true
		if i > 0 && n <= t.heard[i-1] {
			c.wrong = append(c.wrong, fmt.Sprintf("%s: %d arrived after %d", t.name, n, t.heard[i-1]))
		}
	}
	missing := 0
	for n := 1; n <= t.acknowledged; n++ {
		if !arrived[n] {
			missing++
		}
	}
	if t.broken {
		c.count.broken.Add(1)
		c.count.missing.Add(int64(missing))
	} else if missing > 0 && len(c.wrong) < maxWrong {
		c.wrong = append(c.wrong, fmt.Sprintf("%s: of %d messages acknowledged %d did not arrive: %v", t.name, t.acknowledged, missing, t.heard))
	}
}

// hangUp is finish for the caller.
func (c *Crowd) hangUp(caller *member, t *talk) {
	c.change(func() { delete(c.talks, caller.email) })
	c.finish(t)
}

func (c *Crowd) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// talk calls a contact who is online and says a few things. Nothing that keeps
// it from coming about ends the session, but the session's own end.
func (m *member) talk(ctx context.Context, l *line) error {
	ctx, cancel := context.WithTimeout(ctx, talkTime)
	defer cancel()
	m.mu.Lock()
	var others []*member
	for _, o := range m.contacts {
		if m.told.shown[o.email] != "" {
			others = append(others, o)
		}
	}
	hidden := m.status == "HDN"
	m.mu.Unlock()
	if len(others) == 0 || hidden {
		return nil
	}
	o := someone(m.rng, others)
	reply, err := m.do(ctx, l, "XFR", "SB")
	var code msnp.Code
	switch {
	case errors.As(err, &code) && (code >= 500 || code == msnp.CodeSwitchboardFailed):
		return nil
	case err != nil:
		return err
	}
	chat, err := l.BeginChat(ctx, reply.Arg(2), reply.Arg(4))
	if err != nil {
		m.note("-- begin a conversation: %v", err)
		return nil
	}
	defer chat.Close()
	t := m.crowd.begin(m)
	defer m.crowd.hangUp(m, t)
	if !m.invite(ctx, chat, t, o) {
		return nil
	}
	for n := 1; n <= maxSaid && !m.crowd.resting.Load(); n++ {
		m.crowd.change(func() { t.said = n })
		err := chat.Deliver(ctx, client.TextMessage(t.name+" "+strconv.Itoa(n)))
		if errors.Is(err, client.ErrNotDelivered) {
			return nil // the other has left, or its connection was lost
		}
		if err != nil {
			m.note("-- conversation: %v", err)
			m.crowd.change(func() { t.broken = true })
			return nil
		}
		m.crowd.change(func() { t.acknowledged = n })
		m.crowd.count.said.Add(1)
		sleep(ctx, time.Duration(m.rng.Int64N(int64(2*sayEvery))))
	}
	if err := chat.Logout(ctx); err != nil {
		m.crowd.change(func() { t.broken = true })
	}
	return nil
}

// invite calls the other and waits for that one to enter.
func (m *member) invite(ctx context.Context, chat *client.Chat, t *talk, o *member) bool {
	if err := chat.Call(ctx, o.email); err != nil {
		m.note("-- call: %v", err)
		return false
	}
	wait, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		msg, err := chat.Next(wait)
		if err != nil {
			m.note("-- wait for JOI: %v", err)
			return false
		}
		if msg.Verb == "JOI" {
			return true
		}
	}
}

// enter answers a call and listens until the conversation ends.
func (m *member) enter(l *line, ring client.Ring) {
	t := m.crowd.join(ring.Caller.Email)
	if t == nil {
		return
	}
	defer m.crowd.finish(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*talkTime)
	defer cancel()
	chat, err := l.EnterChat(ctx, ring)
	if err != nil {
		m.note("-- enter a conversation: %v", err)
		return
	}
	defer chat.Close()
	for {
		msg, err := chat.Next(ctx)
		if err != nil {
			m.crowd.change(func() { t.broken = true })
			return
		}
		switch msg.Verb {
		case "BYE":
			_ = chat.Logout(ctx) // the other one has left
			return
		case "MSG":
			if err := m.crowd.listen(t, msg); err != nil {
				m.crowd.fail("%s heard %q in a conversation: %v", m.email, msg.Payload, err)
				return
			}
		}
	}
}

// listen notes a message that has arrived.
func (c *Crowd) listen(t *talk, msg client.Message) error {
	_, body := client.ParseMessage(msg.Payload)
	name, digits, _ := strings.Cut(string(body), " ")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.name != name || n > t.said {
		return errors.New("not said here")
	}
	t.heard = append(t.heard, n)
	c.count.heard.Add(1)
	return nil
}
