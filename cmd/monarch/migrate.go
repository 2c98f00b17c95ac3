package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/monarch-msn/monarch/internal/node"
	"github.com/monarch-msn/monarch/services/directory/store"
)

// databaseFlags name the database.
type databaseFlags struct {
	Database secret `name:"database" required:"" placeholder:"URL" help:"sqlite:///path/file.db or postgres://user:password@host/name. May be in a file that MONARCH_DATABASE_FILE names."`
}

// AfterApply implements kong's hook: what cannot be read is wrong usage.
func (f databaseFlags) AfterApply() error {
	if err := store.CheckURL(f.Database.text); err != nil {
		return fmt.Errorf("--database: %w", err)
	}
	return nil
}

// open opens the database and brings its schema up, waiting for a database
// that cannot be reached yet.
func (f databaseFlags) open(ctx context.Context, p *node.Process, start startFlags) (*store.Store, error) {
	var st *store.Store
	unreachable := func(err error) bool { return errors.Is(err, store.ErrUnreachable) }
	err := await(ctx, waits(p), start.StartTimeout, unreachable, func(ctx context.Context) (err error) {
		if st, err = store.Open(ctx, f.Database.text); err != nil {
			return err
		}
		if err = st.Migrate(ctx); err != nil {
			return errors.Join(err, st.Close())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return st, nil
}

type migrateCmd struct {
	databaseFlags `embed:""`
	node.LogFlags `embed:""`
	startFlags    `embed:""`
}

func (c *migrateCmd) run(ctx context.Context, _, _ io.Writer) int {
	// Without telemetry and without a drain: it comes and goes.
	flags := node.Flags{LogFlags: c.LogFlags, DrainTimeout: c.StartTimeout}
	return node.Run(ctx, "migrate", flags, func(ctx context.Context, p *node.Process) error {
		st, err := c.open(ctx, p, c.startFlags)
		switch {
		case err != nil && ctx.Err() != nil:
			// Not an end in good order, as it is for a role: what was asked for
			// is not done, and a Job that was evicted must not count as done.
			return errors.New("told to stop before the schema was up to date: migrate again")
		case err != nil:
			return err
		}
		p.Log.Info("the schema is up to date")
		return st.Close()
	})
}
