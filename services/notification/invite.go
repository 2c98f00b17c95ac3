package notification

import (
	"context"
	"fmt"
	"time"

	"github.com/monarch-msn/monarch/internal/cluster"
	"github.com/monarch-msn/monarch/msnp"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// ticketTime is how long a ticket to a switchboard is good: hypothetic.org has
// clients wait at least two minutes before they use it.
const ticketTime = 2 * time.Minute

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
	node, err := s.svc.member.View().Pick(clusterv1.Role_ROLE_SWITCHBOARD)
	if err != nil {
		return msnp.CodeSwitchboardFailed
	}
	to, err := cluster.AddressFor(node, s.listener.Name, s.conn.LocalAddr().Addr())
	if err != nil {
		return fmt.Errorf("refer to switchboard: %w", err)
	}
	call, cancel := s.call(ctx)
	defer cancel()
	token, err := s.svc.cluster.Issue(call, &clusterv1.Ticket{
		Email: s.email.String(), Name: string(s.name), Dialect: s.dialect.String(), Node: node.GetId(),
	}, ticketTime)
	if err != nil {
		s.log.Warn("issue ticket", "error", err)
		return msnp.CodeSwitchboardFailed
	}
	s.line("XFR").TrID(cmd.TrID).Word("SB").Word(to).Word("CKI").Word(token)
	return nil
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
