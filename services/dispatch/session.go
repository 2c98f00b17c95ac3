package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/monarch-msn/monarch/internal/cluster"
	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// session is one client on its way to a notification node. It runs on the
// connection's goroutine alone.
type session struct {
	svc      *Service
	conn     *front.Conn
	listener *front.Listener
	log      *slog.Logger

	phase   msnp.Phase
	dialect *msnp.Dialect
	out     msnp.Line
}

// over is the phase of a client that has been sent on: no command is served.
const over msnp.Phase = 0

var handlers = map[string]func(*session, *msnp.Command) error{
	"VER": (*session).handleVER,
	"INF": (*session).handleINF,
	"CVR": (*session).handleCVR,
	"CVQ": (*session).handleCVQ,
	"USR": (*session).handleUSR,
	"OUT": (*session).handleOUT,
}

// serve runs the session until the connection ends.
func (s *session) serve(ctx context.Context) {
	s.conn.SetDeadline(time.Now().Add(s.svc.cfg.LoginTimeout))
	var cmd msnp.Command
	for {
		if err := s.conn.Next(&cmd); err != nil {
			s.conn.Close(s.endOfInput(err))
			return
		}
		started := time.Now()
		result, err := s.answer(&cmd, s.handle(&cmd))
		s.conn.Send(s.out.Bytes())
		s.out.Reset()
		s.svc.metrics.command(ctx, cmd.Verb, result, time.Since(started))
		if err != nil {
			var end *front.Close
			errors.As(err, &end)
			s.log.Info("closing", "verb", cmd.Verb, "reason", end.Reason, "error", end.Err)
			s.conn.Close(end.Reason)
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

// handle checks the command against its row and calls its handler.
func (s *session) handle(cmd *msnp.Command) error {
	switch action, code := msnp.Lookup(msnp.Dispatch, cmd.Verb).Admit(s.phase, s.dialect, len(cmd.Args)); {
	case action == msnp.Refuse:
		return code
	case action == msnp.Close && code != 0:
		return front.Closing(front.ReasonProtocol, code)
	case action == msnp.Close:
		return fmt.Errorf("not admitted while %s with %d arguments: %w", s.phase, len(cmd.Args), msnp.ErrMalformed)
	}
	return handlers[cmd.Verb](s, cmd)
}

// answer turns what a handler returned into its line, and says what came of
// the command. The error that it returns is a *front.Close and ends the
// connection.
func (s *session) answer(cmd *msnp.Command, err error) (result, error) {
	if err == nil {
		return resultOK, nil
	}
	var end *front.Close
	var code msnp.Code
	closes := errors.As(err, &end)
	if errors.As(err, &code) {
		code = s.dialect.Code(code)
		if code != 0 && len(cmd.TrID) > 0 {
			s.out.Code(code, cmd.TrID)
		}
		if code != 0 && !closes {
			return resultRefused, nil
		}
	}
	if closes {
		return resultClosed, end
	}
	return resultClosed, front.Closing(front.ReasonProtocol, err)
}

// handleVER chooses the dialect, as the notification node will again.
//
//	C: VER TrID dialect ...    S: VER TrID dialect
func (s *session) handleVER(cmd *msnp.Command) error {
	d, cvr0 := msnp.Negotiate(cmd.Args, s.svc.dialects)
	s.out.Verb("VER").TrID(cmd.TrID)
	switch {
	case d == nil && cvr0:
		s.phase = msnp.VersionedCVR0
		s.out.Word(msnp.CVR0)
		return nil
	case d == nil:
		s.out.Word("0")
		return front.Closing(front.ReasonRefused, errors.New("no common dialect"))
	}
	s.dialect, s.phase = d, msnp.Versioned
	if !s.svc.cfg.VERReplyList {
		s.out.Word(d.String())
		return nil
	}
	for _, name := range msnp.CommonList(cmd.Args, s.svc.dialects) {
		s.out.Word(name)
	}
	return nil
}

// handleINF names the one authentication package.
func (s *session) handleINF(cmd *msnp.Command) error {
	s.phase = msnp.Informed
	s.out.Verb("INF").TrID(cmd.TrID).Word("MD5")
	return nil
}

// handleCVR tells the client that its own version is the recommended one.
func (s *session) handleCVR(cmd *msnp.Command) error {
	msnp.AppendClientVersion(&s.out, cmd, s.svc.cfg.DownloadURL, s.svc.cfg.InfoURL)
	return nil
}

// handleCVQ is CVR for a client with which there is no common dialect; after
// it there is nothing more to say.
func (s *session) handleCVQ(cmd *msnp.Command) error {
	if err := s.handleCVR(cmd); err != nil || s.phase != msnp.VersionedCVR0 {
		return err
	}
	return front.Closing(front.ReasonRefused, errors.New("no common dialect"))
}

// handleUSR sends the client to a notification node. Whether the account
// exists is not said here.
//
//	C: USR TrID MD5 I handle    S: XFR TrID NS host:port [0 [origin]]
func (s *session) handleUSR(cmd *msnp.Command) error {
	p := cmd.Params()
	p.OneOf("MD5")
	p.OneOf("I")
	p.Email(msnp.CodeNoDomain)
	if err := p.Err(); err != nil {
		return front.Closing(front.ReasonRefused, err)
	}
	node, err := s.svc.view.Pick(clusterv1.Role_ROLE_NOTIFICATION)
	if err != nil {
		s.log.Warn("no notification node to refer to", "error", err)
		return front.Closing(front.ReasonRefused, msnp.CodeBusy)
	}
	to, err := cluster.AddressFor(node, s.listener.Name, s.conn.LocalAddr().Addr())
	if err != nil {
		s.log.Error("refer to a notification node", "error", err)
		return front.Closing(front.ReasonRefused, msnp.CodeBusy)
	}
	s.dialect.AppendReferral(&s.out, cmd.TrID, to, s.listener.Address(s.conn))
	// The client hangs up first, as the seed session shows.
	s.phase = over
	s.conn.SetDeadline(time.Now().Add(s.svc.cfg.ReferralTimeout))
	return nil
}

// handleOUT says goodbye in return.
func (s *session) handleOUT(*msnp.Command) error {
	s.out.Verb("OUT")
	return front.Closing(front.ReasonClient, nil)
}
