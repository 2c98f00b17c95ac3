package switchboard

import (
	"context"
	"crypto/subtle"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
)

// room is one conversation. It exists from the USR of its founder until the
// last member leaves; the last one alone keeps it, because the official client
// calls others back into it.
//
// Everything that members see of each other is sent with mu held, and nothing
// that could block is done under it. So all of them see one order.
type room struct {
	svc *Service
	id  string

	mu      sync.Mutex
	members []*session // in the order in which they entered
	invited map[msnp.Email]*invitation
	// spoken is when somebody last entered, called or said something.
	spoken time.Time
	// over is set with the last member's leaving: nobody enters any more.
	over bool
}

// found makes s the first member. It returns false if the room has been closed in
// the moment since it was opened.
func (r *room) found(s *session, trid []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return false
	}
	s.out.Verb("USR").TrID(trid).Word("OK").Email(s.email).Nick(s.name)
	r.seat(s)
	return true
}

// admit lets the callee of an invitation in: it hears who is there, they hear
// of it. It returns false if the invitation is not good any more.
//
// The newcomer hears of all members before anything that happens in the room
// from then on.
func (r *room) admit(s *session, inv *invitation, trid []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || r.invited[inv.callee] != inv || !inv.good(time.Now()) {
		return false
	}
	delete(r.invited, inv.callee)
	s.identify(inv.callee, inv.name, inv.dialect)
	for i, m := range r.members {
		s.out.Verb("IRO").TrID(trid).Uint(uint64(i + 1)).Uint(uint64(len(r.members))).Email(m.email).Nick(m.name)
	}
	s.out.Verb("ANS").TrID(trid).Word("OK")
	r.tell(func(l *msnp.Line) { l.Verb("JOI").Email(s.email).Nick(s.name) })
	r.seat(s)
	return true
}

// seat makes s a member. The caller holds mu, and has written the answer to its
// command.
func (r *room) seat(s *session) {
	s.flush()
	s.room, s.phase = r, msnp.Present
	s.conn.SetDeadline(time.Time{})
	r.members = append(r.members, s)
	r.spoken = time.Now()
	r.svc.seated.Add(1)
}

// tell sends a line to every member. The caller holds mu.
func (r *room) tell(write func(*msnp.Line)) {
	l := lines.Get().(*msnp.Line)
	defer func() { lines.Put(l.Reset()) }()
	write(l)
	for _, m := range r.members {
		m.conn.Send(l.Bytes())
	}
}

var lines = sync.Pool{New: func() any { return new(msnp.Line) }}

// leave takes s out of the room, if it is in, and tells the others.
func (r *room) leave(s *session) {
	r.mu.Lock()
	i := slices.Index(r.members, s)
	if i < 0 {
		r.mu.Unlock()
		return
	}
	r.members = slices.Delete(r.members, i, i+1)
	r.svc.seated.Add(-1)
	r.tell(func(l *msnp.Line) { l.Verb("BYE").Email(s.email) })
	r.over = len(r.members) == 0
	over := r.over
	r.mu.Unlock()
	if over {
		r.svc.rooms.remove(r)
	}
}

// expire closes the room if nothing has happened in it since then: each member
// hears that the others left for idleness.
func (r *room) expire(since time.Time) {
	r.mu.Lock()
	if r.spoken.After(since) {
		r.mu.Unlock()
		return
	}
	r.close(front.ReasonIdle, func(l *msnp.Line, gone msnp.Email) { l.Verb("BYE").Email(gone).Word("1") })
}

// end closes the room because the node goes away: each member hears that the
// others left. A client that has something more to say asks for a new room, as
// it does when somebody hangs up.
func (r *room) end() {
	r.mu.Lock()
	r.close(front.ReasonShutdown, func(l *msnp.Line, gone msnp.Email) { l.Verb("BYE").Email(gone) })
}

// close tells each member goodbye from every other one, behind all that was said
// in the room, and ends their connections. The caller holds mu, and close gives
// it back.
func (r *room) close(reason front.Reason, bye func(l *msnp.Line, gone msnp.Email)) {
	if r.over {
		r.mu.Unlock()
		return
	}
	members := r.members
	r.members, r.over = nil, true
	var l msnp.Line
	for _, m := range members {
		l.Reset()
		for _, o := range members {
			if o != m {
				bye(&l, o.email)
			}
		}
		m.conn.Send(l.Bytes())
		m.conn.Close(reason)
	}
	r.svc.seated.Add(-int64(len(members)))
	r.mu.Unlock()
	r.svc.rooms.remove(r)
}

// lagging reports whether a member other than s is far behind with reading.
func (r *room) lagging(s *session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.members, func(m *session) bool {
		return m != s && m.conn.Unsent() > r.svc.cfg.OutboxBytes/2
	})
}

// leaving reports whether a member's connection has ended and the others have
// not heard of it yet.
func (r *room) leaving() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.members, func(m *session) bool { return m.conn.Reason() != "" })
}

// invitation finds an invitation by what a client claims to know of it.
func (r *room) invitation(callee msnp.Email, cookie []byte) *invitation {
	r.mu.Lock()
	defer r.mu.Unlock()
	inv := r.invited[callee]
	if inv == nil || subtle.ConstantTimeCompare([]byte(inv.cookie), cookie) != 1 {
		return nil
	}
	return inv
}

// rooms are those of one node, by their number.
type rooms struct {
	mu   sync.Mutex
	byID map[uint32]*room
}

// Numbers of rooms have eight digits or more. aMSN takes the second word of
// any line for one of its own transaction ids, so a RNG with a small number can
// be swallowed as a reply; and they fit into 31 bits, as clients may read them
// into an int.
const (
	firstRoom = 10_000_000
	lastRoom  = 1<<31 - 1
)

// open makes a room with a number of its own. Somebody has to be seated in it.
func (rs *rooms) open(svc *Service) *room {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.byID == nil {
		rs.byID = make(map[uint32]*room)
	}
	for {
		id := firstRoom + rand.Uint32N(lastRoom-firstRoom+1)
		if rs.byID[id] == nil {
			r := &room{
				svc: svc, id: strconv.FormatUint(uint64(id), 10),
				invited: make(map[msnp.Email]*invitation), spoken: time.Now(),
			}
			rs.byID[id] = r
			return r
		}
	}
}

// find returns a room by its number, or nil.
func (rs *rooms) find(id uint32) *room {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.byID[id]
}

func (rs *rooms) remove(r *room) {
	id, _ := strconv.ParseUint(r.id, 10, 32) // open wrote it
	rs.mu.Lock()
	defer rs.mu.Unlock()
	delete(rs.byID, uint32(id))
}

func (rs *rooms) len() int {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return len(rs.byID)
}

func (rs *rooms) all() []*room {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	all := make([]*room, 0, len(rs.byID))
	for _, r := range rs.byID {
		all = append(all, r)
	}
	return all
}

// closeIdle closes rooms in which nothing happens, until ctx ends.
func (s *Service) closeIdle(ctx context.Context) error {
	tick := time.NewTicker(min(s.cfg.IdleTime/4+1, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			for _, r := range s.rooms.all() {
				r.expire(now.Add(-s.cfg.IdleTime))
			}
		}
	}
}
