package notification

import (
	"bytes"
	"context"
	"time"

	"github.com/monarch-msn/monarch/msnp"
)

// rollCall is the wait for answers to probes. What comes in time becomes ILN
// with the TrID of the command that asked; what comes later is NLN. A nil
// rollCall waits for nobody.
type rollCall struct {
	trid    []byte
	missing map[msnp.Email]struct{}
	done    chan struct{}
	// repair marks the roll call of an audit: no command waits for it, and
	// each difference that it brings is one that a lost message caused.
	repair bool
}

func newRollCall(trid []byte) *rollCall {
	return &rollCall{
		trid:    bytes.Clone(trid),
		missing: make(map[msnp.Email]struct{}),
		done:    make(chan struct{}),
	}
}

func (r *rollCall) expect(e msnp.Email) {
	if r != nil {
		r.missing[e] = struct{}{}
	}
}

func (r *rollCall) awaits(e msnp.Email) bool {
	if r == nil {
		return false
	}
	_, ok := r.missing[e]
	return ok
}

func (r *rollCall) answered(e msnp.Email) {
	if r == nil {
		return
	}
	delete(r.missing, e)
	r.settle()
}

// settle ends the wait if nobody is missing.
func (r *rollCall) settle() {
	if r != nil && len(r.missing) == 0 {
		r.finish()
	}
}

// finish ends the wait, whoever is missing.
func (r *rollCall) finish() {
	if r == nil {
		return
	}
	clear(r.missing)
	select {
	case <-r.done:
	default:
		close(r.done)
	}
}

// await gives the turn away until the roll call is complete or its time is up,
// so that the answers can be handled meanwhile. A handler relies on nothing
// behind it that it knew before.
func (s *session) await(ctx context.Context) {
	roll := s.roll
	if roll == nil {
		return
	}
	select {
	case <-roll.done:
		s.roll = nil
		return
	default:
	}
	timer := time.NewTimer(s.svc.cfg.RollCallTime)
	defer timer.Stop()
	s.giveTurn()
	s.poke()
	select {
	case <-roll.done:
	case <-timer.C:
	case <-ctx.Done():
	}
	s.takeTurn()
	roll.finish()
	if s.roll == roll {
		s.roll = nil
	}
}
