// Package cluster is what nodes tell each other over Redis: which nodes exist
// and how loaded they are, on which node a user is logged in, messages from
// node to node, and single-use tickets.
//
// A process opens one [Client]. One that serves clients becomes a [Member]:
// it keeps a lease alive, hears an inbox of its own, and claims sessions. One
// that only chooses among nodes keeps a [View].
//
// Nothing here is durable. Every record can be rebuilt by the node that it
// speaks of, so Redis may be emptied, fail over or go away: sessions live on,
// and when it is back the nodes write themselves down again. What was lost
// meanwhile is never guessed; the [Handler] is told to resync.
package cluster

import (
	"context"
	"errors"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// Errors that callers tell apart with [errors.Is].
var (
	// ErrUnavailable means that Redis did not do what was asked: it could not
	// be reached in time, or refused. Whether a write took place is unknown.
	ErrUnavailable = errors.New("redis is unavailable")
	// ErrNoNode means that no serving node of the role has room.
	ErrNoNode = errors.New("no serving node with room")
	// ErrNobody means that a message reached no subscriber: the node is gone.
	ErrNobody = errors.New("nobody hears that inbox")
	// ErrDisplaced means that the user's record belongs to a newer session.
	ErrDisplaced = errors.New("displaced by a newer session")
	// ErrNoTicket means that a ticket does not exist, has expired, or was
	// redeemed before; nobody learns which.
	ErrNoTicket = errors.New("no such ticket")
)

// Options tune a client; the zero value is right for production.
type Options struct {
	// Prefix begins every key and channel name; empty is "monarch:". Two
	// networks that share one Redis differ in it.
	Prefix string
	// Command bounds one command against Redis, its retries included, where
	// the caller's context does not end sooner. Default 3 s.
	Command time.Duration
}

// Timing is how fast a cluster notices things. All nodes of one cluster use
// the same values; the zero value is right for production, tests use shorter
// ones.
type Timing struct {
	// Lease is how long a node lives without a beat. Default 10 s.
	Lease time.Duration
	// Beat is the time between two renewals of the lease. Default 1 s.
	Beat time.Duration
	// Refresh is the time between two reads of the view. Default 1 s.
	Refresh time.Duration
}

// Client speaks to one Redis, however that is built: one server, Sentinel or
// Redis Cluster. All methods may be called from any goroutine.
type Client struct{}

// Open parses a Redis URL and prepares a client; it does not connect. Call
// [Client.Ping] to learn whether Redis is there. The forms are
//
//	redis://[user:password@]host[:6379][/db]       one server
//	rediss://...                                   the same over TLS
//	redis+sentinel://host[:26379],host.../master[/db]
//	redis+cluster://host[:6379],host...
//
// The last two take TLS as rediss+sentinel and rediss+cluster; Sentinels with
// credentials of their own take ?sentinel_username= and ?sentinel_password=.
// Errors never quote the URL, which may hold a password.
func Open(url string, opt Options) (*Client, error) { return nil, ErrUnavailable }

// Close ends all connections. Members and views must have returned from Run.
func (c *Client) Close() error { return nil }

// Ping asks Redis once whether it is there.
func (c *Client) Ping(ctx context.Context) error { return ErrUnavailable }

// Lookup reads where users are logged in, by email. Users that are logged in
// nowhere are missing from the answer. Any number of emails may be asked for.
func (c *Client) Lookup(ctx context.Context, emails []string) (map[string]*clusterv1.Session, error) {
	return nil, ErrUnavailable
}

// Sessions lists the sessions on a node, in no order; for the operator.
func (c *Client) Sessions(ctx context.Context, node string) ([]*clusterv1.Session, error) {
	return nil, ErrUnavailable
}

// Forget takes away a record that names a session which its node does not
// have; s is as [Client.Lookup] gave it. It leaves the epoch behind for a
// minute, and does nothing if the record has changed since.
func (c *Client) Forget(ctx context.Context, s *clusterv1.Session) error { return ErrUnavailable }

// Issue writes a ticket that can be redeemed once within ttl, and returns its
// token: 32 characters of 0-9 and a-f.
func (c *Client) Issue(ctx context.Context, t *clusterv1.Ticket, ttl time.Duration) (token string, err error) {
	return "", ErrUnavailable
}

// Redeem reads and deletes a ticket. Of several calls at once one gets it; the
// others get [ErrNoTicket].
func (c *Client) Redeem(ctx context.Context, token string) (*clusterv1.Ticket, error) {
	return nil, ErrUnavailable
}
