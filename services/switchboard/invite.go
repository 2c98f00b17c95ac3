package switchboard

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/monarch-msn/monarch/internal/cluster"
	"github.com/monarch-msn/monarch/msnp"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// invitation is one call to one user, from CAL until ANS or its lapse. Its
// fields but the first three are guarded by the room's mutex until answered is
// closed, and do not change afterwards.
type invitation struct {
	callee msnp.Email
	// cookie lets the callee in, once. Nobody but the room and the callee
	// knows it.
	cookie string
	// answered is closed when the callee's node has answered, or did not.
	answered chan struct{}

	rang    bool
	expires time.Time
	// What the callee's session said of itself, and where that was.
	name    msnp.Nick
	dialect string
	place   uint64 // epoch of the session
}

// good reports whether the callee may come in.
func (i *invitation) good(now time.Time) bool { return i.rang && now.Before(i.expires) }

// pending reports whether the callee counts as called: it may come in, or we
// are about to learn whether it may.
func (i *invitation) pending(now time.Time) bool { return !i.rang || now.Before(i.expires) }

// handleCAL calls a user into the room.
//
//	C: CAL TrID handle    S: CAL TrID RINGING sessionid
//
// Only the callee's own session decides. Whoever may not call is told what is
// said of somebody who is not there, and only at certain moments after the
// command: else the time that the answer takes would tell.
func (s *session) handleCAL(ctx context.Context, cmd *msnp.Command) error {
	started := time.Now()
	p := cmd.Params()
	callee := p.Email(msnp.CodeInvalidUserName)
	err := p.Err()
	if errors.Is(err, msnp.ErrMalformed) {
		return err
	}
	if s.svc.failures.Full(s.email, started) {
		return msnp.CodeTooActive
	}
	s.room.stir()
	if err == nil {
		err = s.call(ctx, callee, cmd.TrID)
	}
	if errors.Is(err, msnp.CodeNotOnline) {
		s.awaitStep(ctx, started)
	}
	var code msnp.Code
	if errors.As(err, &code) && code != msnp.CodeBusy {
		s.svc.failures.Add(s.email, time.Now())
	}
	s.svc.metrics.invitation(ctx, err)
	return err
}

// awaitStep waits for the next multiple of the refusal step after started.
func (s *session) awaitStep(ctx context.Context, started time.Time) {
	step := s.svc.cfg.RefusalStep
	timer := time.NewTimer(step - time.Since(started)%step)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// call rings the callee and tells the client so.
func (s *session) call(ctx context.Context, callee msnp.Email, trid []byte) error {
	// The call goes on when the client hangs up meanwhile: others may be in
	// the room to hear the callee join.
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.svc.cfg.RingTimeout)
	defer cancel()
	if lapsed, err := s.lapsed(call, callee); err != nil {
		return err
	} else if lapsed != nil {
		s.room.withdraw(lapsed)
	}
	inv, err := s.room.invite(callee)
	if err != nil {
		return err
	}
	answer, place, err := s.svc.ring(call, &clusterv1.Ring{
		Callee:     callee.String(),
		Caller:     s.email.String(),
		CallerName: string(s.name),
		SessionId:  s.room.id,
		Addresses:  s.svc.addresses,
		Cookie:     inv.cookie,
	})
	if err != nil {
		s.room.withdraw(inv)
		return err
	}
	s.room.ringing(inv, answer, place, func() {
		s.out.Verb("CAL").TrID(trid).Word("RINGING").Word(s.room.id)
		s.flush()
	})
	return nil
}

// lapsed returns an invitation that rings in vain: the callee is logged in anew
// since, and the line that rang went with the old connection. It fails if the
// callee is not logged in any more.
func (s *session) lapsed(ctx context.Context, callee msnp.Email) (*invitation, error) {
	inv := s.room.ringsFor(callee)
	if inv == nil {
		return nil, nil
	}
	record, err := s.svc.lookup(ctx, callee.String())
	switch {
	case err != nil:
		return nil, err
	case record == nil:
		return nil, msnp.CodeNotOnline
	case record.GetEpoch() == inv.place:
		return nil, nil
	}
	return inv, nil
}

