package switchboard

import (
	"testing"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

const (
	ann = "ann@example.com"
	bob = "bob@example.com"
	cat = "cat@example.com"
)

func TestACalleeWhoIsQuickerThanTheAnswerOfTheNode(t *testing.T) {
	b := newBoard(t, Config{})
	n := b.node()
	n.claim(bob)
	a := b.found(ann)
	a.says("CAL 2 " + bob)
	ring := n.ring()
	// The client has the cookie, and the switchboard does not know yet.
	early := b.dial()
	early.says("ANS 1 " + bob + " " + ring.GetCookie() + " " + ring.GetSessionId())
	n.answer(ring, clusterv1.RingResult_OUTCOME_RINGING, "Robert")
	early.hears("IRO 1 1 1 " + ann + " Ann")
	early.hears("ANS 1 OK")
	a.hears("CAL 2 RINGING " + ring.GetSessionId())
	a.hears("JOI " + bob + " Robert")
}

func TestNotHereIsLookedUpOnceMore(t *testing.T) {
	b := newBoard(t, Config{RefusalStep: time.Millisecond})
	old, fresh := b.node(), b.node()
	old.claim(bob)
	a := b.found(ann)
	a.says("CAL 2 " + bob)
	first := old.ring()
	fresh.claim(bob)
	old.answer(first, clusterv1.RingResult_OUTCOME_NOT_HERE, "")
	second := fresh.ring()
	if second.GetCookie() != first.GetCookie() || second.GetCaller() != ann || second.GetCallerName() != "Ann" {
		t.Errorf("the second ring is %v, the first was %v", second, first)
	}
	fresh.answer(second, clusterv1.RingResult_OUTCOME_RINGING, "Bob")
	a.hears("CAL 2 RINGING " + second.GetSessionId())

	// Twice not here is no, and so is once where the record is as before.
	old.claim(cat)
	a.says("CAL 3 " + cat)
	first = old.ring()
	fresh.claim(cat)
	old.answer(first, clusterv1.RingResult_OUTCOME_NOT_HERE, "")
	fresh.answer(fresh.ring(), clusterv1.RingResult_OUTCOME_NOT_HERE, "")
	a.hears("217 3")
	a.says("CAL 4 " + cat)
	fresh.answer(fresh.ring(), clusterv1.RingResult_OUTCOME_NOT_HERE, "")
	a.hears("217 4")
}

func TestAnInvitationThatNobodyAnswersForIsVoid(t *testing.T) {
	b := newBoard(t, Config{RingTimeout: 20 * time.Millisecond, RefusalStep: time.Millisecond})
	n := b.node()
	n.claim(bob)
	a := b.found(ann)
	a.says("CAL 2 " + bob)
	late := n.ring()
	a.hears("217 2")
	n.answer(late, clusterv1.RingResult_OUTCOME_RINGING, "Bob")
	q := b.dial()
	q.says("ANS 1 " + bob + " " + late.GetCookie() + " " + late.GetSessionId())
	q.hears("911 1")
	q.closed()
}

func TestACalleeOfADeadNode(t *testing.T) {
	b := newBoard(t, Config{RefusalStep: time.Millisecond})
	n := b.node()
	n.claim(bob)
	a := b.found(ann)
	// The record stays, as when a machine loses power, and nobody hears the
	// inbox any more.
	n.kill()
	a.says("CAL 2 " + bob)
	a.hears("217 2")
}

// A refusal that is told at once would tell that nobody was asked.
func TestEveryNoTakesItsTime(t *testing.T) {
	const step = 100 * time.Millisecond
	b := newBoard(t, Config{RefusalStep: step})
	n := b.node()
	n.claim(bob)
	a := b.found(ann)
	for i, callee := range []string{bob, cat} {
		started := time.Now()
		a.says("CAL " + string(rune('2'+i)) + " " + callee)
		if callee == bob {
			n.answer(n.ring(), clusterv1.RingResult_OUTCOME_REFUSED, "")
		}
		a.hears("217 " + string(rune('2'+i)))
		if took := time.Since(started); took < step {
			t.Errorf("%s: told after %v, want %v at least", callee, took, step)
		}
	}
}

func TestAnInvitationLapses(t *testing.T) {
	b := newBoard(t, Config{RingTime: time.Nanosecond})
	n := b.node()
	n.claim(bob)
	a := b.found(ann)
	for range 2 {
		a.says("CAL 2 " + bob)
		ring := n.ring()
		n.answer(ring, clusterv1.RingResult_OUTCOME_RINGING, "Bob")
		a.hears("CAL 2 RINGING " + ring.GetSessionId())
		q := b.dial()
		q.says("ANS 1 " + bob + " " + ring.GetCookie() + " " + ring.GetSessionId())
		q.hears("911 1")
		q.closed()
	}
}

func TestWhileRedisIsAway(t *testing.T) {
	b := newBoard(t, Config{})
	n := b.node()
	a := b.found(ann)
	q := b.join(a, n, bob)
	ticket := b.ticket(cat, b.ID(), time.Minute)
	b.redis.SetError("gone")
	defer b.redis.SetError("")
	a.says("CAL 3 " + cat)
	a.hears("600 3")
	c := b.dial()
	c.says("USR 1 " + cat + " " + ticket)
	c.hears("600 1")
	c.closed()
	// Those who talk do not notice.
	a.message(4, "A", []byte("hello"))
	a.hears("ACK 4")
	q.gets([]byte("hello"))
}

func TestTickets(t *testing.T) {
	b := newBoard(t, Config{})
	for name, ticket := range map[string]string{
		"of another node":    b.ticket(ann, "aaaaaaaaaaaaaaaaaaaa", time.Minute),
		"of another user":    b.ticket(bob, b.ID(), time.Minute),
		"of the wrong shape": "1726321960.482915073",
		"invented":           "00000000000000000000000000000000",
	} {
		for range 2 {
			p := b.dial()
			p.says("USR 1 " + ann + " " + ticket)
			if m := p.next(); m.Text != "911 1" {
				t.Errorf("a ticket %s: %q", name, m.Text)
			}
			p.closed()
		}
	}
	ticket := b.ticket(ann, b.ID(), time.Minute)
	b.redis.FastForward(2 * time.Minute)
	p := b.dial()
	p.says("USR 1 " + ann + " " + ticket)
	p.hears("911 1")
	p.closed()
	if n := b.Rooms(); n != 0 {
		t.Errorf("%d rooms, want none", n)
	}
}
