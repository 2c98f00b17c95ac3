package switchboard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/time/rate"

	"github.com/monarch-msn/monarch/internal/cluster"
	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
)

// session is one client in one room, from TCP accept to the end. It belongs to
// the command under way; what other members need of it (conn, email, name) does
// not change once it is a member.
type session struct {
	svc  *Service
	conn *front.Conn
	log  *slog.Logger
	out  msnp.Line

	phase   msnp.Phase
	dialect *msnp.Dialect
	email   msnp.Email
	// name is as it was when the member entered; a rename does not reach a
	// room (hypothetic.org).
	name msnp.Nick
	room *room
	// pace says how much the member may send regardless of the others.
	pace *rate.Limiter
}

var handlers = map[string]front.Handler[*session]{
	"USR": {Do: (*session).handleUSR, Traced: true},
	"ANS": {Do: (*session).handleANS},
	"CAL": {Do: (*session).handleCAL, Traced: true},
	"MSG": {Do: (*session).handleMSG},
	"PNG": {Do: (*session).handlePNG},
	"OUT": {Do: (*session).handleOUT},
}

// Do handles one command.
func (s *session) Do(ctx context.Context, cmd *msnp.Command) error {
	err := front.Handle(ctx, s.svc.commands, handlers, s, cmd)
	s.flush()
	return err
}

// What front.Handle has to know of a session.

func (s *session) Phase() msnp.Phase      { return s.phase }
func (s *session) Dialect() *msnp.Dialect { return s.dialect }
func (s *session) Lines() *msnp.Line      { return &s.out }
func (s *session) Log() *slog.Logger      { return s.log }
func (s *session) Entered() bool          { return s.phase != msnp.Connected }

// flush hands what was written to the connection.
func (s *session) flush() {
	s.conn.Send(s.out.Bytes())
	s.out.Reset()
}

// handleUSR opens a room with the ticket that XFR brought.
//
//	C: USR TrID handle ticket    S: USR TrID OK handle friendly
func (s *session) handleUSR(ctx context.Context, cmd *msnp.Command) error {
	p := cmd.Params()
	email, token := p.Email(msnp.CodeAuthentication), p.Word()
	if err := p.Err(); err != nil {
		return front.Closing(front.ReasonRefused, err)
	}
	call, cancel := context.WithTimeout(ctx, s.svc.cfg.CallTimeout)
	defer cancel()
	ticket, err := s.svc.cluster.Redeem(call, string(token))
	switch {
	case errors.Is(err, cluster.ErrNoTicket):
		return refused("no such ticket")
	case err != nil:
		s.log.Warn("redeem ticket", "error", err)
		return front.Closing(front.ReasonRefused, msnp.CodeBusy)
	case ticket.GetEmail() != email.String():
		return refused("ticket of another user")
	case !s.svc.member.IsSelf(ticket.GetNode()):
		return refused("ticket of another node")
	}
	s.identify(email, msnp.Nick(ticket.GetName()), ticket.GetDialect())
	for !s.svc.rooms.open(s.svc).found(s, cmd.TrID) {
		// All rooms were being closed; that is over in a moment.
	}
	return nil
}

// handleANS enters the room that called.
//
//	C: ANS TrID handle cookie sessionid    S: IRO TrID i n handle friendly ...    S: ANS TrID OK
func (s *session) handleANS(ctx context.Context, cmd *msnp.Command) error {
	p := cmd.Params()
	email, cookie, id := p.Email(msnp.CodeAuthentication), p.Word(), p.Uint32()
	if err := p.Err(); err != nil {
		return front.Closing(front.ReasonRefused, err)
	}
	room := s.svc.rooms.find(id)
	if room == nil {
		return refused("no such room")
	}
	inv := room.invitation(email, cookie)
	if inv == nil {
		return refused("no such invitation")
	}
	// Who is very quick answers before the callee's node has told us that it
	// rang. The inviter's goroutine closes answered, whatever comes of it.
	select {
	case <-inv.answered:
	case <-ctx.Done():
		return front.Closing(front.ReasonClient, context.Cause(ctx))
	}
	if !room.admit(s, inv, cmd.TrID) {
		return refused("invitation is no longer good")
	}
	return nil
}

// refused ends an attempt to enter. The client is told the same whatever was
// wrong.
func refused(why string) error {
	return front.Closing(front.ReasonRefused, fmt.Errorf("%s: %w", why, msnp.CodeAuthentication))
}

// identify makes the session that of a user. From here on it may be a member.
func (s *session) identify(email msnp.Email, name msnp.Nick, dialect string) {
	s.email, s.name = email, name.Or(email)
	// A dialect of a newer release is none that this one knows, and no reason
	// to refuse: it only chooses between numbers of errors.
	s.dialect, _ = msnp.DialectByName(dialect)
	s.pace = rate.NewLimiter(rate.Limit(s.svc.cfg.MessageRate), s.svc.cfg.MessageRate)
	s.log = s.log.With("email", email)
}

// handlePNG answers a keep-alive. The documents know none on a switchboard;
// answering one does no harm.
func (s *session) handlePNG(context.Context, *msnp.Command) error {
	s.out.Verb("QNG")
	return nil
}

// handleOUT ends the connection, without an answer.
func (s *session) handleOUT(context.Context, *msnp.Command) error {
	return front.Closing(front.ReasonClient, nil)
}

// Leave takes the session out of its room.
func (s *session) Leave() {
	if s.room != nil {
		s.room.leave(s)
	}
}
