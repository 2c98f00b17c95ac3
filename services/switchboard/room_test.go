package switchboard

import (
	"bytes"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/internal/front"
)

func TestNumbersOfRooms(t *testing.T) {
	var rs rooms
	for range 1000 {
		r := rs.open(nil)
		n, err := strconv.ParseInt(r.id, 10, 32)
		if err != nil || len(r.id) < 7 || rs.find(uint32(n)) != r {
			t.Fatalf("number %q: %v", r.id, err)
		}
	}
	if rs.len() != 1000 {
		t.Errorf("%d rooms, want 1000", rs.len())
	}
}

func TestWhoSaysNothingIsClosed(t *testing.T) {
	b := newBoard(t, Config{LoginTimeout: time.Millisecond})
	b.dial().closed()
}

func TestAFloodReachesWhoReads(t *testing.T) {
	b := newBoard(t, Config{})
	n := b.node()
	a := b.found(ann)
	q := b.join(a, n, bob)
	const messages = 20_000
	payload := bytes.Repeat([]byte("x"), 1000)
	var sending sync.WaitGroup
	sending.Go(func() {
		for i := range messages {
			if err := a.SendPayload("MSG "+strconv.Itoa(i)+" N", payload); err != nil {
				t.Errorf("message %d: %v", i, err)
				return
			}
		}
	})
	defer sending.Wait()
	for range messages {
		q.gets(payload)
	}
}

// stalled makes a member who reads nothing, with as little as possible in the
// kernel.
func (b *board) stalled(p *peer, n *node, email string) *peer {
	b.t.Helper()
	q := b.join(p, n, email)
	if err := q.NetConn().(*net.TCPConn).SetReadBuffer(1 << 10); err != nil {
		b.t.Fatal(err)
	}
	return q
}

func TestWhoDoesNotReadIsDroppedAndDelaysNobody(t *testing.T) {
	b := newBoard(t, Config{Config: front.Config{OutboxBytes: 64 << 10}})
	n := b.node()
	a := b.found(ann)
	b.stalled(a, n, bob)
	c := b.join(a, n, cat)
	payload := bytes.Repeat([]byte("x"), 1600)
	refused, dropped := 0, false
	// skipBYE returns the next line but the one that tells of the drop.
	skipBYE := func(p *peer) string {
		m := p.next()
		if m.Text == "BYE "+bob {
			dropped = true
			m = p.next()
		}
		return m.Verb
	}
	for trid := 1; !dropped; trid++ {
		a.message(trid, "A", payload)
		// Whatever becomes of the one, the other hears it.
		if verb := skipBYE(c); verb != "MSG" {
			t.Fatalf("want a message, got %s", verb)
		}
		if skipBYE(a) == "NAK" {
			refused++
		}
	}
	if refused == 0 {
		t.Error("the message that was too much for one: want it refused")
	}
	b.until("two members to be left", func() bool { return b.Members() == 2 })
}

func TestTypingIsLeftOutForWhoLags(t *testing.T) {
	b := newBoard(t, Config{Config: front.Config{OutboxBytes: 1 << 20}, MessageRate: 1 << 20})
	n := b.node()
	a := b.found(ann)
	q := b.stalled(a, n, bob)
	var lagging *session
	for _, r := range b.rooms.all() {
		lagging = r.members[1]
	}
	payload := bytes.Repeat([]byte("x"), 1600)
	for trid := 1; lagging.conn.Unsent() <= b.cfg.OutboxBytes/4; trid++ {
		a.message(trid, "A", payload)
		a.hears("ACK " + strconv.Itoa(trid))
	}
	a.message(7, "U", []byte("typing"))
	a.message(8, "A", []byte("last"))
	a.hears("ACK 8")
	if err := q.NetConn().(*net.TCPConn).SetReadBuffer(1 << 20); err != nil {
		t.Fatal(err)
	}
	for {
		m := q.next()
		if string(m.Payload) == "typing" {
			t.Fatal("a notice came to somebody who lags")
		}
		if string(m.Payload) == "last" {
			return
		}
	}
}
