package notification

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/monarch-msn/monarch/internal/front"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// How a node is emptied. Whoever begins to log in is referred to another node
// from the first moment of a drain; logins under way finish. Once nobody is sent
// here any more, the sessions are ended one by one, evenly over the drain time:
// each client comes back at once, and the others must not meet them all in the
// same moment. Until its own moment a session is served as ever.

// Drain takes the node out of service for good: it has dispatch choose other
// nodes, and then closes the sessions evenly over the drain time. New clients
// are referred elsewhere meanwhile. It returns when all are told, or with an
// error when ctx ended before; Run goes on until its own context ends.
func (s *Service) Drain(ctx context.Context) error { return s.drain.Leave(ctx) }

// BeginDrain starts what Drain does and returns at once; Resume takes it back, as
// far as it has not been done, and reports whether the node serves: not where
// Drain was called. They are what the operator asks for.
func (s *Service) BeginDrain() { s.drain.Begin() }

// Resume puts the node back into service, see BeginDrain.
func (s *Service) Resume() bool { return s.drain.Resume() }

func (s *Service) draining() bool { return s.drain.Draining() }

// needed reports whether a node that has just begun to drain takes logins all
// the same: some are still sent here, and its view holds nobody to refer them
// to. When nodes are restarted one after the other, the one before is back by
// then, and known with the next refresh.
func (s *Service) needed() bool {
	return !s.drain.Alone() && !slices.ContainsFunc(s.member.View().Nodes(), func(n *clusterv1.Node) bool {
		return n.GetRole() == clusterv1.Role_ROLE_NOTIFICATION && n.GetState() == clusterv1.State_STATE_SERVING &&
			!s.member.IsSelf(n.GetId())
	})
}

// shed ends all sessions, evenly over the drain time. It returns when nobody is
// left, also of those who were logging in, or when the time is up or ctx ends.
func (s *Service) shed(ctx context.Context) {
	s.leavers.shed(ctx, s.cfg.DrainTime, func() (here []leaver) {
		for _, session := range s.hub.all() {
			here = append(here, session)
		}
		return here
	}, func() bool { return s.loggingIn.Load() > 0 })
}

// leavers are those whom a drain has still to end, in random order.
type leavers struct {
	mu   sync.Mutex
	open bool // a drain is at it
	left []leaver
}

// leaver is a session, as far as a drain has to know it.
type leaver interface {
	// gone reports whether it has ended by itself.
	gone() bool
	// endForDrain ends it, when what is under way is done.
	endForDrain()
}

func (s *session) gone() bool   { return s.conn.Reason() != "" }
func (s *session) endForDrain() { s.post(shedEvent{}) }

// begin takes those who are here now; who logs in from now on joins them.
func (l *leavers) begin(here func() []leaver) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = true
	// A session enters the hub ahead of this list, so none is in neither; one
	// that is in both is told twice, which does nothing.
	l.left = here()
	rand.Shuffle(len(l.left), func(i, j int) { l.left[i], l.left[j] = l.left[j], l.left[i] })
}

// end forgets all of them.
func (l *leavers) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open, l.left = false, nil
}

// join adds a session whose login was under way.
func (l *leavers) join(s leaver) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open {
		return
	}
	l.left = append(l.left, s)
	i, last := rand.IntN(len(l.left)), len(l.left)-1
	l.left[i], l.left[last] = l.left[last], l.left[i]
}

// next takes one who is still here, and says how many there were with it.
func (l *leavers) next() (s leaver, left int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for left = len(l.left); left > 0; left-- {
		s = l.left[left-1]
		l.left = l.left[:left-1]
		if !s.gone() {
			return s, left
		}
	}
	return nil, 0
}

// shedTick is how often a drain looks for those whose login was under way, when
// all others have left.
const shedTick = 20 * time.Millisecond

// shed ends those who are here, and those who join, evenly over a time. It
// returns when there is none and none is coming, or when the time is up, or ctx
// ends.
func (l *leavers) shed(ctx context.Context, over time.Duration, here func() []leaver, coming func() bool) {
	l.begin(here)
	defer l.end()
	slot := time.Now()
	until := slot.Add(over)
	timer := time.NewTimer(0)
	defer timer.Stop()
	wait := func(t time.Time) bool {
		timer.Reset(time.Until(t))
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		}
	}
	for {
		// Asked ahead of the list: who is in has joined before.
		more := coming()
		s, left := l.next()
		if s == nil {
			if !more || !time.Now().Before(until) {
				return
			}
			slot = time.Now().Add(shedTick)
			if !wait(slot) {
				return
			}
			continue
		}
		// Each has a slot of equal length, and its moment somewhere within:
		// several nodes that drain together then do not beat in step.
		length := max(0, until.Sub(slot)/time.Duration(left))
		moment := time.Duration(rand.Float64() * float64(length))
		if !wait(slot.Add(moment)) {
			return
		}
		s.endForDrain()
		slot = slot.Add(length)
	}
}

// shedEvent ends a session because its node goes away. It waits for its turn, so
// the client hears the answer to its command first.
type shedEvent struct{}

func (shedEvent) mayBlock(*session) bool { return false }

func (shedEvent) handle(_ context.Context, s *session) {
	s.flush()
	s.conn.Close(front.ReasonShutdown)
}
