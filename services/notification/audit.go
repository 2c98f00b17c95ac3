package notification

import (
	"container/heap"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/monarch-msn/monarch/internal/cluster"
	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// Pub/sub may lose messages; what clients see may not stay wrong. An audit
// compares one session with the truth: is the record still ours, are the lists
// the directory's, do the contacts say of themselves what the client was told.
// Each session has one every AuditInterval, and all have one, spread over
// ResyncTime, when something is known to be lost.

// auditor says which sessions are due.
type auditor struct {
	svc *Service

	mu sync.Mutex
	// queue has every session on the list, and place finds it there. Five times
	// a second only those at its front are looked at.
	queue auditQueue
	place map[*session]*auditDue
	// unclaimed is how many of them have not been claimed again since the node
	// has another id.
	unclaimed int
}

// auditDue says when a session's next audit is.
type auditDue struct {
	session *session
	at      time.Time
	index   int // in the queue
	// unclaimed says that the record may name a former id of the node.
	unclaimed bool
}

// auditQueue is a heap: the session that is due first is at the front.
type auditQueue []*auditDue

func (q auditQueue) Len() int           { return len(q) }
func (q auditQueue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }

func (q auditQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push and Pop are for container/heap, which puts at the end and takes from it.
func (q *auditQueue) Push(x any) {
	d := x.(*auditDue)
	d.index = len(*q)
	*q = append(*q, d)
}

func (q *auditQueue) Pop() any {
	last := len(*q) - 1
	d := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return d
}

// auditTick is how often the auditor looks for sessions that are due, and
// auditBatch how many of them share one call to the directory.
const (
	auditTick    = 200 * time.Millisecond
	auditBatch   = 500
	auditWorkers = 32
	// reclaimWait is the pause before another try to claim a session anew.
	reclaimWait = time.Second
)

func newAuditor(svc *Service) *auditor {
	return &auditor{svc: svc, place: make(map[*session]*auditDue)}
}

// again has the session audited at t, or earlier.
func (a *auditor) again(s *session, t time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	d := a.place[s]
	switch {
	case d == nil:
		d = &auditDue{session: s, at: t}
		a.place[s] = d
		heap.Push(&a.queue, d)
	case t.Before(d.at):
		d.at = t
		heap.Fix(&a.queue, d.index)
	}
}

// first puts a new session on the list.
func (a *auditor) first(s *session) {
	a.again(s, time.Now().Add(time.Duration(rand.Int64N(int64(a.svc.cfg.AuditInterval)))))
}

// forget takes a session that has ended off the list.
func (a *auditor) forget(s *session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if d := a.place[s]; d != nil {
		a.settle(d)
		heap.Remove(&a.queue, d.index)
		delete(a.place, s)
	}
}

// settle takes a session out of those that are to be claimed again, for whoever
// holds mu.
func (a *auditor) settle(d *auditDue) {
	if d.unclaimed {
		d.unclaimed = false
		a.unclaimed--
	}
}

// claimed notes that the record of a session names a node.
func (a *auditor) claimed(s *session, node string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	// The node has its new id ahead of the call of all. So if node is the present
	// one under mu, no claim was asked for since that this one is not.
	if d := a.place[s]; d != nil && node == a.svc.member.ID() {
		a.settle(d)
	}
}

// unsettled reports whether sessions have still to be claimed again.
func (a *auditor) unsettled() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.unclaimed > 0
}

// all has every session audited, spread over the resync time. Where the node has
// another id, each is to be claimed again.
func (a *auditor) all(otherID bool) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range a.queue {
		if otherID && !d.unclaimed {
			d.unclaimed = true
			a.unclaimed++
		}
		t := now.Add(time.Duration(rand.Int64N(int64(a.svc.cfg.ResyncTime))))
		if t.Before(d.at) {
			d.at = t
		}
	}
	heap.Init(&a.queue)
}

// take returns up to auditBatch sessions that are due, the longest due first,
// and puts each back for its next audit.
func (a *auditor) take(now time.Time) []*session {
	a.mu.Lock()
	defer a.mu.Unlock()
	var sessions []*session
	for len(a.queue) > 0 && len(sessions) < auditBatch && !a.queue[0].at.After(now) {
		d := a.queue[0]
		sessions = append(sessions, d.session)
		d.at = now.Add(a.svc.cfg.AuditInterval)
		heap.Fix(&a.queue, 0)
	}
	return sessions
}

// run audits until ctx ends.
func (a *auditor) run(ctx context.Context) error {
	tick := time.NewTicker(auditTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for sessions := a.take(time.Now()); len(sessions) > 0; sessions = a.take(time.Now()) {
			a.audit(ctx, sessions)
		}
	}
}

// audit compares the list versions of many sessions in one call, and then each
// session with the rest of the truth.
func (a *auditor) audit(ctx context.Context, sessions []*session) {
	emails := make([]string, len(sessions))
	for i, s := range sessions {
		emails[i] = s.email.String()
	}
	call, cancel := context.WithTimeout(ctx, a.svc.cfg.CallTimeout)
	defer cancel()
	answer, err := a.svc.directory.Versions(call, &directoryv1.VersionsRequest{Emails: emails})
	if err != nil {
		// Versions that cannot be read say nothing; presence can be compared
		// all the same.
		a.svc.log.Warn("read list versions", "error", err)
		answer = nil
	}
	var group errgroup.Group
	group.SetLimit(auditWorkers)
	for _, s := range sessions {
		group.Go(func() error {
			s.guard(func() { s.audit(ctx, answer) })
			return nil
		})
	}
	group.Wait()
}

// audit compares the session with the truth; versions is nil when the directory
// could not be asked.
func (s *session) audit(ctx context.Context, versions *directoryv1.VersionsResponse) {
	s.takeTurn()
	defer s.poke()
	defer s.giveTurn()
	if !s.loggedIn() {
		return
	}
	if s.roll != nil && !s.roll.repair {
		// A command is waiting for answers; its roll call must not be mixed up
		// with ours.
		s.svc.auditor.again(s, time.Now().Add(time.Second))
		return
	}
	if !s.reclaim(ctx) {
		return
	}
	switch {
	case versions == nil && s.stale:
		s.doubt()
	case versions != nil && (s.stale || versions.GetVersions()[s.email.String()] != s.lists.version):
		s.refresh(ctx)
	}
	if s.phase == msnp.Present {
		roll := newRollCall(nil)
		roll.repair = true
		s.announce(ctx, roll)
	}
}

// reclaim makes sure that the record is ours. It returns false where that is
// not so, or unknown.
func (s *session) reclaim(ctx context.Context) bool {
	call, cancel := s.call(ctx)
	defer cancel()
	changed, displaced, err := s.svc.member.Reclaim(call, s.record)
	for _, d := range displaced {
		s.svc.hub.displace(ctx, d)
	}
	switch {
	case errors.Is(err, cluster.ErrDisplaced):
		s.flush()
		s.conn.Close(front.ReasonDisplaced)
		return false
	case err != nil:
		s.Log().Warn("reclaim session", "error", err)
		// While Redis is away it would fail again, and whoever returns has all
		// sessions claimed anew. But where the lease stands, the others do not
		// wait much longer than a lease for this one.
		wait := s.svc.lease()
		if !s.svc.member.Lapsed() {
			wait = reclaimWait
		}
		s.svc.auditor.again(s, time.Now().Add(wait))
		return false
	}
	s.svc.auditor.claimed(s, s.record.GetNode())
	if changed {
		s.Log().Info("session claimed anew", "epoch", s.record.GetEpoch(), "node", s.record.GetNode())
	}
	return true
}
