package load

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/monarch-msn/monarch/msnp"
)

// link finds out who must be told of whom, from the lists of all who are
// online, and makes them steady.
func (r *run) link(up []*client) {
	online := make([]bool, len(r.clients))
	for _, c := range up {
		online[c.id] = true
		slices.Sort(c.lists.allow)
		slices.Sort(c.lists.ban)
	}
	for _, w := range up {
		w.known.Lock()
		for i := range w.contacts {
			k := &w.contacts[i]
			s := r.clients[k.who]
			if k.visible = online[k.who] && s.admits(w); k.visible {
				s.watchers = append(s.watchers, w)
			}
		}
		w.known.Unlock()
	}
	for _, c := range up {
		c.lists = nil
		c.watchers = slices.Clip(c.watchers)
		c.steady.Store(true)
	}
	r.online.Add(int64(len(up)))
	// Who has gone meanwhile was not steady yet.
	for _, c := range up {
		c.mu.Lock()
		left := c.conn == nil
		c.mu.Unlock()
		if left {
			c.excuse()
		}
	}
}

// admits reports whether the lists of c let w see it.
func (c *client) admits(w *client) bool {
	var on msnp.List
	if _, ok := slices.BinarySearch(c.lists.allow, w.id); ok {
		on |= msnp.AL
	}
	if _, ok := slices.BinarySearch(c.lists.ban, w.id); ok {
		on |= msnp.BL
	}
	return msnp.Admits(c.lists.allowRest, on)
}

