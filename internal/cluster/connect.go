package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// On Redis Cluster the library goes by a map of who has which slot. It reads
// the map again when a server redirects it, or when the map is a minute old. A
// server that died redirects nobody, so the replica that took over would be
// found a minute later. Therefore whatever fails on the way to a server makes
// the library read the map again, and it is never older than mapAge.
const (
	mapAge = 10 * time.Second
	// mapPatience is how long one server may take to tell the map, before
	// another is asked. The one that is asked first may be the one that hangs.
	mapPatience = 500 * time.Millisecond
)

// connect makes the library's client for what a URL names.
func connect(o *redis.UniversalOptions) redis.UniversalClient {
	if !o.IsClusterMode {
		return redis.NewUniversalClient(o)
	}
	opt := o.Cluster()
	// What failed is tried again where the map says by then, not on the same
	// server several times in a row.
	opt.MaxRetries = -1
	opt.ClusterStateReloadInterval = mapAge
	c := redis.NewClusterClient(opt)
	c.OnNewNode(func(server *redis.Client) { server.AddHook(cartographer{c}) })
	return c
}

// dialer returns what connects to servers. A connection that is given up takes
// with it what was still to be sent: behind a network that broke, the system
// would go on sending it for a minute, and a claim would be made when its user
// has long been somewhere else.
func dialer(o *redis.UniversalOptions, opt Options) func(ctx context.Context, network, addr string) (net.Conn, error) {
	dial := opt.Dial
	if dial == nil {
		dial = redis.NewDialer(&redis.Options{DialTimeout: opt.Command, TLSConfig: o.TLSConfig})
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		inner := conn
		if secured, ok := conn.(*tls.Conn); ok {
			inner = secured.NetConn()
		}
		if tcp, ok := inner.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // without, it is as it was
		}
		return conn, nil
	}
}

// credentials are what a connection begins with.
type credentials struct{ user, password string }

func credentialsOf(o *redis.UniversalOptions) *credentials {
	return &credentials{user: o.Username, password: o.Password}
}

// Renew takes up user and password of a URL, for the connections that are made
// from now on: those that there are go on, because Redis asks once only. The rest
// of the URL has to be that of [Open]. What else is another one needs another
// client, and the error, upon which nothing is taken up, names it.
func (c *Client) Renew(url string) error {
	o, err := parseURL(url)
	if err != nil {
		return err
	}
	var others []string
	for _, part := range []struct {
		name string
		same bool
	}{
		{"its kind", o.IsClusterMode == c.opened.IsClusterMode && (o.MasterName == "") == (c.opened.MasterName == "")},
		{"TLS", (o.TLSConfig == nil) == (c.opened.TLSConfig == nil)},
		{"its hosts", slices.Equal(o.Addrs, c.opened.Addrs)},
		{"the name of the master", o.MasterName == c.opened.MasterName},
		{"the number of the database", o.DB == c.opened.DB},
		{"the user or the password of the Sentinels", o.SentinelUsername == c.opened.SentinelUsername && o.SentinelPassword == c.opened.SentinelPassword},
	} {
		if !part.same {
			others = append(others, part.name)
		}
	}
	if len(others) > 0 {
		return fmt.Errorf("redis URL: %s changed, which needs a restart: only its user and password are taken up without", strings.Join(others, " and "))
	}
	c.credentials.Store(credentialsOf(o))
	return nil
}

// cartographer watches what is said to one server of a Redis Cluster.
type cartographer struct{ c *redis.ClusterClient }

func (cartographer) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h cartographer) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "cluster" { // CLUSTER SLOTS, as the library asks for the map
			ctx, cancel := context.WithTimeout(ctx, mapPatience)
			defer cancel()
			return next(ctx, cmd)
		}
		return h.heed(ctx, next(ctx, cmd))
	}
}

func (h cartographer) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { return h.heed(ctx, next(ctx, cmds)) }
}

// heed has the map read again if err is not what a server said. It does not
// wait for that; the library reads one map at a time, at most five a second.
func (h cartographer) heed(ctx context.Context, err error) error {
	var said redis.Error
	if err != nil && !errors.As(err, &said) && !errors.Is(err, context.Canceled) {
		h.c.ReloadState(ctx)
	}
	return err
}

// shard returns what tells one server of a Redis Cluster from another: where,
// as far as is known, that key is. It is nil where there is one server only,
// and may be if nothing is known.
func (c *Client) shard(ctx context.Context, key string) any {
	cluster, ok := c.rdb.(*redis.ClusterClient)
	if !ok {
		return nil
	}
	master, err := cluster.MasterForKey(ctx, key)
	if err != nil {
		return nil
	}
	return master
}

// remap has the map of a Redis Cluster read, and waits for it. It does nothing
// where there is one server only, and leaves the map as it is if no server can
// be asked.
func (c *Client) remap(ctx context.Context) {
	if cluster, ok := c.rdb.(*redis.ClusterClient); ok {
		ctx, cancel := c.bound(ctx)
		defer cancel()
		_ = cluster.ForEachMaster(ctx, func(context.Context, *redis.Client) error { return nil })
	}
}

// clock measures the clock of the server that has a key. On Redis Cluster the
// library would ask any server, which may be one that does not answer.
func (c *Client) clock(ctx context.Context, key string) error {
	var server redis.Cmdable = c.rdb
	if master, ok := c.shard(ctx, key).(*redis.Client); ok {
		server = master
	}
	asked := time.Now()
	told, err := server.Time(ctx).Result()
	if err == nil {
		c.epochs.measure(told, asked, time.Now())
	}
	return err
}
