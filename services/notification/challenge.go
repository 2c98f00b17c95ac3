package notification

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
)

// Challenges ask a client of MSNP6 or later which product it is. They prove
// nothing today, as the keys are known to everybody, so they are off unless the
// configuration asks for them. The first follows the first CHG, others at
// irregular times; a client that does not answer in time hears OUT, one that
// answers wrong 540, and both are closed.

// startChallenges sends the first challenge, once the client is present.
func (s *session) startChallenges() {
	if s.svc.cfg.Challenges && s.dialect.Has(msnp.Challenges) && s.phase == msnp.Present {
		s.challengeClient(time.Now())
	}
}

// challengeClient sends a challenge and has the answer waited for.
func (s *session) challengeClient(now time.Time) {
	s.clientChallenge = msnp.NewClientChallenge()
	s.line("CHL").Word("0").Word(s.clientChallenge)
	s.wake = now.Add(s.svc.cfg.ChallengeTimeout)
	s.svc.challenger.at(s, s.wake)
}

// handleCHL sends a challenge to a client that asks for one; one that it has
// not answered yet is sent again.
//
//	C: CHL TrID    S: CHL TrID challenge
func (s *session) handleCHL(_ context.Context, cmd *msnp.Command) error {
	if s.clientChallenge == "" {
		s.clientChallenge = msnp.NewClientChallenge()
	}
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
	if !s.wake.IsZero() {
		// Half to one and a half of the interval: clients cannot count on it.
		interval := s.svc.cfg.ChallengeInterval
		s.wake = time.Now().Add(interval/2 + rand.N(interval+1))
		s.svc.challenger.at(s, s.wake)
	}
	return nil
}

// challengeEvent says that the session's time may have come: to challenge the
// client again, or to give up on it.
type challengeEvent struct{ now time.Time }

func (challengeEvent) mayBlock(*session) bool { return false }

func (e challengeEvent) handle(_ context.Context, s *session) {
	switch {
	case s.phase != msnp.Present || e.now.Before(s.wake):
		// Gone, or answered meanwhile.
	case s.clientChallenge == "":
		s.challengeClient(e.now)
	default:
		s.line("OUT")
		s.flush()
		s.conn.Close(front.ReasonRefused)
	}
}

// challenger wakes the sessions that have a challenge to send or an answer to
// miss. One goroutine does so for all.
type challenger struct {
	mu  sync.Mutex
	due map[*session]time.Time
}

func newChallenger() *challenger { return &challenger{due: make(map[*session]time.Time)} }

// at has the session woken at t, in place of what was said before.
func (c *challenger) at(s *session, t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.due[s] = t
}

// forget leaves a session that has ended alone.
func (c *challenger) forget(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.due, s)
}

// take removes the sessions that are due and returns them.
func (c *challenger) take(now time.Time) []*session {
	c.mu.Lock()
	defer c.mu.Unlock()
	var sessions []*session
	for s, due := range c.due {
		if !due.After(now) {
			delete(c.due, s)
			sessions = append(sessions, s)
		}
	}
	return sessions
}

// run wakes sessions until ctx ends, a second late at most, and less where the
// configuration is of the hurry of a test.
func (c *challenger) run(ctx context.Context, cfg *Config) error {
	if !cfg.Challenges {
		return nil
	}
	tick := time.NewTicker(min(time.Second, max(time.Millisecond, min(cfg.ChallengeTimeout, cfg.ChallengeInterval)/10)))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			for _, s := range c.take(now) {
				s.post(challengeEvent{now})
			}
		}
	}
}
