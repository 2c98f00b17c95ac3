package store

import (
	"context"
	"database/sql"
	"fmt"
)

// statements are those of every login, by their text, prepared on the readers.
// Changes do without: they wait for the disk far longer than for the parser.
type statements map[string]*sql.Stmt

func prepare(ctx context.Context, db *sql.DB) (statements, error) {
	all := make(statements)
	for _, text := range []string{credentialQuery, userQuery, groupsQuery, ownQuery, backQuery, versionQuery} {
		stmt, err := db.PrepareContext(ctx, text)
		if err != nil {
			return nil, fmt.Errorf("prepare statements: %w", err)
		}
		all[text] = stmt
	}
	return all, nil
}

// prepared reads by prepared statements where there are any.
type prepared struct {
	*sql.DB
	hot statements
}

func (p prepared) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if stmt := p.hot[query]; stmt != nil {
		return stmt.QueryContext(ctx, args...)
	}
	return p.DB.QueryContext(ctx, query, args...)
}

func (p prepared) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if stmt := p.hot[query]; stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
	return p.DB.QueryRowContext(ctx, query, args...)
}
