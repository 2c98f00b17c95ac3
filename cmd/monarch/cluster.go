package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"google.golang.org/grpc"

	"github.com/monarch-msn/monarch/internal/cluster"
	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/internal/node"
	"github.com/monarch-msn/monarch/internal/rpc"
	"github.com/monarch-msn/monarch/msnp"
)

// redisFlags name the cluster's Redis.
type redisFlags struct {
	Redis secret `name:"redis" required:"" placeholder:"URL" help:"redis://, rediss://, redis+sentinel:// or redis+cluster://. May be in a file that MONARCH_REDIS_FILE names."`
}

// AfterApply implements kong's hook: what cannot be read is wrong usage.
func (f redisFlags) AfterApply() error {
	if err := cluster.CheckURL(f.Redis.text); err != nil {
		return fmt.Errorf("--redis: %w", err)
	}
	return nil
}

// open opens the cluster, waiting for a Redis that does not answer yet.
func (f redisFlags) open(ctx context.Context, p *node.Process, start startFlags) (*cluster.Client, error) {
	client, err := cluster.Open(f.Redis.text, cluster.Options{})
	if err != nil {
		return nil, err
	}
	unavailable := func(err error) bool {
		return errors.Is(err, cluster.ErrUnavailable) && !errors.Is(err, cluster.ErrRefused) && !errors.Is(err, cluster.ErrMisnamed)
	}
	if err := await(ctx, waits(p), start.StartTimeout, unavailable, client.Ping); err != nil {
		return nil, errors.Join(fmt.Errorf("open Redis: %w", err), client.Close())
	}
	if err := f.Redis.reread(ctx, p, client.Renew); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return client, nil
}

// directoryFlags say how the directory is reached.
type directoryFlags struct {
	Directory        string `name:"directory" required:"" placeholder:"HOST:PORT,..." help:"Where the directory listens: a name stands for all of its addresses; several, separated by commas, for one directory each."`
	ClusterTokenFile string `name:"cluster-token-file" placeholder:"FILE" help:"File with the secret that opens the directory to nodes."`
}

// AfterApply implements kong's hook.
func (f directoryFlags) AfterApply() error {
	if err := rpc.CheckTarget(f.Directory); err != nil {
		return fmt.Errorf("--directory: %w", err)
	}
	return nil
}

// dial connects to the directory. accounts is the token that opens Accounts.
func (f directoryFlags) dial(ctx context.Context, p *node.Process, accounts rpc.Token) (*grpc.ClientConn, error) {
	token, err := openToken(ctx, p, f.ClusterTokenFile, "--cluster-token-file")
	if err != nil {
		return nil, err
	}
	return rpc.Dial(f.Directory, rpc.DialOptions{
		Tokens:         rpc.Tokens{Cluster: token, Accounts: accounts},
		MeterProvider:  p.MeterProvider,
		TracerProvider: p.TracerProvider,
	})
}

// listen opens the listeners for clients. Whoever serves them closes them.
func listen(ctx context.Context, p *node.Process, points []endpoint) (listeners []front.Listener, err error) {
	defer func() {
		if err != nil {
			for _, l := range listeners {
				err = errors.Join(err, l.Close())
			}
		}
	}()
	for _, point := range points {
		ln, err := front.Listen(ctx, point.listen)
		if err != nil {
			return listeners, fmt.Errorf("%w; choose another with --listen", err)
		}
		l := front.Listener{Listener: ln, Name: point.name, Advertise: point.advertise}
		if l.Advertise == "" {
			// The host by which the client came, then.
			_, port, err := net.SplitHostPort(ln.Addr().String())
			if err != nil {
				return append(listeners, l), fmt.Errorf("listen %s: %w", point.listen, err)
			}
			l.Advertise = ":" + port
		}
		listeners = append(listeners, l)
		attrs := []any{"address", ln.Addr().String(), "advertised", l.Advertise}
		what := "address"
		if l.Name != "" {
			attrs = append(attrs, "listener", l.Name)
			what += " " + l.Name
		}
		p.Log.Info("listens for clients", attrs...)
		p.Detail(what, fmt.Sprintf("%s, advertised as %s", ln.Addr(), l.Advertise))
	}
	return listeners, nil
}

// logBound tells what clients may cost at most, so that whoever sets the flags
// sees what they amount to. What is not in use is not allocated.
func logBound(log *slog.Logger, role string, cfg front.Config) {
	each := int64(cfg.OutboxBytes) + int64(cfg.ReadLine) + msnp.DefaultPayload
	log.Info("clients are bounded", "role", role, "connections", cfg.MaxConnections,
		"bytes_each", each, "bytes_all", int64(cfg.MaxConnections)*each)
}
