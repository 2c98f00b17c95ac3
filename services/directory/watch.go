package directory

import (
	"context"
	"time"
)

const (
	// The database is asked this often, and more often while it is away, so
	// that the first login behind an outage does not wait for us.
	askEvery     = time.Second
	askEveryAway = 250 * time.Millisecond
	// askFor is how long an answer may take. A login needs several, within
	// five seconds.
	askFor = 2 * time.Second
	// awayAfter is how many questions in a row have to fail. One may meet the
	// moment in which a server is restarted, which calls get over by
	// themselves; and by the time of two, a database at the limit makes its
	// directory come and go seldom.
	awayAfter = 2
)

// Watch asks the database whether it answers, until ctx ends, and calls report
// when that changed; at first it is taken to answer. Where several directories
// share a database, one that is cut off from it then leaves the calls to the
// others. Where all are, callers learn at once what they would otherwise wait
// for in vain.
//
// A full database does answer: it can be read, and people can log in.
func (s *Server) Watch(ctx context.Context, report func(serving bool)) error {
	failed := 0
	var since time.Time
	timer := time.NewTimer(askEvery)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		err := s.ask(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			failed++
			if failed == 1 {
				since = time.Now()
			}
			if failed == awayAfter {
				s.away.Store(true)
				report(false)
				s.log.WarnContext(ctx, "the database is away: no calls until it is back", "error", err)
			}
		default:
			if failed >= awayAfter {
				s.away.Store(false)
				report(true)
				s.log.InfoContext(ctx, "the database is back", "after", time.Since(since).Round(time.Millisecond).String())
			}
			failed = 0
		}
		if failed == 0 {
			timer.Reset(askEvery)
		} else {
			timer.Reset(askEveryAway)
		}
	}
}

func (s *Server) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	return s.store.Ping(ctx)
}
