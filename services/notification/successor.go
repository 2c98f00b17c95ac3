package notification

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/monarch-msn/monarch/internal/front"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// A session's successor is the next one of its user, on whatever node. Mostly
// the old session is told at once. Where its node is asleep or cut off it goes
// on for a while, and the user has left things undone there: commands that wait
// in the connection, and edits that are under way.

const (
	// successorTime bounds the question for a successor, ahead of a command.
	successorTime = 500 * time.Millisecond
	// unaskedTime is for how long nobody asks again after no answer came: while
	// Redis is away commands are not to wait for it one after another.
	unaskedTime = 5 * time.Second
)

// successors finds out who has been overtaken.
type successors struct {
	svc *Service
	// unasked is the uptime until which nobody asks.
	unasked atomic.Int64
}

// overtaken reports whether the user has logged in elsewhere, and closes the
// session then. It looks only while the node's lease may be over, as after a
// sleep: what a client sent before it went elsewhere must not be done on top of
// what it has done since.
func (s *session) overtaken(ctx context.Context) bool {
	svc := s.svc
	if !s.loggedIn() || !svc.member.Lapsed() || int64(svc.uptime()) < svc.successors.unasked.Load() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, successorTime)
	defer cancel()
	found, err := svc.cluster.Lookup(ctx, []string{s.email.String()})
	if err != nil {
		svc.successors.unasked.Store(int64(svc.uptime() + unaskedTime))
		return false
	}
	record := found[s.email.String()]
	if record == nil || record.GetId() == s.record.GetId() || record.GetEpoch() <= s.record.GetEpoch() {
		return false
	}
	s.flush()
	s.conn.Close(front.ReasonDisplaced)
	return true
}

// tell lets the successor of a displaced session know of the lists as they are
// now: an edit may have been made after the successor had read them.
func (a *successors) tell(ended *session) {
	version := ended.lists.version
	if ended.stale {
		version++ // the outcome of an edit is not known
	}
	a.svc.background(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, a.svc.cfg.CallTimeout)
		defer cancel()
		email := ended.email.String()
		found, err := a.svc.cluster.Lookup(ctx, []string{email})
		if err != nil {
			a.svc.log.Warn("look up a session's successor", "email", email, "error", err)
			return
		}
		record := found[email]
		if record == nil || record.GetId() == ended.record.GetId() {
			return
		}
		a.svc.hub.send(ctx, record.GetNode(), &clusterv1.Message{Kind: &clusterv1.Message_ListChanged{ListChanged: &clusterv1.ListChanged{
			Email: email, Version: version, By: email, Change: &clusterv1.ListChanged_Other{Other: true},
		}}})
	})
}
