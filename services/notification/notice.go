package notification

import (
	"context"
	"math/rand/v2"

	"github.com/monarch-msn/monarch/msnp"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// welcome says what follows the answer to the first CHG.
func (s *session) welcome() {
	if s.phase != msnp.Present {
		return // ended while it waited for its contacts
	}
	if cfg := &s.svc.cfg; cfg.Mail {
		s.dialect.AppendMailbox(s.Lines(), msnp.Mailbox{
			Inbox: cfg.page(msnp.Inbox, ""), Folders: cfg.page("FOLDERS", ""), Login: cfg.LoginURL,
		})
	}
	s.startChallenges()
}

// notify hands a notice to the user it is for, or to everybody.
func (h *hub) notify(n *clusterv1.Notice) {
	if n.GetEmail() != "" {
		for _, s := range h.of(n.GetEmail()) {
			s.post(noticeEvent{n})
		}
		return
	}
	h.svc.background(func(context.Context) {
		for _, s := range h.all() {
			s.post(noticeEvent{n})
		}
	})
}

// noticeEvent is what the operator has for the user.
type noticeEvent struct{ msg *clusterv1.Notice }

func (noticeEvent) mayBlock(*session) bool { return false }

func (e noticeEvent) handle(ctx context.Context, s *session) {
	if !s.loggedIn() {
		return
	}
	n, cfg := e.msg, &s.svc.cfg
	if n.GetMinutes() > 0 {
		msnp.AppendSystemMessage(s.Lines(), n.GetMinutes())
	}
	if n.GetText() != "" && !cfg.NoAlerts {
		s.dialect.AppendAlert(s.Lines(), msnp.Alert{
			ID: rand.Uint32N(1 << 31), UserID: s.userID, Email: s.email, Site: cfg.PageURL, Text: n.GetText(),
		})
	}
	if m := n.GetMail(); m != nil && cfg.Mail {
		s.mails++
		s.dialect.AppendMail(s.Lines(), msnp.Mail{
			From: m.GetFrom(), Address: m.GetAddress(), Subject: m.GetSubject(),
			Page: cfg.page(msnp.Inbox, ""), Login: cfg.LoginURL, ID: s.mails,
		})
	}
	if status, ok := msnp.ParseStatus([]byte(n.GetStatus())); ok && status != msnp.FLN {
		s.impose(ctx, status)
	}
}

// impose changes the status of a present user without being asked.
//
//	S: CHG 0 state
func (s *session) impose(ctx context.Context, status msnp.Status) {
	if s.phase != msnp.Present || s.status == status {
		return
	}
	s.status = status
	s.line("CHG").Word("0").Status(status)
	s.count++
	s.publish(ctx)
}
