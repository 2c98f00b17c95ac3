package cluster

import (
	"context"
	"log/slog"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"go.opentelemetry.io/otel/metric"
)

// MemberConfig describes a node that joins.
type MemberConfig struct {
	// Node holds role, addresses, capacity and version; the member fills in
	// the rest. It is copied.
	Node *clusterv1.Node
	// Timing of leases and views.
	Timing Timing
	// Load returns the number of sessions on this node; nil means none. It is
	// called at each beat and must not block.
	Load func() int
	// Log takes lease changes and faults; nil discards them.
	Log *slog.Logger
	// Meter takes the metrics of lease and inbox; nil discards them.
	Meter metric.Meter
}

// Handler is told what happens to a member. Every method must be cheap and
// must not block: no call to Redis, no RPC. It may call Send and Answer.
type Handler interface {
	// Deliver hands over a message for this node. Messages of one sending node
	// come in the order in which it sent them; no two calls run at once. from
	// is the sender's node id, to be answered with [Member.Answer] when m.Ask
	// is not zero. The handler may keep m but shares it with nobody.
	Deliver(ctx context.Context, from string, m *clusterv1.Message)
	// Undelivered hands back a message that reached nobody: node to is gone,
	// or just not connected, in which case it resyncs when it is back. A
	// message passed to Ask does not come back here, Ask returns ErrNobody.
	Undelivered(to string, m *clusterv1.Message)
	// Gone says that a node's lease is gone for good: whatever was shown from
	// there is over. An id never comes back; the node itself may, under a new
	// one.
	Gone(node string)
	// Resync says that messages from peer may have been lost, or from any node
	// if peer is empty: compare what the clients were told with the truth,
	// spread over seconds. reason is one of the Resync constants. If it is
	// ResyncLease, ID has changed and every session must be reclaimed.
	Resync(reason string, peer string)
}

// Reasons for a resync, as given to [Handler] and as metric labels.
const (
	// ResyncSubscribed: the inbox was not heard for a while.
	ResyncSubscribed = "subscribed"
	// ResyncGap: a batch of one peer is missing.
	ResyncGap = "gap"
	// ResyncLease: the lease was lost and the node has joined under a new id.
	ResyncLease = "lease"
)

// Member is a node that has joined the cluster: its lease, its view of the
// others, its inbox and its claims on sessions. All methods but Run may be
// called from any goroutine, before, during and after Run.
type Member struct{}

// Member prepares a node; Run makes it join.
func (c *Client) Member(cfg MemberConfig, h Handler) *Member { return nil }

// Run subscribes to the inbox, joins, and then beats and receives until ctx
// ends. It waits for Redis as long as that takes. When ctx ends it publishes
// what was sent, gives the lease back and returns nil; the sessions should
// have been released before.
func (m *Member) Run(ctx context.Context) error { return nil }

// Ready is closed when the node has joined for the first time.
func (m *Member) Ready() <-chan struct{} { return nil }

// ID returns the node id: random, new with every Member, and new again after a
// lost lease. It is final from the start until Handler.Resync(ResyncLease).
func (m *Member) ID() string { return "" }

// IsSelf reports whether id is the node's present id or one that it had
// before. Messages, places and tickets may name the former ones for a while.
func (m *Member) IsSelf(id string) bool { return false }

// SetState changes what the lease says of the node, and writes it at once.
func (m *Member) SetState(s clusterv1.State) {}

// View returns the node's view of the cluster, itself included. Run keeps it
// fresh.
func (m *Member) View() *View { return nil }

// Send queues a message for another node. It never blocks and never fails:
// what cannot be published within bounds of bytes and time is dropped, and the
// receiver finds the gap and resyncs. msg must not be changed afterwards. A
// message to the node itself comes back through Deliver, without Redis.
func (m *Member) Send(to string, msg *clusterv1.Message) {}

// Ask sends a message and waits for the answer. It returns [ErrNobody] as soon
// as it is known that nobody hears that inbox, [ErrUnavailable] if the message
// had to be dropped, and the context's error when that ends; give it a deadline.
// Ask fills in msg.Ask. Do not call it from a Handler.
func (m *Member) Ask(ctx context.Context, to string, msg *clusterv1.Message) (*clusterv1.Message, error) {
	return nil, ErrUnavailable
}

// Answer answers an ask that Deliver brought: to and ask are its from and
// m.Ask. It fills in msg.Answer and sends.
func (m *Member) Answer(to string, ask uint64, msg *clusterv1.Message) {}

// Flush waits until everything sent so far is published or given up.
func (m *Member) Flush(ctx context.Context) error { return nil }

// Traffic returns how many messages this member has sent and has handled, for
// the answer to a Settle; messages that reached nobody, and Settle messages
// themselves, count for neither. When all nodes are quiet the sums over all
// nodes are equal and do not move, unless Redis lost messages.
func (m *Member) Traffic() (sent, handled uint64) { return 0, 0 }
