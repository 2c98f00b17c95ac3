package operator

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/monarch-msn/monarch/msnp"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"github.com/monarch-msn/monarch/services/operator/api"
)

// announce tells one user, or everybody, that the network goes down in so many
// minutes, or some text, or both. What reaches a client depends on its version:
// the minutes are for all, the text for those from MSNP5 on.
func (s *Service) announce(r *http.Request) (any, error) {
	var a api.Announcement
	if err := readJSON(r, &a); err != nil {
		return nil, err
	}
	if err := checkAnnouncement(&a); err != nil {
		return nil, err
	}
	notice := &clusterv1.Notice{Minutes: a.Minutes, Text: a.Text}
	if a.Email == "" {
		return s.announceAll(r.Context(), notice)
	}
	email, err := msnp.ParseEmail([]byte(a.Email))
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "%q is not an email address", a.Email)
	}
	session, err := s.lookUp(r.Context(), email.String())
	if err != nil {
		return nil, err
	}
	if err := s.notify(r.Context(), session, notice); err != nil {
		return nil, err
	}
	return api.Announced{Nodes: 1, Sessions: 1}, nil
}

func checkAnnouncement(a *api.Announcement) error {
	if a.Minutes == 0 && strings.TrimSpace(a.Text) == "" {
		return refuse(http.StatusBadRequest, "there is neither a text nor a number of minutes")
	}
	if a.Minutes > api.MaxMinutes {
		return refuse(http.StatusBadRequest, "%d minutes are more than %d, which is a week", a.Minutes, api.MaxMinutes)
	}
	return checkText("text", a.Text)
}

// checkText checks a text that goes into a notice.
func checkText(field, text string) error {
	if len(text) > msnp.MaxNotice || !utf8.ValidString(text) {
		return refuse(http.StatusBadRequest, "%s must be UTF-8 and at most %d bytes", field, msnp.MaxNotice)
	}
	return nil
}

// announceAll sends the notice to every node that has sessions. It counts those
// that heard it.
func (s *Service) announceAll(ctx context.Context, notice *clusterv1.Notice) (any, error) {
	sessions := make(map[string]uint32)
	for _, n := range s.member.View().Nodes() {
		if n.GetRole() == clusterv1.Role_ROLE_NOTIFICATION {
			sessions[n.GetId()] = n.GetSessions()
		}
	}
	deaf, err := s.tell(ctx, slices.Collect(maps.Keys(sessions)), notice)
	if err != nil {
		return nil, clusterError(err, "announce")
	}
	for _, node := range deaf {
		delete(sessions, node)
	}
	var told api.Announced
	for _, n := range sessions {
		told.Nodes++
		told.Sessions += n
	}
	return told, nil
}

// setStatus gives a user another status, as if the client had chosen it. The
// user may change it back.
func (s *Service) setStatus(r *http.Request) (any, error) {
	var change api.StatusChange
	if err := readJSON(r, &change); err != nil {
		return nil, err
	}
	if status, ok := msnp.ParseStatus([]byte(change.Status)); !ok || status == msnp.FLN {
		return nil, refuse(http.StatusBadRequest, "%q is no status, there are NLN, BSY, IDL, BRB, AWY, PHN, LUN and HDN", change.Status)
	}
	return s.notifySession(r, &clusterv1.Notice{Status: change.Status})
}

// reportMail has a user's client show that a mail has arrived, for a mail
// system that is none of ours.
func (s *Service) reportMail(r *http.Request) (any, error) {
	var mail api.Mail
	if err := readJSON(r, &mail); err != nil {
		return nil, err
	}
	address, err := msnp.ParseEmail([]byte(mail.Address))
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "%q is not an email address", mail.Address)
	}
	if mail.From == "" {
		mail.From = address.String()
	}
	if err := checkText("from", mail.From); err != nil {
		return nil, err
	}
	if err := checkText("subject", mail.Subject); err != nil {
		return nil, err
	}
	return s.notifySession(r, &clusterv1.Notice{Mail: &clusterv1.Mail{
		From: mail.From, Address: address.String(), Subject: mail.Subject,
	}})
}

// notifySession sends the notice to the session that the path names.
func (s *Service) notifySession(r *http.Request, notice *clusterv1.Notice) (any, error) {
	session, err := s.findSession(r)
	if err != nil {
		return nil, err
	}
	if err := s.notify(r.Context(), session, notice); err != nil {
		return nil, err
	}
	return sessionOf(session), nil
}

func (s *Service) notify(ctx context.Context, session *clusterv1.Session, notice *clusterv1.Notice) error {
	notice.Email = session.GetEmail()
	deaf, err := s.tell(ctx, []string{session.GetNode()}, notice)
	if err != nil {
		return clusterError(err, "notify "+session.GetEmail())
	}
	if len(deaf) > 0 {
		return refuse(http.StatusServiceUnavailable, "node %q cannot be reached: it has just ended, or is cut off from Redis", session.GetNode())
	}
	return nil
}
