package main

import (
	"context"
	"errors"
	"io"

	"github.com/monarch-msn/monarch/internal/node"
	"github.com/monarch-msn/monarch/services/dispatch"
)

type dispatchCmd struct {
	Clients clientFlags     `embed:""`
	Redis   redisFlags      `embed:""`
	Tune    dispatch.Config `embed:"" prefix:"dispatch."`
	Start   startFlags      `embed:""`
	Process node.Flags      `embed:""`
}

func (c *dispatchCmd) run(ctx context.Context, _, stderr io.Writer) int {
	points, err := c.Clients.endpoints()
	if err != nil {
		return misused(stderr, err)
	}
	return node.Run(ctx, "dispatch", c.Process, func(ctx context.Context, p *node.Process) (err error) {
		redis, err := c.Redis.open(ctx, p, c.Start)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, redis.Close()) }()
		logBound(p.Log, "dispatch", c.Tune.Config)
		if err := c.Clients.locate(ctx, p, c.Start, points, inPod); err != nil {
			return err
		}
		listeners, err := listen(ctx, p, points)
		if err != nil {
			return err
		}
		svc, err := dispatch.New(c.Tune, dispatch.Deps{Cluster: redis, Log: p.Log, Meter: p.Meter, Tracer: p.Tracer}, listeners...)
		if err != nil {
			return err
		}
		p.Ready("view of the cluster", svc.Ready)
		return p.Serve(ctx, reachable(p, points, resolve), collect(usualPercent), node.Service{Name: "dispatch", Run: svc.Run, Drain: svc.Drain})
	})
}
