package main

import (
	"context"
	"errors"
	"io"

	"github.com/monarch-msn/monarch/internal/node"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/notification"
)

type notificationCmd struct {
	Clients   clientFlags         `embed:""`
	Redis     redisFlags          `embed:""`
	Directory directoryFlags      `embed:""`
	Tune      notification.Config `embed:"" prefix:"notification."`
	Start     startFlags          `embed:""`
	Process   node.Flags          `embed:""`
}

func (c *notificationCmd) run(ctx context.Context, _, stderr io.Writer) int {
	points, err := c.Clients.endpoints()
	if err != nil {
		return misused(stderr, err)
	}
	if err := advertised(points); err != nil {
		return misused(stderr, err)
	}
	return node.Run(ctx, "notification", c.Process, func(ctx context.Context, p *node.Process) (err error) {
		conn, err := c.Directory.dial(ctx, p, nil)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, conn.Close()) }()
		redis, err := c.Redis.open(ctx, p, c.Start)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, redis.Close()) }()
		logBound(p.Log, "notification", c.Tune.Config)
		if err := c.Clients.locate(ctx, p, c.Start, points, inPod); err != nil {
			return err
		}
		listeners, err := listen(ctx, p, points)
		if err != nil {
			return err
		}
		calls := directoryv1.NewDirectoryClient(conn)
		svc, err := notification.New(c.Tune, notification.Deps{
			Directory: calls,
			Cluster:   redis,
			Log:       p.Log,
			Meter:     p.Meter,
			Tracer:    p.Tracer,
			Version:   node.Version().Version,
		}, listeners...)
		if err != nil {
			return err
		}
		p.Ready("place in the cluster", svc.Ready)
		greeting := greet(p, c.Directory.Directory, "--cluster-token-file", func(ctx context.Context) error {
			_, err := calls.Versions(ctx, new(directoryv1.VersionsRequest))
			return err
		})
		return p.Serve(ctx, greeting, reachable(p, points, resolve), collect(sessionsPercent), node.Service{Name: "notification", Run: svc.Run, Drain: svc.Drain})
	})
}
