package notification

import (
	"context"

	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
)

// The commands around a session that are not about lists, presence or chats.
// Monarch has no mail, no pager and no member directory, and says so in the
// way that the protocol has for it.

// siteID is the third argument of URL, which clients from 3.0 on require.
const siteID = 2

// handleURL names the page of a service, and the form that logs in to it.
//
//	C: URL TrID service [param]    S: URL TrID page login [siteid]
func (s *session) handleURL(_ context.Context, cmd *msnp.Command) error {
	s.dialect.AppendURL(s.lines(), cmd.TrID, s.svc.cfg.PageURL, s.svc.cfg.LoginURL, siteID)
	return nil
}

// handleFND searches the member directory, in which there is nobody.
//
//	C: FND TrID fname=F lname=L city=C state=S country=CC    S: FND TrID 0 0
func (s *session) handleFND(_ context.Context, cmd *msnp.Command) error {
	s.line("FND").TrID(cmd.TrID).Word("0").Word("0")
	return nil
}

// handleSND accepts an invitation mail; none is sent.
func (s *session) handleSND(_ context.Context, cmd *msnp.Command) error {
	s.line("SND").TrID(cmd.TrID).Word("OK")
	return nil
}

// handleSDC is SND with a text of the user's own.
func (s *session) handleSDC(_ context.Context, cmd *msnp.Command) error {
	s.line("SDC").TrID(cmd.TrID).Word("OK")
	return nil
}

// handlePAG refuses a page: nobody here has a pager.
func (s *session) handlePAG(context.Context, *msnp.Command) error {
	return msnp.CodeNoPages
}

// handleCHL sends a challenge to a client that asks for one.
//
//	C: CHL TrID    S: CHL TrID challenge
func (s *session) handleCHL(_ context.Context, cmd *msnp.Command) error {
	s.clientChallenge = msnp.NewClientChallenge()
	s.line("CHL").TrID(cmd.TrID).Word(s.clientChallenge)
	return nil
}

// handleQRY takes the answer to a challenge. One that nobody waits for is
// accepted.
//
//	C: QRY TrID product 32    S: QRY TrID
func (s *session) handleQRY(_ context.Context, cmd *msnp.Command) error {
	p := cmd.Params()
	product := string(p.Word())
	if challenge := s.clientChallenge; challenge != "" {
		s.clientChallenge = ""
		want, known := msnp.RespondClient(challenge, product)
		got, ok := msnp.ParseResponse(cmd.Payload)
		if !known || !ok || got != want {
			return front.Closing(front.ReasonRefused, msnp.CodeChallengeFailed)
		}
	}
	s.line("QRY").TrID(cmd.TrID)
	return nil
}
