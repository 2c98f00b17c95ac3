package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/monarch-msn/monarch/internal/cluster"
	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
)

// session is one client on its way to a notification node. It belongs to the
// command under way.
type session struct {
	svc      *Service
	conn     *front.Conn
	listener *front.Listener

	phase   msnp.Phase
	dialect *msnp.Dialect
	out     msnp.Line
}

var handlers = map[string]front.Handler[*session]{
	"VER": {Do: (*session).handleVER},
	"INF": {Do: (*session).handleINF},
	"CVR": {Do: (*session).handleCVR},
	"CVQ": {Do: (*session).handleCVQ},
	"USR": {Do: (*session).handleUSR},
	"OUT": {Do: (*session).handleOUT},
}

// Do handles one command.
func (s *session) Do(ctx context.Context, cmd *msnp.Command) error {
	err := front.Handle(ctx, s.svc.commands, handlers, s, cmd)
	s.conn.Send(s.out.Bytes())
	s.out.Reset()
	return err
}

// Leave has nothing to do: nobody knows of the client.
func (s *session) Leave() {}

// What front.Handle has to know of a session.

func (s *session) Phase() msnp.Phase      { return s.phase }
func (s *session) Dialect() *msnp.Dialect { return s.dialect }
func (s *session) Lines() *msnp.Line      { return &s.out }
func (s *session) Log() *slog.Logger      { return s.svc.log.With("remote", s.conn.RemoteAddr()) }
func (s *session) Entered() bool          { return false }

// handleVER chooses the dialect, as the notification node will again.
//
//	C: VER TrID dialect ...    S: VER TrID dialect
func (s *session) handleVER(_ context.Context, cmd *msnp.Command) error {
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
func (s *session) handleINF(_ context.Context, cmd *msnp.Command) error {
	s.phase = msnp.Informed
	s.out.Verb("INF").TrID(cmd.TrID).Word("MD5")
	return nil
}

// handleCVR tells the client that its own version is the recommended one.
func (s *session) handleCVR(_ context.Context, cmd *msnp.Command) error {
	msnp.AppendClientVersion(&s.out, cmd, s.svc.cfg.DownloadURL, s.svc.cfg.InfoURL)
	return nil
}

// handleCVQ is CVR for a client with which there is no common dialect; after
// it there is nothing more to say.
func (s *session) handleCVQ(ctx context.Context, cmd *msnp.Command) error {
	if err := s.handleCVR(ctx, cmd); err != nil || s.phase != msnp.VersionedCVR0 {
		return err
	}
	return front.Closing(front.ReasonRefused, errors.New("no common dialect"))
}

// handleUSR sends the client to a notification node. Whether the account
// exists is not said here.
//
//	C: USR TrID MD5 I handle    S: XFR TrID NS host:port [0 [origin]]
func (s *session) handleUSR(ctx context.Context, cmd *msnp.Command) error {
	p := cmd.Params()
	p.OneOf("MD5")
	p.OneOf("I")
	p.Handle()
	if err := p.Err(); err != nil {
		return front.Closing(front.ReasonRefused, err)
	}
	node := s.svc.choose(ctx)
	if node == nil {
		return front.Closing(front.ReasonRefused, errFull)
	}
	to, err := cluster.AddressFor(node, s.listener.Name, s.conn.LocalAddr().Addr())
	if err != nil {
		s.Log().Error("refer to a notification node", "error", err)
		return front.Closing(front.ReasonRefused, msnp.CodeBusy)
	}
	s.dialect.AppendReferral(&s.out, cmd.TrID, to, s.listener.Address(s.conn))
	// The client hangs up first, as the seed session shows.
	s.phase = msnp.Referred
	s.conn.SetDeadline(time.Now().Add(s.svc.cfg.ReferralTimeout))
	return nil
}

// handleOUT says goodbye in return.
func (s *session) handleOUT(context.Context, *msnp.Command) error {
	s.out.Verb("OUT")
	return front.Closing(front.ReasonClient, nil)
}
