package notification

import (
	"context"
	"sync/atomic"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

const (
	// releaseTries bounds how often a record is tried to give up. What is left
	// after that names a session that its node does not have: whoever probes it
	// learns so, and the record goes then.
	releaseTries = 5
	// releaseWait is the pause behind the first try; each one is four times the
	// one before.
	releaseWait = 100 * time.Millisecond
	// releasesAtOnce bounds the calls to Redis: a node that ends gives all of
	// its records up in one moment.
	releasesAtOnce = 64
)

// releases gives up the records of sessions that have ended.
type releases struct {
	svc   *Service
	slots chan struct{}
	// over ends when the time of a node that goes is up. What is left then is
	// found by the sweep of the other nodes.
	over context.Context
	end  context.CancelFunc
	left atomic.Int64
}

func newReleases(svc *Service) *releases {
	r := &releases{svc: svc, slots: make(chan struct{}, releasesAtOnce)}
	r.over, r.end = context.WithCancel(context.Background())
	return r
}

// within ends what is under way in time d from now, for a node that goes. It
// returns when that is so, or stopped is closed.
func (r *releases) within(d time.Duration, stopped <-chan struct{}) {
	defer r.end()
	select {
	case <-time.After(d):
	case <-stopped:
	}
}

// release gives up one record. It blocks while Redis is away, but not beyond the
// end of the node.
func (r *releases) release(record *clusterv1.Session) {
	wait := releaseWait
	for try := 1; ; try++ {
		err := r.once(record)
		if err == nil {
			return
		}
		if r.over.Err() != nil {
			r.left.Add(1) // there may be thousands: one line tells of all
			return
		}
		r.svc.log.Warn("release session", "email", record.GetEmail(), "error", err)
		if try == releaseTries {
			return
		}
		select {
		case <-time.After(wait):
		case <-r.over.Done():
		}
		wait *= 4
	}
}

func (r *releases) once(record *clusterv1.Session) error {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-r.over.Done():
		return r.over.Err()
	}
	ctx, cancel := context.WithTimeout(r.over, r.svc.cfg.CallTimeout)
	defer cancel()
	return r.svc.member.Release(ctx, record)
}
