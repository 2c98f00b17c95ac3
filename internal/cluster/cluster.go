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
//
// Redis 6.2 or newer will do, for Redis Cluster 7.0. It should not evict keys
// when memory is short (maxmemory-policy noeviction): to lose a lease or a
// record heals, but disturbs.
//
// A node's life, with the words that the log and the other comments use:
//
//	          subscribe, join                    end of Run
//	(new id) ────────────────▶ (beating) ─────────────────▶ (left)
//	    ▲                          │
//	    └──────────────────────────┘
//	      a beat finds the lease gone: Redis forgot the node, or the node was
//	      cut off or asleep for longer than a lease
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Errors that callers tell apart with [errors.Is].
var (
	// ErrUnavailable means that Redis did not do what was asked: it could not
	// be reached in time, or refused. Whether a write took place is unknown.
	ErrUnavailable = errors.New("redis is unavailable")
	// ErrRefused means that Redis is there and does not take the user or the
	// password of the URL. It comes from [Client.Ping], with ErrUnavailable.
	ErrRefused = errors.New("it refuses the user or the password of the URL")
	// ErrMisnamed means that Redis is there and is not what the URL says: it has
	// no database of that number, or is or is no Redis Cluster. It comes as
	// ErrRefused does; waiting mends neither.
	ErrMisnamed = errors.New("it is not what the URL says")
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
	// networks that share one Redis differ in it. It holds no braces.
	Prefix string
	// Command bounds one command against Redis, its retries included, where
	// the caller's context does not end sooner. Default 3 s.
	Command time.Duration
	// Dial connects to a Redis server; nil is TCP, with TLS where the URL asks
	// for it. A process that embeds its server need not go through a socket.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Now is the time of day on this node, for what people read; nil is
	// time.Now. Nothing is decided by it: it may differ from that of other nodes
	// and step. Called from any goroutine.
	Now func() time.Time
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

// WithDefaults returns t with zero values replaced by their defaults.
func (t Timing) WithDefaults() Timing {
	if t.Lease <= 0 {
		t.Lease = 10 * time.Second
	}
	if t.Beat <= 0 {
		t.Beat = time.Second
	}
	if t.Refresh <= 0 {
		t.Refresh = time.Second
	}
	return t
}

// Client speaks to one Redis, however that is built: one server, Sentinel or
// Redis Cluster. All methods may be called from any goroutine.
type Client struct {
	rdb         redis.UniversalClient
	opened      redis.UniversalOptions // what the URL said at first
	credentials atomic.Pointer[credentials]

	sharded bool // Redis Cluster: channels are sharded
	keys    keys
	command time.Duration
	now     func() time.Time // the time of day
	epochs  epochs
}

// silence keeps the library's own log lines off standard error. Whatever they
// tell comes back to us as an error, or as a second subscription.
var silence = sync.OnceFunc(func() { redis.SetLogger(silent{}) })

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

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
func Open(url string, opt Options) (*Client, error) {
	o, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	if opt.Prefix == "" {
		opt.Prefix = "monarch:"
	}
	if strings.ContainsAny(opt.Prefix, "{}") {
		return nil, fmt.Errorf("redis key prefix %q: must not hold braces", opt.Prefix)
	}
	if opt.Command <= 0 {
		opt.Command = 3 * time.Second
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	silence()

	c := &Client{
		opened:  *o,
		sharded: o.IsClusterMode,
		keys:    keys{opt.Prefix},
		command: opt.Command,
		now:     opt.Now,
	}
	c.credentials.Store(credentialsOf(o))
	o.CredentialsProviderContext = func(context.Context) (user, password string, err error) {
		now := c.credentials.Load()
		return now.user, now.password, nil
	}
	o.ClientName = "monarch"
	// RESP2 does all we need, on every server that speaks Redis.
	o.Protocol = 2
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.Dialer = dialer(o, opt)
	// Callers have deadlines and loops of their own, so the library tries a
	// broken connection again, but does not sit out an outage.
	o.ContextTimeoutEnabled = true
	o.DialTimeout = opt.Command
	o.ReadTimeout = opt.Command
	o.WriteTimeout = opt.Command
	o.DialerRetries = 1
	o.MaxRetries = 2
	o.MinRetryBackoff = 10 * time.Millisecond
	o.MaxRetryBackoff = 100 * time.Millisecond

	c.rdb = connect(o)
	return c, nil
}

// Close ends all connections. Members and views must have returned from Run.
func (c *Client) Close() error { return c.rdb.Close() }

// Ping asks Redis once whether it is there.
func (c *Client) Ping(ctx context.Context) error {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	err := c.rdb.Ping(ctx).Err()
	switch {
	case redis.IsAuthError(err):
		err = fmt.Errorf("%w: %w", ErrRefused, err)
	case misnamed(err):
		err = fmt.Errorf("%w: %w", ErrMisnamed, err)
	case c.opened.TLSConfig != nil && errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("%w (does it speak TLS, as the URL says?)", err)
	}
	return unavailable("ping", err)
}

// misnamed reports whether err is what a server says that waiting makes no other.
// Such errors have no code but ERR, so their words have to be known.
func misnamed(err error) bool {
	var said redis.Error
	return errors.As(err, &said) && slices.ContainsFunc([]string{
		"DB index is out of range",
		"cluster support disabled",
		"SELECT is not allowed in cluster mode",
	}, func(words string) bool { return strings.Contains(said.Error(), words) })
}

// bound gives a context the client's own limit on one step against Redis.
func (c *Client) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.command)
}

// publish queues one publish on a pipeline; its value is the number of
// subscribers that it reached.
func (c *Client) publish(ctx context.Context, pipe redis.Pipeliner, channel string, payload []byte) *redis.IntCmd {
	if c.sharded {
		return pipe.SPublish(ctx, channel, payload)
	}
	return pipe.Publish(ctx, channel, payload)
}

// unavailable wraps what Redis or the way to it said, or returns nil for nil.
func unavailable(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w: %w", doing, ErrUnavailable, err)
}
