package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/monarch-msn/monarch/internal/node"
	"github.com/monarch-msn/monarch/internal/rpc"
	"github.com/monarch-msn/monarch/services/directory"
)

type directoryCmd struct {
	Listen            string           `name:"listen" default:":7863" placeholder:"ADDR" help:"Address to listen on for gRPC."`
	Database          databaseFlags    `embed:""`
	KeyFile           string           `name:"key-file" default:"data/password.keys" placeholder:"FILE" help:"Keys that seal passwords, the first one seals. Created for a new database; keep a copy apart from it."`
	ClusterTokenFile  string           `name:"cluster-token-file" placeholder:"FILE" help:"File with the secret that nodes bring; without one only peers on this machine are served."`
	AccountsTokenFile string           `name:"accounts-token-file" placeholder:"FILE" help:"File with the secret that the operator brings; likewise."`
	Tune              directory.Config `embed:"" prefix:"directory."`
	Start             startFlags       `embed:""`
	Process           node.Flags       `embed:""`
}

// Validate implements kong's check of a command.
func (c *directoryCmd) Validate() error {
	if err := node.CheckAddress(c.Listen); err != nil {
		return fmt.Errorf("--listen %s: %w", c.Listen, err)
	}
	return nil
}

func (c *directoryCmd) run(ctx context.Context, _, _ io.Writer) int {
	return node.Run(ctx, "directory", c.Process, func(ctx context.Context, p *node.Process) (err error) {
		var tokens rpc.Tokens
		if tokens.Cluster, err = openToken(ctx, p, c.ClusterTokenFile, "--cluster-token-file"); err != nil {
			return err
		}
		if tokens.Accounts, err = openToken(ctx, p, c.AccountsTokenFile, "--accounts-token-file"); err != nil {
			return err
		}
		st, err := c.Database.open(ctx, p, c.Start)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, st.Close()) }()
		if err := st.Unlock(ctx, c.KeyFile); err != nil {
			return err
		}
		again := func(ctx context.Context, _ string) error { return st.Unlock(ctx, c.KeyFile) }
		if err := p.Secret(ctx, "--key-file", c.KeyFile, again); err != nil {
			return err
		}
		if err := c.Database.Database.reread(ctx, p, st.Renew); err != nil {
			return err
		}
		svc, err := directory.New(c.Tune, st, p.Log, p.Meter, p.Tracer)
		if err != nil {
			return err
		}
		healthy := health.NewServer()
		server := rpc.NewServer(rpc.ServerOptions{
			Tokens:         tokens,
			Health:         healthy,
			Log:            p.Log,
			MeterProvider:  p.MeterProvider,
			TracerProvider: p.TracerProvider,
		})
		svc.Register(server)
		listener, err := node.Listen(ctx, c.Listen, "--listen")
		if err != nil {
			return err
		}
		p.Log.Info("listens for calls", "address", listener.Addr().String())
		p.Detail("address", listener.Addr().String())
		p.Ready("database", func() error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			return svc.Ready(ctx)
		})
		watch := node.Service{
			Name: "watch of the database",
			Run: func(ctx context.Context) error {
				return svc.Watch(ctx, func(serving bool) {
					status := healthgrpc.HealthCheckResponse_NOT_SERVING
					if serving {
						status = healthgrpc.HealthCheckResponse_SERVING
					}
					healthy.SetServingStatus("", status)
				})
			},
		}
		return p.Serve(ctx, watch, collect(usualPercent), node.Service{
			Name: "directory",
			Run:  func(ctx context.Context) error { return serveGRPC(ctx, server, listener) },
			Drain: func(context.Context) error {
				healthy.Shutdown() // clients turn to the other directories
				return nil
			},
		})
	})
}

// callsUnderWay is how long calls may take to end when the server stops.
const callsUnderWay = 10 * time.Second

// serveGRPC serves until ctx ends, and then lets the calls under way end.
func serveGRPC(ctx context.Context, server *grpc.Server, listener net.Listener) error {
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve calls on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	cut := time.AfterFunc(callsUnderWay, server.Stop)
	server.GracefulStop()
	cut.Stop()
	// Whoever was stopped before it began to serve says so.
	if err := <-served; !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}
