package switchboard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	"github.com/monarch-msn/monarch/internal/cluster"
	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
)

// session is one client in one room, from TCP accept to the end. It runs on the
// connection's goroutine alone; what other members need of it (conn, email,
// name) does not change once it is a member.
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

// handler is what a verb does. Before it runs, the verb's row in msnp.Verbs
// has been checked: phase and number of arguments.
type handler struct {
	do func(*session, context.Context, *msnp.Command) error
	// traced verbs leave this process.
	traced bool
}

var handlers = map[string]handler{
	"USR": {do: (*session).handleUSR, traced: true},
	"ANS": {do: (*session).handleANS},
	"CAL": {do: (*session).handleCAL, traced: true},
	"MSG": {do: (*session).handleMSG},
	"PNG": {do: (*session).handlePNG},
	"OUT": {do: (*session).handleOUT},
}

// serve runs the session until the connection ends.
func (s *session) serve(ctx context.Context) {
	defer s.leave()
	s.conn.SetDeadline(time.Now().Add(s.svc.cfg.LoginTimeout))
	var cmd msnp.Command
	for {
		if err := s.conn.Next(&cmd); err != nil {
			s.conn.Close(s.endOfInput(err))
			return
		}
		started := time.Now()
		result, err := s.answer(&cmd, s.handle(ctx, &cmd))
		s.flush()
		s.svc.metrics.command(ctx, cmd.Verb, result, time.Since(started))
		if err != nil {
			reason := front.ReasonOf(err)
			s.log.Info("closing", "verb", cmd.Verb, "reason", reason, "error", errors.Unwrap(err))
			s.conn.Close(reason)
			return
		}
	}
}

// endOfInput says why there is no next command.
func (s *session) endOfInput(err error) front.Reason {
	var syntax *msnp.SyntaxError
	if errors.As(err, &syntax) {
		s.log.Info("malformed input", "error", err)
	}
	return front.ReasonOf(err)
}

// flush hands what was written to the connection.
func (s *session) flush() {
	s.conn.Send(s.out.Bytes())
	s.out.Reset()
}

// handle checks the command against its row and calls its handler.
func (s *session) handle(ctx context.Context, cmd *msnp.Command) error {
	switch action, code := msnp.Lookup(msnp.Switchboard, cmd.Verb).Admit(s.phase, s.dialect, len(cmd.Args)); {
	case action == msnp.Refuse:
		return code
	case action == msnp.Close && code != 0:
		return front.Closing(front.ReasonProtocol, code)
	case action == msnp.Close:
		return fmt.Errorf("not admitted while %s with %d arguments: %w", s.phase, len(cmd.Args), msnp.ErrMalformed)
	}
	h := handlers[cmd.Verb]
	if !h.traced {
		return s.try(ctx, h, cmd)
	}
	ctx, span := s.svc.tracer.Start(ctx, cmd.Verb, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("monarch.dialect", s.dialect.String())))
	defer span.End()
	err := s.try(ctx, h, cmd)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	return err
}

// try calls a handler. A panic is a fault of this command and nobody else's.
func (s *session) try(ctx context.Context, h handler, cmd *msnp.Command) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.log.Error("panic in a handler", "verb", cmd.Verb, "panic", r, "stack", string(debug.Stack()))
			err = front.Closing(front.ReasonInternal, fmt.Errorf("handle %s: panic: %v", cmd.Verb, r))
		}
	}()
	return h.do(s, ctx, cmd)
}

// answer turns what a handler returned into its line, and says what came of the
// command: a Code is sent and the connection stays; a Close ends it, behind the
// line of the Code that it may wrap; malformed input ends it without a word;
// anything else is a fault of ours, which is logged here, once, and answered
// with 500. The error that it returns is a *front.Close and ends the
// connection.
func (s *session) answer(cmd *msnp.Command, err error) (result, error) {
	if err == nil {
		return resultOK, nil
	}
	var end *front.Close
	var code msnp.Code
	closes := errors.As(err, &end)
	switch {
	case errors.As(err, &code):
	case closes, errors.Is(err, msnp.ErrMalformed):
	default:
		s.log.Error("command", "verb", cmd.Verb, "error", err)
		code = msnp.CodeInternal
	}
	fault := code == msnp.CodeInternal
	if code = s.dialect.Code(code); code != 0 && len(cmd.TrID) > 0 {
		s.out.Code(code, cmd.TrID)
	}
	switch {
	case closes:
		return resultClosed, end
	case code == 0:
		return resultClosed, front.Closing(front.ReasonProtocol, err)
	case s.phase == msnp.Connected:
		// USR and ANS: there is nothing else that the connection is good for.
		return resultFault, front.Closing(front.ReasonInternal, err)
	case fault:
		return resultFault, nil
	}
	return resultRefused, nil
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
	s.svc.rooms.open(s.svc).found(s, cmd.TrID)
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

// leave takes the session out of its room.
func (s *session) leave() {
	if s.room != nil {
		s.room.leave(s)
	}
}
