package notification

import (
	"context"
	"sync"

	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
)

// A session is an actor: whoever holds its turn owns all of its state. The
// connection's reader takes the turn for each command. Events of other
// sessions, nodes and the clock go into the box; who puts one there handles it
// at once if the turn is free and the event cannot block, else the holder
// finds it before the turn is free again.
//
// Invariant: an event in the box has a holder of the turn, or a poster that is
// about to take it, who will see it.

// event is something that happens to a session.
type event interface {
	// mayBlock reports whether handling needs the directory or Redis. It is
	// called with the turn held.
	mayBlock(s *session) bool
	// handle does the work, with the turn held.
	handle(ctx context.Context, s *session)
}

// box holds the events that wait for the turn.
type box struct {
	mu     sync.Mutex
	events []event
}

func (b *box) put(e event, limit int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.events) >= limit {
		b.events = superseded(b.events)
		if len(b.events) >= limit {
			return false
		}
	}
	b.events = append(b.events, e)
	return true
}

func (b *box) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.events) == 0
}

// peek returns the first event, and pop removes it; only the holder of the turn
// calls them, so nobody else removes it in between.
func (b *box) peek() event {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.events) == 0 {
		return nil
	}
	return b.events[0]
}

func (b *box) pop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events[0] = nil
	b.events = b.events[1:]
	if len(b.events) == 0 {
		b.events = nil
	}
}

// superseded drops the presence of contacts of whom a newer one waits behind
// it: the client would be told what is no longer true.
func superseded(events []event) []event {
	newest := make(map[msnp.Email]revision)
	for _, e := range events {
		if p, ok := e.(presenceEvent); ok && p.plain() {
			r := revision{p.at.epoch, p.count}
			if newest[p.email].before(r) {
				newest[p.email] = r
			}
		}
	}
	kept := make([]event, 0, len(events))
	for _, e := range events {
		if p, ok := e.(presenceEvent); ok && p.plain() {
			r := revision{p.at.epoch, p.count}
			if r.before(newest[p.email]) {
				continue
			}
		}
		kept = append(kept, e)
	}
	return kept
}

// post hands an event to the session. It never blocks. A session whose box is
// full does not keep up and is closed; then the event is not taken.
func (s *session) post(e event) (taken bool) {
	if !s.box.put(e, s.svc.cfg.EventQueue) {
		s.conn.Close(front.ReasonSlow)
		return false
	}
	s.poke()
	return true
}

// learn is post for presence, nearly all of which finds the session at rest: it
// is handled without a detour through the box.
func (s *session) learn(e presenceEvent) {
	if !s.turn.TryLock() {
		s.post(e)
		return
	}
	if !s.box.empty() || e.mayBlock(s) {
		s.turn.Unlock()
		s.post(e)
		return
	}
	s.guard(func() { e.handle(context.Background(), s) })
	s.giveTurn()
	s.poke()
}

// poke handles what waits in the box if nobody has the turn.
func (s *session) poke() {
	for !s.box.empty() {
		if !s.turn.TryLock() {
			return
		}
		if s.drain(context.Background(), false) {
			s.giveTurn()
			continue
		}
		// The rest may block, so it gets a goroutine, which inherits the turn.
		s.svc.background(func(ctx context.Context) {
			s.drain(ctx, true)
			s.giveTurn()
			s.poke()
		})
		return
	}
}

// takeTurn waits for the turn; giveTurn sends what was written meanwhile and
// lets go. Whoever gave the turn calls poke.
func (s *session) takeTurn() { s.turn.Lock() }

func (s *session) giveTurn() {
	s.flush()
	s.turn.Unlock()
}

// drain handles waiting events in order, with the turn held. Where it may not
// block it stops before an event that could and returns false.
func (s *session) drain(ctx context.Context, mayBlock bool) bool {
	for {
		e := s.box.peek()
		if e == nil {
			return true
		}
		if !mayBlock && e.mayBlock(s) {
			return false
		}
		s.box.pop()
		s.guard(func() { e.handle(ctx, s) })
	}
}

// guard keeps a fault in one event from reaching anybody but its session.
func (s *session) guard(f func()) {
	defer func() {
		if r := recover(); r != nil {
			s.fault("panic in an event", r)
		}
	}()
	f()
}
