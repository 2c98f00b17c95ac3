package notification

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/monarch-msn/monarch/internal/cluster"
	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// handleVER chooses the dialect.
//
//	C: VER TrID dialect ...    S: VER TrID dialect
func (s *session) handleVER(_ context.Context, cmd *msnp.Command) error {
	d, cvr0 := msnp.Negotiate(cmd.Args, s.svc.dialects)
	switch {
	case d != nil:
		s.dialect, s.phase = d, msnp.Versioned
		s.line("VER").TrID(cmd.TrID)
		if s.svc.cfg.VERReplyList {
			for _, name := range msnp.CommonList(cmd.Args, s.svc.dialects) {
				s.out.Word(name)
			}
			return nil
		}
		s.out.Word(d.String())
		return nil
	case cvr0:
		s.phase = msnp.VersionedCVR0
		s.line("VER").TrID(cmd.TrID).Word("CVR0")
		return nil
	default:
		s.line("VER").TrID(cmd.TrID).Word("0")
		return front.Closing(front.ReasonRefused, errors.New("no common dialect"))
	}
}

// handleINF names the one authentication package.
func (s *session) handleINF(_ context.Context, cmd *msnp.Command) error {
	s.phase = msnp.Informed
	s.line("INF").TrID(cmd.TrID).Word("MD5")
	return nil
}