// ringsFor returns the invitation of the callee, if it rings.
func (r *room) ringsFor(callee msnp.Email) *invitation {
	r.mu.Lock()
	defer r.mu.Unlock()
	inv := r.invited[callee]
	if inv == nil || !inv.good(time.Now()) {
		return nil
	}
	return inv
}

// invite notes that the callee is being called, and keeps a place.
func (r *room) invite(callee msnp.Email) (*invitation, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for email, inv := range r.invited {
		if !inv.pending(now) {
			delete(r.invited, email)
		}
	}
	there := slices.ContainsFunc(r.members, func(m *session) bool { return m.email == callee })
	switch {
	case there || r.invited[callee] != nil:
		return nil, msnp.CodeAlreadyThere
	case len(r.members)+len(r.invited) >= r.svc.cfg.MaxMembers:
		return nil, msnp.CodeSessionFull
	}
	inv := &invitation{callee: callee, cookie: rand.Text(), answered: make(chan struct{})}
	r.invited[callee] = inv
	return inv, nil
}

// withdraw takes an invitation back.
func (r *room) withdraw(inv *invitation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.invited[inv.callee] == inv {
		delete(r.invited, inv.callee)
	}
	if !inv.rang {
		close(inv.answered)
	}
}

// ringing notes that the callee's client was rung. say tells the caller so,
// ahead of the JOI that may follow.
func (r *room) ringing(inv *invitation, answer *clusterv1.RingResult, place uint64, say func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	inv.rang, inv.expires = true, time.Now().Add(r.svc.cfg.RingTime)
	inv.name, inv.dialect, inv.place = msnp.Nick(answer.GetName()), answer.GetDialect(), place
	say()
	close(inv.answered)
}

// stir notes that a member does something.
func (r *room) stir() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.touch()
}

// touch is stir for whoever holds mu.
func (r *room) touch() { r.spoken = time.Now() }

// ring asks the callee's session to ring, wherever it is. place is the epoch of
// that session. An answer "not here" is looked up once more: a login may just
// have moved.
func (s *Service) ring(ctx context.Context, r *clusterv1.Ring) (answer *clusterv1.RingResult, place uint64, err error) {
	for range 2 {
		record, err := s.lookup(ctx, r.GetCallee())
		if err != nil {
			return nil, 0, err
		}
		if record == nil || record.GetEpoch() == place {
			break
		}
		place = record.GetEpoch()
		reply, err := s.member.Ask(ctx, record.GetNode(), s.traced(ctx, r))
		if errors.Is(err, cluster.ErrNobody) {
			continue // the node is gone; its sessions may be elsewhere by now
		}
		if err != nil {
			s.log.Warn("ring", "node", record.GetNode(), "error", err)
			break
		}
		switch answer := reply.GetRingResult(); answer.GetOutcome() {
		case clusterv1.RingResult_OUTCOME_RINGING:
			return answer, place, nil
		case clusterv1.RingResult_OUTCOME_NOT_HERE:
			continue
		}
		break
	}
	return nil, 0, msnp.CodeNotOnline
}

// lookup returns the record of one user, nil if there is none. While Redis is
// away the server is busy, which says nothing of the user.
func (s *Service) lookup(ctx context.Context, email string) (*clusterv1.Session, error) {
	found, err := s.cluster.Lookup(ctx, []string{email})
	if err != nil {
		s.log.Warn("look up a callee", "error", err)
		return nil, msnp.CodeBusy
	}
	return found[email], nil
}

var propagator propagation.TraceContext

// traced is the message that carries the ring, with the trace of a sampled
// command.
func (s *Service) traced(ctx context.Context, r *clusterv1.Ring) *clusterv1.Message {
	m := &clusterv1.Message{Kind: &clusterv1.Message_Ring{Ring: r}}
	if trace.SpanContextFromContext(ctx).IsSampled() {
		carrier := propagation.MapCarrier{}
		propagator.Inject(ctx, carrier)
		m.Traceparent = carrier["traceparent"]
	}
	return m
}

// Five calls that failed within a minute are allowed. The documents have the
// number; the window is ours.
const (
	failureLimit  = 5
	failureWindow = time.Minute
)
