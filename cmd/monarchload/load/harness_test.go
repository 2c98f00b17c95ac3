package load

import (
	"bytes"
	"fmt"
	"net"
	"sync"
	"testing"
)

// sink is a connection that takes everything.
type sink struct {
	net.Conn
	mu   sync.Mutex
	sent bytes.Buffer
}

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent.Write(b)
}

func (*sink) Close() error { return nil }

// stage is a run without a network: its clients are online, and hear what the
// test says.
type stage struct {
	t *testing.T
	*run
}

// newStage has clients of these names, all of whom see each other and are
// steady.
func newStage(t *testing.T, cfg Config, names ...string) *stage {
	t.Helper()
	for _, n := range names {
		cfg.Accounts = append(cfg.Accounts, Account{Email: n + "@example.com"})
	}
	s := &stage{t, newRun(cfg)}
	for _, c := range s.clients {
		c.name = "Name"
		c.conn = newConn(s.run, &sink{})
		c.seq.Store(1)
		c.answered = 1
		c.lists = &lists{allowRest: true}
		for _, other := range s.clients {
			if other != c {
				c.contacts = append(c.contacts, contact{who: other.id, seq: 1, shown: statusOf(1)})
			}
		}
	}
	s.link(s.clients)
	s.statusPacer(s.clients, 0, 0)
	return s
}

func (s *stage) client(name string) *client {
	s.t.Helper()
	c := s.byEmail[name+"@example.com"]
	if c == nil {
		s.t.Fatalf("there is no %s", name)
	}
	return c
}

// hears gives a client a line, in which @ stands for @example.com.
func (s *stage) hears(name, format string, args ...any) {
	s.t.Helper()
	line := bytes.ReplaceAll(fmt.Appendf(nil, format, args...), []byte("@"), []byte("@example.com"))
	c := s.client(name)
	if err := c.hear(c.conn, line, nil); err != nil {
		s.t.Fatal(err)
	}
}

// counts are the faults and what else is worth comparing.
type counts struct{ lost, doubled, changed, outOfOrder, late, errors, done int64 }

// want compares what was counted.
func (s *stage) want(want counts) {
	s.t.Helper()
	f := &s.faults
	got := counts{
		f.lost.Load(), f.doubled.Load(), f.changed.Load(), f.outOfOrder.Load(), f.late.Load(), f.sum(),
		s.statuses.operations.Load() + s.messages.operations.Load() + s.edits.operations.Load(),
	}
	if got != want {
		s.t.Errorf("want %+v\n got %+v\n%q", want, got, f.examples)
	}
}
