package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// Bounds of the pool. A PostgreSQL server allows a hundred connections unless
// told otherwise, and several directories share it.
const (
	postgresConns = 16
	postgresIdle  = 5 * time.Minute
)

// connectTimeout bounds one attempt to connect, unless the URL says otherwise.
const connectTimeout = 10 * time.Second

type postgresEngine struct{ config *pgx.ConnConfig }

func openPostgres(text string) (*Store, error) {
	config, err := pgx.ParseConfig(text)
	if err != nil {
		// The parser's own words may hold a part of the password.
		return nil, errURL
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "monarch directory"
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(postgresConns)
	db.SetMaxIdleConns(postgresConns)
	db.SetConnMaxIdleTime(postgresIdle)
	return &Store{engine: postgresEngine{config}, write: db, read: db}, nil
}

func (postgresEngine) dialect() goose.Dialect { return goose.DialectPostgres }

// lockSpace keeps the advisory lock of migrations apart from those of other
// programs in the same database; the schema completes it.
const lockSpace = 0x4d4f4e41

// lock holds a session's advisory lock. It ends with its connection, so nobody
// who dies keeps it.
func (postgresEngine) lock(ctx context.Context, db *sql.DB) (func() error, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	_, err = conn.ExecContext(ctx, `SELECT pg_advisory_lock($1, hashtext(current_schema()))`, lockSpace)
	if err == nil {
		err = makeCollation(ctx, conn)
	}
	if err != nil {
		discard(conn)
		return nil, err
	}
	return func() error {
		discard(conn)
		return nil
	}, nil
}

// makeCollation makes the one thing that the first migration names and that
// SQLite has and PostgreSQL has not. Once it is there, no right to create
// anything is needed any more.
func makeCollation(ctx context.Context, conn *sql.Conn) error {
	var exists bool
	err := conn.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pg_collation
		WHERE collname = 'binary' AND collnamespace = current_schema()::regnamespace)`).Scan(&exists)
	if err == nil && !exists {
		_, err = conn.ExecContext(ctx, `CREATE COLLATION "binary" FROM "C"`)
	}
	return err
}

// discard closes the connection itself, and what it locked with it, instead of
// handing it back to the pool.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(dc any) error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return dc.(*stdlib.Conn).Conn().Close(ctx)
	})
	conn.Close()
}

// SQLSTATE codes of PostgreSQL, Appendix A of its manual.
const (
	serializationFailure  = "40001"
	deadlockDetected      = "40P01"
	foreignKeyViolation   = "23503"
	invalidPassword       = "28P01"
	invalidAuthorization  = "28000"
	invalidCatalogName    = "3D000"
	invalidSchemaName     = "3F000"
	insufficientPrivilege = "42501"
	tooManyConnections    = "53300"
	cannotConnectNow      = "57P03"
	adminShutdown         = "57P01"
)

func (postgresEngine) again(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case serializationFailure, deadlockDetected:
		return true
	case foreignKeyViolation:
		// Somebody deleted, since it was read, what a new row refers to.
		return true
	}
	return false
}

func (p postgresEngine) explain(err error) error {
	where := fmt.Sprintf("PostgreSQL at %s:%d", p.config.Host, p.config.Port)
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		var c *pgconn.ConnectError
		if errors.As(err, &c) {
			return fmt.Errorf("%w: %s: %s", ErrUnreachable, where, rootCause(err))
		}
		return fmt.Errorf("%s: %w", where, err)
	}
	switch e.Code {
	case invalidPassword, invalidAuthorization:
		return fmt.Errorf("%s does not accept the user %q with this password", where, p.config.User)
	case invalidCatalogName:
		return fmt.Errorf("%s has no database %q (create it first)", where, p.config.Database)
	case invalidSchemaName:
		return fmt.Errorf("%s has no schema to create tables in (create that of search_path first)", where)
	case insufficientPrivilege:
		return fmt.Errorf("%s does not let the user %q do this: %s", where, p.config.User, e.Message)
	case tooManyConnections, cannotConnectNow, adminShutdown:
		return fmt.Errorf("%w: %s: %s", ErrUnreachable, where, e.Message)
	}
	return fmt.Errorf("%s: %w", where, err)
}

// rootCause is the last error of a chain: the layers above repeat the address,
// over several lines.
func rootCause(err error) error {
	for {
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			if e.Unwrap() == nil {
				return err
			}
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			all := e.Unwrap()
			if len(all) == 0 {
				return err
			}
			err = all[len(all)-1]
		default:
			return err
		}
	}
}
