package cluster

import (
	"context"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// Claim makes s the user's session: id, email and dialect are the caller's,
// node and epoch are filled in. It returns the sessions that it displaced,
// which the caller must tell (a Close message to their nodes, with their own
// epochs): mostly none or one, more when logins of one user race. If the lease
// is in doubt it waits for the next beat.
//
// After an error the record may or may not name s: call Release, as for a
// session that has ended.
func (m *Member) Claim(ctx context.Context, s *clusterv1.Session) (displaced []*clusterv1.Session, err error) {
	return nil, ErrUnavailable
}

// Reclaim makes sure that the user's record still names s on this node. It
// leaves such a record alone, returns [ErrDisplaced] if a newer session holds
// it, and otherwise takes it over under a new epoch, written into s (as is a
// new node id); changed says so, and the session must announce itself again.
// displaced is as with Claim; it is rarely not empty, after Redis has lost
// writes. On any other error the record is unknown and s is as before: call
// again later.
func (m *Member) Reclaim(ctx context.Context, s *clusterv1.Session) (changed bool, displaced []*clusterv1.Session, err error) {
	return false, nil, ErrUnavailable
}

// Release gives the record up when a session ends, for whatever reason. It
// acts only on a record that names s, and leaves the epoch behind for a minute,
// so that the next session's is higher even where clocks disagree. It is safe
// to repeat; call it until it returns nil.
func (m *Member) Release(ctx context.Context, s *clusterv1.Session) error { return ErrUnavailable }
