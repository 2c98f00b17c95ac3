package load

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"strconv"
	"sync"
)

// edit is a client that edits its list: it puts a stranger on it, and takes
// them off again. That is one operation. It is done when both commands are
// answered and the stranger has heard of both.
type edit struct {
	client *client
	pacer  *pacer
	pick   *rand.Rand

	mu         sync.Mutex
	other      *client // nil while no edit is under way
	add, rem   uint32  // transaction ids; rem is 0 while the answer to ADD is awaited
	got        uint8   // what has come
	due, begun int64
	broken     bool // the list is perhaps not as it was: nothing is edited any more
}

// What an edit waits for.
const (
	addAnswered uint8 = 1 << iota
	addHeard
	remAnswered
	remHeard
	editDone = addAnswered | addHeard | remAnswered | remHeard
)

// editPacer lets clients edit their lists.
func (r *run) editPacer(clients []*client, rate float64, underWay int) (*pacer, error) {
	p := newPacer(r.edits, rate, underWay, nil)
	for _, c := range clients {
		if !c.steady.Load() {
			continue
		}
		e := &edit{client: c, pacer: p, pick: rand.New(rand.NewPCG(uint64(c.id), 1))}
		if e.stranger() != nil {
			c.edit.Store(e)
			p.push(e)
		}
	}
	if p.n == 0 {
		return nil, fmt.Errorf("%w: nobody has a stranger to put on a list", ErrNobody)
	}
	return p, nil
}

// stranger finds somebody online who is not on the client's list, or nil.
func (e *edit) stranger() *client {
	c := e.client
	c.known.Lock()
	defer c.known.Unlock()
	for range 20 {
		s := c.run.clients[e.pick.IntN(len(c.run.clients))]
		if s != c && s.steady.Load() && c.contact(s.id) == nil {
			return s
		}
	}
	return nil
}

func (e *edit) begin(due int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.broken {
		return false
	}
	if e.other = e.stranger(); e.other == nil {
		return false
	}
	e.due, e.begun = due, e.client.run.now()
	e.got, e.rem = 0, 0
	var ok bool
	if e.add, ok = e.say("ADD", e.other.email); !ok {
		e.other = nil
	}
	return ok
}

// say sends the one or the other command. The caller holds mu.
func (e *edit) say(verb, name string) (trid uint32, ok bool) {
	c := e.client
	c.mu.Lock()
	defer c.mu.Unlock()
	trid = c.nextTrID()
	err := c.send(func(b []byte) []byte {
		b = strconv.AppendUint(append(append(b, verb...), ' '), uint64(trid), 10)
		b = append(append(b, " FL "...), e.other.email...)
		if verb == "ADD" {
			b = append(append(b, ' '), name...)
		}
		return append(b, "\r\n"...)
	})
	return trid, err == nil
}

// edited takes in ADD or REM: an answer, or what somebody else has done.
//
//	ADD TrID FL ver handle name    ADD 0 RL ver handle name
//	REM TrID FL ver handle         REM 0 RL ver handle
func (c *client) edited(f fields, at int64) {
	add := string(f[0]) == "ADD"
	if string(f[1]) != "0" {
		if e := c.edit.Load(); e != nil {
			e.answered(add, f, at)
		}
		return
	}
	by := c.run.byEmail[string(f[4])]
	if string(f[2]) != "RL" || by == nil {
		return // somebody who is not under load
	}
	bit := addHeard
	if !add {
		bit = remHeard
	}
	if e := by.edit.Load(); e == nil || !e.came(bit, c, at) {
		c.run.faults.seen(&c.run.faults.changed, "%s was told %s of %s, who has done nothing", c.email, f[0], by.email)
	}
}

// answered takes in the answer to a command of the client's own.
func (e *edit) answered(add bool, f fields, at int64) {
	trid, _ := number(f[1])
	e.mu.Lock()
	known := e.other != nil && string(f[4]) == e.other.email && (add && trid == e.add || !add && trid == e.rem)
	other := e.other
	if known && add && e.got&addAnswered == 0 {
		var ok bool
		if e.rem, ok = e.say("REM", ""); !ok {
			e.broken = true
		}
	}
	e.mu.Unlock()
	bit := addAnswered
	if !add {
		bit = remAnswered
	}
	if !known || !e.came(bit, other, at) {
		faults := &e.client.run.faults
		faults.seen(&faults.changed, "%s was answered %s %s of %s, which is not what it asked", e.client.email, f[0], f[1], f[4])
	}
}

// came notes that one of the lines has come that concern the client and other.
// It returns false if there is no such edit.
func (e *edit) came(bit uint8, other *client, at int64) bool {
	faults := &e.client.run.faults
	e.mu.Lock()
	if e.other != other || other == nil {
		e.mu.Unlock()
		return false
	}
	if e.got&bit != 0 {
		e.mu.Unlock()
		faults.seen(&faults.doubled, "%s and %s were told of an edit twice", e.client.email, other.email)
		return true
	}
	if bit == remHeard && e.got&addHeard == 0 {
		faults.seen(&faults.outOfOrder, "%s was taken off the list of %s before it was put there", other.email, e.client.email)
	}
	e.got |= bit
	done, due := e.got == editDone, e.due
	if done {
		e.other = nil
	}
	e.mu.Unlock()
	t := e.client.run.edits
	if bit == addHeard || bit == remHeard {
		t.delivered(due, at)
	}
	if done {
		t.done(due, at)
		e.pacer.done(e)
	}
	return true
}

// refused is told of an error. It returns false if that is of something else.
func (e *edit) refused(trid uint32, code string, at int64) bool {
	e.mu.Lock()
	mine := e.other != nil && (trid == e.add || trid == e.rem)
	// What was put there stays.
	e.broken = e.broken || mine && trid == e.rem
	e.mu.Unlock()
	if mine {
		e.client.run.faults.error("edit: "+code, 1)
		e.giveUp(at, false)
	}
	return mine
}

// concerns reports whether the client is editing what it has of somebody.
func (e *edit) concerns(s *client) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.other == s
}

// overdue gives the edit up if it was begun before then.
func (e *edit) overdue(before, at int64) {
	e.mu.Lock()
	late := e.other != nil && e.begun < before
	e.mu.Unlock()
	if late {
		e.giveUp(at, true)
	}
}

// giveUp ends an edit of which something has not come.
func (e *edit) giveUp(at int64, counts bool) {
	r := e.client.run
	e.mu.Lock()
	if e.other == nil {
		e.mu.Unlock()
		return
	}
	if counts {
		// Whatever became of it, the list shall be as it was.
		e.broken = true
		connected := e.client.steady.Load() && e.other.steady.Load()
		if e.rem == 0 {
			e.say("REM", "")
		}
		missing := bits.OnesCount8(editDone &^ e.got)
		if e.rem == 0 {
			missing -= 2 // These were never asked for.
		}
		if connected {
			r.faults.seen(&r.faults.lost, "%s and %s were not told all of an edit (%04b)", e.client.email, e.other.email, e.got)
			r.faults.lost.Add(int64(missing - 1))
		} else {
			r.faults.error("edit: connection lost", 1)
		}
	}
	e.other = nil
	due, broken := e.due, e.broken
	e.mu.Unlock()
	if r.within(due) {
		r.edits.never(due, at)
	}
	if broken {
		e.pacer.dropped()
	} else {
		e.pacer.done(e)
	}
}
