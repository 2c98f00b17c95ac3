package notification

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/monarch-msn/monarch/internal/cluster"
	"github.com/monarch-msn/monarch/msnp"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// ticketTime is how long a ticket to a switchboard is good: hypothetic.org has
// clients wait at least two minutes before they use it.
const ticketTime = 2 * time.Minute

// maxTickets is how many conversations a client may begin within ticketTime.
// Each ticket waits in Redis until it is used or over, so without a bound one
// client could fill it.
const maxTickets = 100

// handleXFR refers the client to a switchboard.
//
//	C: XFR TrID SB    S: XFR TrID SB host:port CKI ticket
func (s *session) handleXFR(ctx context.Context, cmd *msnp.Command) error {
	p := cmd.Params()
	if string(p.Word()) != "SB" {
		return msnp.CodeInvalidParameter
	}
	if s.phase != msnp.Present || s.status == msnp.HDN || s.noInvitations {
		return msnp.CodeHidden
	}
	now := time.Now()
	s.tickets = slices.DeleteFunc(s.tickets, func(t time.Time) bool { return now.Sub(t) >= ticketTime })
	if len(s.tickets) >= maxTickets {
		return msnp.CodeTooManySessions
	}
	call, cancel := s.call(ctx)
	defer cancel()
	node, err := s.svc.member.View().PickAlive(call, clusterv1.Role_ROLE_SWITCHBOARD)
	if err != nil {
		s.Log().Warn("no switchboard to refer to", "error", err)
		return msnp.CodeSwitchboardFailed
	}
	to, err := cluster.AddressFor(node, s.listener.Name, s.conn.LocalAddr().Addr())
	if err != nil {
		return fmt.Errorf("refer to switchboard: %w", err)
	}
	token, err := s.svc.cluster.Issue(call, &clusterv1.Ticket{
		Email: s.email.String(), Name: string(s.name.Or(s.email)), Dialect: s.dialect.String(), Node: node.GetId(),
	}, ticketTime)
	if err != nil {
		s.Log().Warn("issue ticket", "error", err)
		return msnp.CodeSwitchboardFailed
	}
	s.tickets = append(s.tickets, now)
	s.line("XFR").TrID(cmd.TrID).Word("SB").Word(to).Word("CKI").Word(token)
	return nil
}

// ringEvent is somebody's call to the user, from a switchboard that waits for
// the answer.
type ringEvent struct {
	msg  *clusterv1.Ring
	from string
	ask  uint64
}

// mayBlock: nothing is decided by lists that are in doubt.
func (ringEvent) mayBlock(s *session) bool { return s.phase == msnp.Present && s.stale }

func (e ringEvent) handle(ctx context.Context, s *session) {
	result := s.handleRing(ctx, e)
	// The line goes ahead of the answer: who is told that it rings may count
	// on it.
	s.flush()
	s.svc.answerRing(e.from, e.ask, result)
}

// handleRing lets the client ring if its user may be called: present and not
// hidden, invitations on, and the caller admitted. Unlike presence this does
// not ask for anybody's FL: strangers may call.
//
//	S: RNG sessionid host:port CKI cookie handle friendly
func (s *session) handleRing(ctx context.Context, e ringEvent) *clusterv1.RingResult {
	no := &clusterv1.RingResult{Outcome: clusterv1.RingResult_OUTCOME_REFUSED}
	if s.phase == over || s.conn.Reason() != "" {
		return &clusterv1.RingResult{Outcome: clusterv1.RingResult_OUTCOME_NOT_HERE}
	}
	if s.phase != msnp.Present || s.status == msnp.HDN || s.noInvitations {
		return no
	}
	s.refreshIfStale(ctx)
	if s.stale || s.conn.Reason() != "" {
		return no // whether the caller is blocked is not known
	}
	caller := msnp.MakeEmail(e.msg.GetCaller())
	var on msnp.List
	if c := s.lists.find(caller); c != nil {
		on = c.on
	}
	if !msnp.Admits(s.blpAllow, on) {
		return no
	}
	to, err := cluster.AddressFor(&clusterv1.Node{Id: e.from, Addresses: e.msg.GetAddresses()},
		s.listener.Name, s.conn.LocalAddr().Addr())
	if err != nil {
		s.Log().Error("ring", "error", err)
		return no
	}
	s.line("RNG").Word(e.msg.GetSessionId()).Word(to).Word("CKI").Word(e.msg.GetCookie()).
		Email(caller).Nick(msnp.Nick(e.msg.GetCallerName()).Or(caller))
	return &clusterv1.RingResult{
		Outcome: clusterv1.RingResult_OUTCOME_RINGING,
		Dialect: s.dialect.String(),
		Name:    string(s.name.Or(s.email)),
	}
}

// answerRing tells a switchboard what came of its call.
func (s *Service) answerRing(to string, ask uint64, result *clusterv1.RingResult) {
	s.member.Answer(to, ask, &clusterv1.Message{Kind: &clusterv1.Message_RingResult{RingResult: result}})
}

// handleIMS switches invitations off and on; presence does not change.
//
//	C: IMS TrID {ON|OFF}    S: IMS TrID 0 {ON|OFF}
func (s *session) handleIMS(_ context.Context, cmd *msnp.Command) error {
	p := cmd.Params()
	word := p.OneOf("ON", "OFF")
	if err := p.Err(); err != nil {
		return err
	}
	s.noInvitations = word == "OFF"
	s.line("IMS").TrID(cmd.TrID).Word("0").Word(word)
	return nil
}
