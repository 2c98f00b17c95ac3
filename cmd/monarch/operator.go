package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/monarch-msn/monarch/internal/node"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/operator"
)

type operatorCmd struct {
	Listen            string          `name:"listen" default:":8080" placeholder:"ADDR" help:"Address to listen on for HTTP."`
	TokenFile         string          `name:"token-file" required:"" placeholder:"FILE" help:"File with the secret that opens the interface."`
	AccountsTokenFile string          `name:"accounts-token-file" placeholder:"FILE" help:"File with the secret that opens the directory's accounts."`
	Redis             redisFlags      `embed:""`
	Directory         directoryFlags  `embed:""`
	Tune              operator.Config `embed:"" prefix:"operator."`
	Start             startFlags      `embed:""`
	Process           node.Flags      `embed:""`
}

// Validate implements kong's check of a command.
func (c *operatorCmd) Validate() error {
	if err := node.CheckAddress(c.Listen); err != nil {
		return fmt.Errorf("--listen %s: %w", c.Listen, err)
	}
	return nil
}

func (c *operatorCmd) run(ctx context.Context, _, _ io.Writer) int {
	return node.Run(ctx, "operator", c.Process, func(ctx context.Context, p *node.Process) (err error) {
		token, err := openToken(ctx, p, c.TokenFile, "--token-file")
		if err != nil {
			return err
		}
		accounts, err := openToken(ctx, p, c.AccountsTokenFile, "--accounts-token-file")
		if err != nil {
			return err
		}
		conn, err := c.Directory.dial(ctx, p, accounts)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, conn.Close()) }()
		redis, err := c.Redis.open(ctx, p, c.Start)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, redis.Close()) }()
		listener, err := node.Listen(ctx, c.Listen, "--listen")
		if err != nil {
			return err
		}
		calls := directoryv1.NewAccountsClient(conn)
		svc := operator.New(c.Tune, operator.Deps{
			Accounts: calls,
			Cluster:  redis,
			Tokens:   token,
			Listener: listener,
			Version:  node.Version().Version,
			Log:      p.Log,
			Meter:    p.Meter,
			Tracer:   p.Tracer,
		})
		p.Ready("place in the cluster", svc.Ready)
		p.Detail("address", listener.Addr().String())
		greeting := greet(p, c.Directory.Directory, "--accounts-token-file", func(ctx context.Context) error {
			_, err := calls.ListAccounts(ctx, &directoryv1.ListAccountsRequest{PageSize: 1})
			return err
		})
		return p.Serve(ctx, greeting, node.Service{Name: "operator", Run: svc.Run})
	})
}
