package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var embedded embed.FS

// Migrate brings the schema up to this release. It may run in many processes
// at once: one of them does the work and the others wait. A database that a
// newer release has migrated is refused and not changed.
func (s *Store) Migrate(ctx context.Context) error {
	migrations, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	return s.migrate(ctx, migrations)
}

func (s *Store) migrate(ctx context.Context, migrations fs.FS) (err error) {
	release, err := s.engine.lock(ctx, s.write)
	if err != nil {
		return fmt.Errorf("migrate database: wait for the lock: %w", s.engine.explain(err))
	}
	defer func() {
		if rerr := release(); err == nil && rerr != nil {
			err = fmt.Errorf("migrate database: release the lock: %w", rerr)
		}
	}()
	provider, err := goose.NewProvider(s.engine.dialect(), s.write, migrations, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("migrate database: read its version: %w", s.engine.explain(err))
	}
	if current > target {
		return fmt.Errorf("the database has schema version %d and this release knows only %d: use the release that migrated it, or a newer one", current, target)
	}
	if _, err := provider.Up(ctx); err != nil {
		var failed *goose.PartialError
		if errors.As(err, &failed) {
			return fmt.Errorf("migrate database: apply %s: %w", failed.Failed.Source.Path, failed.Err)
		}
		return fmt.Errorf("migrate database: %w", err)
	}
	return nil
}
