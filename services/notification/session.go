package notification

import (
	"context"
	"crypto/rand"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
	"unique"

	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// session is one client on this node, from TCP accept to the end.
type session struct {
	svc      *Service
	conn     *front.Conn
	listener *front.Listener

	turn sync.Mutex
	box  box

	// All fields below belong to the holder of the turn.

	phase   msnp.Phase
	dialect *msnp.Dialect
	// challenge is the salt of the USR exchange under way, for email.
	challenge string
	email     msnp.Email
	seat      *seat // on this node, see admission; nil before the challenge

	// record is this session's place in the cluster, once claimed.
	record *clusterv1.Session
	// count grows with each change of what anybody may see of the user; with
	// the record's epoch it is the revision of our presence.
	count  uint64
	status msnp.Status
	// ownName is name, as views have it.
	ownName unique.Handle[msnp.Nick]

	userID       uint64
	name         msnp.Nick
	verified     bool
	gtcAsk       bool
	blpAllow     bool
	phones       msnp.Phones
	mobileDevice bool
	lists        lists
	// read is when the lists were read at the login, as uptime tells it.
	read time.Duration
	// synced is set by the first SYN: from then on the client has lists that
	// asynchronous lines can change.
	synced bool
	// untold says that a client that has not asked for its lists was not told of
	// a change that the version counts.
	untold bool
	// stale says that the lists may differ from the directory's: an edit's
	// outcome is unknown or a read failed. They are read again before
	// anything is decided by them.
	stale bool
	// invitations is off after IMS OFF.
	noInvitations bool
	roll          *rollCall
	// tickets is when those to switchboards were issued that may still be good.
	tickets []time.Time
	// clientChallenge is the CHL that waits for its QRY, and wake when the
	// challenger has something to do here; zero unless it challenges.
	clientChallenge string
	wake            time.Time
	// mails counts the mail notices.
	mails uint32

	// out gathers the lines of one turn; it is borrowed from a pool.
	out *msnp.Line

	// next is another session of the same user on this node, older than this
	// one and about to end. It belongs to the hub.
	next *session
}

var lines = sync.Pool{New: func() any { return new(msnp.Line) }}

// line begins a reply line.
func (s *session) line(verb string) *msnp.Line {
	return s.Lines().Verb(verb)
}

// largestPooledLine keeps the buffer of a rare long SYN block from staying.
const largestPooledLine = 16 << 10

// flush hands what was written in this turn to the connection. It goes ahead
// of every call that others can see the effect of, so that a client hears the
// reply to its command first.
func (s *session) flush() {
	if s.out == nil {
		return
	}
	if b := s.out.Bytes(); len(b) > 0 {
		s.conn.Send(b)
	}
	if s.out.Len() <= largestPooledLine {
		lines.Put(s.out.Reset())
	}
	s.out = nil
}

// over is the phase of a session that has ended: no command is served in it.
const over msnp.Phase = 0

// Do handles one command, and what waits for the turn meanwhile. It returns an
// error only where the connection has to end.
func (s *session) Do(ctx context.Context, cmd *msnp.Command) error {
	s.takeTurn()
	before := s.phase
	var err error
	if !s.overtaken(ctx) {
		err = front.Handle(ctx, s.svc.commands, handlers, s, cmd)
	}
	s.countLogin(before)
	s.drain(ctx, true)
	s.giveTurn()
	s.poke()
	return err
}

// countLogin keeps the number of those who are logging in right, after a change
// of phase.
func (s *session) countLogin(before msnp.Phase) {
	if now := s.phase == msnp.Challenged; now != (before == msnp.Challenged) {
		if now {
			s.svc.loggingIn.Add(1)
		} else {
			s.svc.loggingIn.Add(-1)
		}
	}
}

// What front.Handle has to know of a session.

func (s *session) Phase() msnp.Phase      { return s.phase }
func (s *session) Dialect() *msnp.Dialect { return s.dialect }
func (s *session) Entered() bool          { return s.loggedIn() }

// Log returns a logger that says whose session it is. It is made for each line:
// a session logs a few in its life, and would keep it for all of that.
func (s *session) Log() *slog.Logger {
	if s.record == nil {
		return s.svc.log.With("remote", s.conn.RemoteAddr())
	}
	return s.svc.log.With("remote", s.conn.RemoteAddr(), "email", s.email)
}

// Lines returns where this turn's lines are written.
func (s *session) Lines() *msnp.Line {
	if s.out == nil {
		s.out = lines.Get().(*msnp.Line)
	}
	return s.out
}

// loggedIn reports whether USR has succeeded and the session has not ended.
func (s *session) loggedIn() bool {
	return s.phase == msnp.Authenticated || s.phase == msnp.Present
}

func (s *session) fault(what string, panicked any) {
	s.Log().Error(what, "panic", panicked, "stack", string(debug.Stack()))
	s.conn.Close(front.ReasonInternal)
}

// call bounds one call to the directory or to Redis. It goes on when the client
// hangs up meanwhile: others may have to hear of what it changed.
func (s *session) call(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), s.svc.cfg.CallTimeout)
}

// edit is what a call that changes the user's lists starts with. By its id the
// directory knows an edit again that comes twice.
func (s *session) edit() *directoryv1.Edit {
	id := make([]byte, 16)
	rand.Read(id) // never fails: it would have ended the program
	return &directoryv1.Edit{Email: s.email.String(), Version: s.lists.version, Id: id}
}

// Leave ends the session: from here on it has no place and no watchers. Events
// that still come are answered as by nobody.
func (s *session) Leave() {
	s.takeTurn()
	wasIn, before := s.loggedIn(), s.phase
	s.phase = over
	s.countLogin(before)
	s.roll.finish()
	if wasIn {
		s.sayOver(context.Background())
	}
	if wasIn && s.conn.Reason() == front.ReasonDisplaced {
		s.svc.successors.tell(s)
	}
	s.giveTurn()
	s.poke()
	s.svc.auditor.forget(s)
	s.svc.challenger.forget(s)
	s.svc.hub.remove(s)
	s.svc.admission.free(s.seat)
	if s.record == nil {
		return
	}
	s.svc.releases.release(s.record)
	if wasIn {
		s.Log().Info("logout", "reason", s.conn.Reason())
	}
}
