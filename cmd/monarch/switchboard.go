package main

import (
	"context"
	"errors"
	"io"

	"github.com/monarch-msn/monarch/internal/node"
	"github.com/monarch-msn/monarch/services/switchboard"
)

type switchboardCmd struct {
	Clients clientFlags        `embed:""`
	Redis   redisFlags         `embed:""`
	Unused  unusedFlags        `embed:""`
	Tune    switchboard.Config `embed:"" prefix:"switchboard."`
	Start   startFlags         `embed:""`
	Process node.Flags         `embed:""`
}

// unusedFlags are taken so that all node roles start alike. A switchboard does
// not call the directory.
type unusedFlags struct {
	Directory        string `name:"directory" placeholder:"HOST:PORT" help:"Not used: a switchboard does not call the directory. Taken, so that node roles start alike."`
	ClusterTokenFile string `name:"cluster-token-file" placeholder:"FILE" help:"Not used, as --directory."`
}

func (c *switchboardCmd) run(ctx context.Context, _, stderr io.Writer) int {
	points, err := c.Clients.endpoints()
	if err != nil {
		return misused(stderr, err)
	}
	if err := advertised(points); err != nil {
		return misused(stderr, err)
	}
	return node.Run(ctx, "switchboard", c.Process, func(ctx context.Context, p *node.Process) (err error) {
		redis, err := c.Redis.open(ctx, p, c.Start)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, redis.Close()) }()
		logBound(p.Log, "switchboard", c.Tune.Config)
		if err := c.Clients.locate(ctx, p, c.Start, points, inPod); err != nil {
			return err
		}
		listeners, err := listen(ctx, p, points)
		if err != nil {
			return err
		}
		svc, err := switchboard.New(c.Tune, switchboard.Deps{
			Cluster: redis,
			Log:     p.Log,
			Meter:   p.Meter,
			Tracer:  p.Tracer,
			Version: node.Version().Version,
		}, listeners...)
		if err != nil {
			return err
		}
		p.Ready("place in the cluster", svc.Ready)
		return p.Serve(ctx, reachable(p, points, resolve), collect(usualPercent), node.Service{Name: "switchboard", Run: svc.Run, Drain: svc.Drain})
	})
}
