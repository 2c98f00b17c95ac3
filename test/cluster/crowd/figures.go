package crowd

import (
	"fmt"
	"sync/atomic"
)

// Figures count what has happened to a crowd.
type Figures struct {
	Logins   int64 // that succeeded
	Refused  int64 // logins that were answered with an error, and tried again
	Away     int64 // sessions that a server ended with OUT SSD
	Lost     int64 // sessions whose connection broke
	Presence int64 // lines NLN, ILN and FLN
	Falls    int64 // of those, FLN
	Edits    int64 // of lists and names that were acknowledged
	Failed   int64 // edits that were answered with an error of the server
	Unknown  int64 // edits whose connection ended before the answer
	Said     int64 // messages in conversations that were acknowledged
	Heard    int64 // messages in conversations that arrived
	Broken   int64 // conversations whose switchboard went away
	// Missing are messages acknowledged in broken conversations that did not
	// arrive.
	Missing int64
}

// counters are the figures as they grow.
type counters struct {
	logins, refused, away, lost, presence, falls, edits, failed, unknown, said, heard, broken, missing atomic.Int64
}

func (c *counters) figures() Figures {
	return Figures{
		c.logins.Load(), c.refused.Load(), c.away.Load(), c.lost.Load(), c.presence.Load(), c.falls.Load(),
		c.edits.Load(), c.failed.Load(), c.unknown.Load(), c.said.Load(), c.heard.Load(), c.broken.Load(), c.missing.Load(),
	}
}

// Since returns what has happened since an earlier moment.
func (f Figures) Since(g Figures) Figures {
	return Figures{
		f.Logins - g.Logins, f.Refused - g.Refused, f.Away - g.Away, f.Lost - g.Lost, f.Presence - g.Presence, f.Falls - g.Falls,
		f.Edits - g.Edits, f.Failed - g.Failed, f.Unknown - g.Unknown, f.Said - g.Said, f.Heard - g.Heard, f.Broken - g.Broken, f.Missing - g.Missing,
	}
}

// String tells all figures in one line.
func (f Figures) String() string {
	return fmt.Sprintf("%d logins, %d refused; %d sessions sent away, %d lost; %d lines of presence, %d of them FLN; "+
		"%d edits, %d failed, %d unknown; %d messages acknowledged, %d arrived; %d conversations broken, %d messages missing there",
		f.Logins, f.Refused, f.Away, f.Lost, f.Presence, f.Falls, f.Edits, f.Failed, f.Unknown, f.Said, f.Heard, f.Broken, f.Missing)
}
