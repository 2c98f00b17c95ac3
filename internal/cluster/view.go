package cluster

import (
	"context"
	"log/slog"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// View is a local copy of the list of nodes. It stays as it is while Redis is
// away. All methods may be called from any goroutine.
type View struct{}

// Watch returns a view that Run keeps fresh. It is for processes that are no
// nodes themselves; a member has its own.
func (c *Client) Watch(timing Timing, log *slog.Logger) *View { return nil }

// Run refreshes the view until ctx ends; then it returns nil.
func (v *View) Run(ctx context.Context) error { return nil }

// Ready is closed once the view has been read for the first time.
func (v *View) Ready() <-chan struct{} { return nil }

// Nodes returns the nodes whose lease stood at the last refresh that
// succeeded, in order of their ids. The records are shared: do not change them.
func (v *View) Nodes() []*clusterv1.Node { return nil }

// Node returns one of them by its id, or nil.
func (v *View) Node(id string) *clusterv1.Node { return nil }

// Pick chooses a node of the role for one more client. It draws two serving
// nodes that have room and takes the less loaded, counting its own recent
// picks in; always taking the emptiest would send a whole login storm to one
// node. Nodes named in except are left out, as are draining, full and expired
// ones. It returns [ErrNoNode] if there is none. Memory only.
func (v *View) Pick(role clusterv1.Role, except ...string) (*clusterv1.Node, error) {
	return nil, ErrNoNode
}