// awaitAll returns once everybody has seen everybody online whom they may. Whom
// they do not see in time is lost, and whom they see and may not is changed.
func (r *run) awaitAll(ctx context.Context, up []*client) error {
	until := r.now() + int64(r.cfg.Deadline)
	for _, w := range up {
		for !w.seesAll(r.now() >= until) {
			if err := sleep(ctx, 5*time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}

// seesAll reports whether the client has seen all it may see, or is gone. If it
// is late enough, it has.
func (c *client) seesAll(late bool) bool {
	if !c.steady.Load() {
		return true
	}
	c.known.Lock()
	defer c.known.Unlock()
	for i := range c.contacts {
		k := &c.contacts[i]
		s := c.run.clients[k.who]
		switch {
		case k.visible && k.seq == 0 && s.steady.Load():
			if !late {
				return false
			}
			k.seq, k.lost = s.seq.Load(), true
			c.run.faults.seen(&c.run.faults.lost, "%s was not told that %s is online", c.email, s.email)
		case !k.visible && k.shown != offline && s.steady.Load():
			c.run.faults.seen(&c.run.faults.changed, "%s sees %s, whose lists forbid it", c.email, s.email)
		}
	}
	return true
}

func (r *run) preparePresence(ctx context.Context) ([]*pacer, error) {
	if err := r.bringUp(ctx, r.clients); err != nil {
		return nil, err
	}
	r.worked = []*tally{r.statuses}
	return []*pacer{r.statusPacer(r.clients, r.cfg.Rate, r.cfg.UnderWay)}, nil
}

// statusPacer lets clients change their status.
func (r *run) statusPacer(clients []*client, rate float64, underWay int) *pacer {
	p := newPacer(r.statuses, rate, underWay, nil)
	for _, c := range clients {
		if c.steady.Load() {
			c.statuses = p
			p.push((*statusJob)(c))
		}
	}
	return p
}

// statusJob is a client that changes its status.
type statusJob client

func appendCHG(b []byte, seq uint32) []byte {
	b = append(b, "CHG "...)
	b = strconv.AppendUint(b, uint64(seq)<<1, 10)
	b = append(b, ' ')
	b = append(b, statusOf(seq).String()...)
	return append(b, "\r\n"...)
}

func (j *statusJob) begin(due int64) bool {
	c := (*client)(j)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return false
	}
	seq := c.seq.Load() + 1
	c.due.Store(due)
	c.begun.Store(c.run.now())
	c.pending.Store(int32(len(c.watchers)) + 1)
	c.seq.Store(seq)
	if c.send(func(b []byte) []byte { return appendCHG(b, seq) }) != nil {
		// The reader hears of it too. Nobody will be told of this one.
		c.pending.Store(0)
		return false
	}
	return true
}

// told is told that one more knows of the status under way.
func (c *client) told(at int64) {
	due := c.due.Load()
	if c.pending.Add(-1) == 0 && c.statuses != nil {
		c.run.statuses.done(due, at)
		c.statuses.done((*statusJob)(c))
	}
}

// confirmed takes in the answer to CHG.
func (c *client) confirmed(trid, status []byte, at int64) {
	n, _ := number(trid)
	seq := n >> 1
	c.known.Lock()
	switch {
	case n&1 != 0 || seq > c.seq.Load() || string(status) != statusOf(max(seq, 1)).String():
		c.known.Unlock()
		c.run.faults.seen(&c.run.faults.changed, "%s was answered CHG %s %s", c.email, trid, status)
	case seq == c.answered:
		c.known.Unlock()
		c.lateOrDoubled(seq == c.givenUp, "%s was answered CHG %s twice", c.email, trid)
	case seq < c.answered:
		c.known.Unlock()
		c.run.faults.seen(&c.run.faults.outOfOrder, "%s was answered CHG %s behind a later one", c.email, trid)
	default:
		c.answered = seq
		c.known.Unlock()
		c.told(at)
	}
}

// see takes in what the client is told of somebody. No status is that one is
// offline.
func (c *client) see(who, state, name []byte, at int64) {
	s := c.run.byEmail[string(who)]
	if s == nil {
		return // somebody who is not under load
	}
	f := &c.run.faults
	status, ok := offline, true
	if state != nil {
		status, ok = msnp.ParseStatus(state)
	}
	steady := s.steady.Load()
	if !ok || steady && status != offline && string(name) != s.name {
		f.seen(&f.changed, "%s sees %s in state %q under the name %q", c.email, s.email, state, name)
		return
	}
	cur := s.seq.Load()

	c.known.Lock()
	k := c.contact(s.id)
	if k == nil {
		c.known.Unlock()
		if e := c.edit.Load(); e == nil || !e.concerns(s) {
			f.seen(&f.changed, "%s is told of %s, who is not on its list", c.email, s.email)
		}
		return
	}
	seen, shown, lost, visible := k.seq, k.shown, k.lost, k.visible
	k.shown = status
	if !steady || !c.steady.Load() || status == offline {
		// Somebody who comes and goes, or has just come, is involved.
		if status != offline {
			k.seq = 1
		}
		c.known.Unlock()
		if status == shown {
			f.seen(&f.doubled, "%s is told twice that %s is %s", c.email, s.email, state)
		}
		if steady && status == offline {
			c.run.farewells.add(c, s, at)
		}
		return
	}
	current := status == statusOf(cur)
	fresh := current && seen != cur && shown != status
	if fresh {
		k.seq, k.lost = cur, false
	}
	late := lost && status == statusOf(max(seen, 1))
	if late {
		k.lost = false
	}
	c.known.Unlock()

	switch {
	case !visible:
		f.seen(&f.changed, "%s sees %s, whose lists forbid it", c.email, s.email)
	case fresh:
		due := s.due.Load()
		if cur > 1 {
			c.run.statuses.delivered(due, at)
			s.told(at)
		}
	case late:
		f.late.Add(1)
	case status == shown || current:
		f.seen(&f.doubled, "%s is told twice that %s is %s", c.email, s.email, state)
	case s.wasEver(status, cur):
		f.seen(&f.outOfOrder, "%s is told that %s is %s behind something later", c.email, s.email, state)
	default:
		f.seen(&f.changed, "%s is told that %s is %s, which was never so", c.email, s.email, state)
	}
}

// farewells are those of whom was said that they are offline, and who did not
// know yet that their connections have ended: nobody says which of two lines on
// two connections comes first.
type farewells struct {
	mu  sync.Mutex
	all []farewell
}

type farewell struct {
	watcher, gone *client
	at            int64
}

func (f *farewells) add(watcher, gone *client, at int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, farewell{watcher, gone, at})
}

// check counts those who were said to be gone before then, and are not. It
// returns how many are left to be checked.
func (f *farewells) check(before int64) (left int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = slices.DeleteFunc(f.all, func(one farewell) bool {
		if !one.gone.steady.Load() {
			return true
		}
		if one.at >= before {
			return false
		}
		faults := &one.gone.run.faults
		faults.seen(&faults.changed, "%s is told that %s is offline, who is not", one.watcher.email, one.gone.email)
		return true
	})
	return len(f.all)
}

// wasEver reports whether a client has been in a status by its change of
// number cur.
func (c *client) wasEver(status msnp.Status, cur uint32) bool {
	for seq := cur; seq > 0 && seq+uint32(len(round)) > cur; seq-- {
		if statusOf(seq) == status {
			return true
		}
	}
	return false
}

// lateOrDoubled counts what came once more: what was given up was late.
func (c *client) lateOrDoubled(late bool, format string, args ...any) {
	if late {
		c.run.faults.late.Add(1)
		return
	}
	c.run.faults.seen(&c.run.faults.doubled, format, args...)
}

// overdue gives the change of status under way up if it was begun before then.
func (c *client) overdue(before, at int64) {
	if c.pending.Load() > 0 && c.statuses != nil && c.begun.Load() < before {
		c.giveUp(c.seq.Load(), at, true)
	}
}

// giveUp ends a change of status of which not everybody was told. Whoever
// counts as lost was connected all the time, and so was the client.
func (c *client) giveUp(seq uint32, at int64, counts bool) {
	c.mu.Lock()
	if c.seq.Load() != seq || c.pending.Load() == 0 {
		c.mu.Unlock()
		return
	}
	f := &c.run.faults
	missing := 0
	c.known.Lock()
	if c.answered != seq {
		c.answered, c.givenUp = seq, seq
		missing++
		if counts && c.conn != nil {
			f.seen(&f.lost, "%s was not answered CHG %d", c.email, seq<<1)
		}
	}
	c.known.Unlock()
	for _, w := range c.watchers {
		w.known.Lock()
		k := w.contact(c.id)
		if k.seq != seq {
			k.seq, k.lost = seq, true
			missing++
			if counts && c.conn != nil {
				f.seen(&f.lost, "%s was not told that %s is %s", w.email, c.email, statusOf(seq))
			}
		}
		w.known.Unlock()
	}
	if c.conn == nil {
		f.error("status: connection lost", 1)
	}
	due := c.due.Load()
	over := c.pending.Add(-int32(missing)) == 0
	broken := c.conn == nil
	c.mu.Unlock()
	if c.run.within(due) {
		c.run.statuses.never(due, at)
	}
	// Otherwise one who is just being told ends it.
	switch {
	case !over:
	case broken:
		c.statuses.dropped()
	default:
		c.statuses.done((*statusJob)(c))
	}
}