// handleCVR tells the client that its own version is the recommended one.
func (s *session) handleCVR(_ context.Context, cmd *msnp.Command) error {
	msnp.AppendClientVersion(s.Lines(), cmd, s.svc.cfg.DownloadURL, s.svc.cfg.InfoURL)
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

// handleUSR is the login, in two stages.
//
//	C: USR TrID MD5 I handle    S: USR TrID MD5 S salt
//	C: USR TrID MD5 S hex32     S: USR TrID OK handle friendly [verified]
func (s *session) handleUSR(ctx context.Context, cmd *msnp.Command) error {
	p := cmd.Params()
	p.OneOf("MD5")
	stage := p.OneOf("I", "S")
	if err := p.Err(); err != nil {
		return err
	}
	if stage == "I" {
		return s.identify(ctx, cmd, &p)
	}
	return s.authenticate(ctx, cmd, &p)
}

// identify draws the challenge. Nobody is asked whether the account exists, so
// a stranger learns nothing and costs the directory nothing.
func (s *session) identify(ctx context.Context, cmd *msnp.Command, p *msnp.Params) error {
	email, err := s.svc.cfg.handle(p)
	if err != nil {
		return refused(err)
	}
	if s.phase == msnp.Challenged || s.phase == msnp.Referred {
		return front.Closing(front.ReasonProtocol, msnp.CodeNotExpected)
	}
	if s.svc.draining() && !s.svc.needed() {
		return s.sendAway(ctx, cmd)
	}
	if s.seat = s.svc.admission.hold(time.Now()); s.seat == nil {
		return s.sendAway(ctx, cmd)
	}
	s.email, s.challenge, s.phase = email, msnp.NewChallenge(), msnp.Challenged
	s.line("USR").TrID(cmd.TrID).Word("MD5").Word("S").Word(s.challenge)
	return nil
}

// sendAway refers a client that this node cannot take to one that can. Where
// there is none it says why: it is full, or about to go.
func (s *session) sendAway(ctx context.Context, cmd *msnp.Command) error {
	node, err := s.svc.member.View().PickAlive(ctx, clusterv1.Role_ROLE_NOTIFICATION, s.svc.member.ID())
	if err != nil && s.svc.draining() {
		return refused(msnp.CodeUnavailable)
	}
	if err != nil {
		s.svc.admission.metrics.refused(refusedFull)
		return refused(msnp.CodeBusy)
	}
	to, err := cluster.AddressFor(node, s.listener.Name, s.conn.LocalAddr().Addr())
	if err != nil {
		s.Log().Warn("refer to another node", "error", err)
		return refused(msnp.CodeBusy)
	}
	s.dialect.AppendReferral(s.Lines(), cmd.TrID, to, s.listener.Address(s.conn))
	// The client hangs up first, as the seed session shows.
	s.phase = msnp.Referred
	s.conn.SetDeadline(time.Now().Add(s.svc.cfg.ReferralTimeout))
	return nil
}

// authenticate has the directory check the answer and opens the session.
func (s *session) authenticate(ctx context.Context, cmd *msnp.Command, p *msnp.Params) error {
	if s.phase != msnp.Challenged {
		return msnp.ErrMalformed
	}
	response, ok := msnp.ParseResponse(p.Word())
	if p.Err() != nil {
		return p.Err()
	}
	challenge := s.challenge
	s.challenge = "" // used once, whatever comes of it
	if !ok || s.email.IsZero() {
		// The shape of the answer is as wrong as its content could be, or nobody
		// has this address.
		return refused(msnp.CodeAuthentication)
	}
	if !s.svc.admission.take(s.seat, time.Now()) {
		s.svc.admission.metrics.refused(refusedFull)
		return refused(msnp.CodeBusy)
	}
	if err := s.svc.admission.enter(s.conn); err != nil {
		return err
	}
	defer s.svc.admission.exit()
	ctx, cancel := s.call(ctx)
	defer cancel()
	login, err := s.svc.directory.Login(ctx, &directoryv1.LoginRequest{
		Email: s.email.String(), Challenge: challenge, Response: response[:],
	})
	if err != nil {
		return refused(s.loginCode(err))
	}
	s.userID = login.GetUserId()
	if err := s.open(ctx); err != nil {
		return refused(s.loginCode(err))
	}
	s.phase = msnp.Authenticated
	s.conn.SetDeadline(time.Time{})
	s.dialect.AppendUserOK(s.Lines(), cmd.TrID, s.email, s.name, s.verified)
	s.dialect.AppendProfile(s.Lines(), msnp.Profile{
		LoginTime: s.svc.now().Unix(),
		UserID:    s.userID,
		Email:     s.email,
		HasMail:   s.svc.cfg.Mail,
		MSPAuth:   s.record.GetId(),
	})
	s.Log().Info("login", "dialect", s.dialect.String(), "epoch", s.record.GetEpoch())
	return nil
}

// refused ends a login with the code that err is.
func refused(err error) error {
	return front.Closing(front.ReasonRefused, err)
}

// open puts the session on the map and reads its lists, in the order that lets
// nobody be missed: known on this node before the record names it, the record
// written before the lists are read. Whoever edits these lists meanwhile is
// either in the snapshot or finds the record and sends ListChanged.
func (s *session) open(ctx context.Context) error {
	s.svc.hub.add(s)
	// A resync from here on includes the session: what is lost while it reads
	// its lists is found by the audit behind the login.
	s.svc.auditor.first(s)
	s.record = &clusterv1.Session{
		Id:      rand.Text(),
		Email:   s.email.String(),
		Dialect: s.dialect.String(),
	}
	displaced, err := s.svc.member.Claim(ctx, s.record)
	for _, d := range displaced {
		s.svc.hub.displace(ctx, d)
	}
	if err != nil {
		return fmt.Errorf("claim session: %w", err)
	}
	s.svc.auditor.claimed(s, s.record.GetNode())
	answer, err := s.svc.directory.Snapshot(ctx, &directoryv1.SnapshotRequest{Email: s.email.String()})
	if err != nil {
		return fmt.Errorf("read lists: %w", err)
	}
	s.takeSnapshot(answer.GetSnapshot())
	s.read = s.svc.uptime()
	for _, d := range displaced {
		s.buryPredecessor(ctx, d)
	}
	return nil
}

// takeSnapshot replaces all that the session knows from the directory.
func (s *session) takeSnapshot(snap *directoryv1.Snapshot) {
	s.adoptSettings(snap)
	s.lists = newLists(snap)
}

// adoptSettings takes over what is the user's own.
func (s *session) adoptSettings(snap *directoryv1.Snapshot) {
	s.name = msnp.Nick(snap.GetName())
	s.verified = snap.GetVerified()
	s.gtcAsk = snap.GetGtcAsk()
	s.blpAllow = snap.GetBlpAllow()
	s.phones = phonesOf(snap.GetPhones())
	s.mobileDevice = snap.GetMobileDevice()
}
