package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// Bounds of the pool. A PostgreSQL server allows a hundred connections unless
// told otherwise, and several directories share it.
const (
	postgresCalls = 16
	// spare is for what comes beside the calls, so that it need not wait.
	spare        = 1
	postgresIdle = 5 * time.Minute
)

// Bounds of one attempt to connect, unless the URL says otherwise. Where it
// names several servers, the one that does not answer is asked before the one
// that does; both have to fit into the time of a call.
const (
	connectTimeout      = 10 * time.Second
	connectTimeoutOfOne = 2 * time.Second
)

// idleTransaction is when PostgreSQL takes back the locks of a directory that
// has gone silent in the midst of an edit: paused, or cut off. Otherwise they
// would stand until it is back, or for hours. A directory that lives never
// waits so long between two statements.
const idleTransaction = 10 * time.Second

type postgresEngine struct {
	config *pgx.ConnConfig
	// who is what new connections begin with, in place of config's own.
	who    *atomic.Pointer[identity]
	opened time.Time
	// renewed is when connections were last to be made anew, in nanoseconds of
	// uptime.
	renewed *atomic.Int64
}

type identity struct{ user, password string }

func parsePostgres(text string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(text)
	if err != nil {
		// The parser's own words may hold a part of the password.
		return nil, errURL
	}
	return config, nil
}

func openPostgres(text string) (*Store, error) {
	config, err := parsePostgres(text)
	if err != nil {
		return nil, err
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "monarch directory"
	}
	e := postgresEngine{config, new(atomic.Pointer[identity]), time.Now(), new(atomic.Int64)}
	e.who.Store(&identity{config.User, config.Password})
	e.renewed.Store(-int64(renewEvery))
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
		if len(e.servers()) > 1 {
			config.ConnectTimeout = connectTimeoutOfOne
		}
	}
	db := stdlib.OpenDB(*config, stdlib.OptionBeforeConnect(e.introduce),
		stdlib.OptionAfterConnect(e.begin), stdlib.OptionResetSession(e.reuse))
	db.SetConnMaxIdleTime(postgresIdle)
	s := &Store{engine: e, write: db, read: db}
	s.Allow(postgresCalls)
	return s, nil
}

func (p postgresEngine) identify(text string) error {
	config, err := parsePostgres(text)
	if err != nil {
		return err
	}
	p.who.Store(&identity{config.User, config.Password})
	return nil
}

// introduce gives a connection that is about to be made its user and password.
func (p postgresEngine) introduce(_ context.Context, config *pgx.ConnConfig) error {
	who := p.who.Load()
	config.User, config.Password = who.user, who.password
	return nil
}

// born is where a connection keeps when it was made.
const born = "monarch.born"

// begin makes a new connection ready. The setting is not one that a connection
// brings along, which not every pooler in between accepts, and leaves what the
// operator has set for the server, the database or the user.
func (p postgresEngine) begin(ctx context.Context, conn *pgx.Conn) error {
	conn.PgConn().CustomData()[born] = p.uptime()
	_, err := conn.Exec(ctx, `SELECT set_config(name, $1, false) FROM pg_settings
		WHERE name = 'idle_in_transaction_session_timeout' AND setting = '0'`,
		strconv.FormatInt(idleTransaction.Milliseconds(), 10))
	return err
}

// reuse refuses connections from before the last renewal.
func (p postgresEngine) reuse(_ context.Context, conn *pgx.Conn) error {
	if at, _ := conn.PgConn().CustomData()[born].(int64); at < p.renewed.Load() {
		return driver.ErrBadConn
	}
	return nil
}

// renewEvery keeps a server that is down, or takes no writes for long, from
// having all connections made anew for each call.
const renewEvery = time.Second

// uptime is a moment, for durations: how long the store has been open, which no
// step of the time of day changes.
func (p postgresEngine) uptime() int64 { return int64(time.Since(p.opened)) }

func (p postgresEngine) renew() {
	now, last := p.uptime(), p.renewed.Load()
	if time.Duration(now-last) >= renewEvery {
		p.renewed.CompareAndSwap(last, now)
	}
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
	crashShutdown         = "57P02"
	databaseDropped       = "57P04"
	idleSession           = "57P05"
	idleInTransaction     = "25P03"
	readOnlyTransaction   = "25006"
	noSuchStatement       = "26000"
	changedStatement      = "0A000"
	diskFull              = "53100"
	connectionClass       = "08"
)

func (postgresEngine) reading(ctx context.Context) context.Context { return ctx }

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

// lost knows connections that the server ended, or the network; one to a
// server that has become another's standby; and one whose prepared statements a
// pooler, or a migration, has made useless.
func (postgresEngine) lost(err error) bool {
	var refused *pgconn.ConnectError
	if err == nil || errors.As(err, &refused) {
		return false // another attempt would be no better
	}
	var e *pgconn.PgError
	if errors.As(err, &e) {
		switch e.Code {
		case adminShutdown, crashShutdown, idleSession, idleInTransaction,
			readOnlyTransaction, noSuchStatement, changedStatement:
			return true
		}
		return strings.HasPrefix(e.Code, connectionClass)
	}
	var broken *net.OpError
	return errors.Is(err, driver.ErrBadConn) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &broken)
}

func (p postgresEngine) away(err error) bool {
	var refused *pgconn.ConnectError
	return errors.As(err, &refused) || p.lost(err)
}

func (postgresEngine) full(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == diskFull
}

func (p postgresEngine) explain(err error) error {
	where := "PostgreSQL at " + strings.Join(p.servers(), " or ")
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
		return fmt.Errorf("%s does not accept the user %q with this password", where, p.who.Load().user)
	case invalidCatalogName:
		return fmt.Errorf("%s has no database %q (create it first)", where, p.config.Database)
	case invalidSchemaName:
		return fmt.Errorf("%s has no schema to create tables in (create that of search_path first)", where)
	case insufficientPrivilege:
		return fmt.Errorf("%s does not let the user %q do this: %s", where, p.who.Load().user, e.Message)
	case tooManyConnections, cannotConnectNow, adminShutdown, crashShutdown, databaseDropped:
		return fmt.Errorf("%w: %s: %s", ErrUnreachable, where, e.Message)
	}
	return fmt.Errorf("%s: %w", where, err)
}

// servers names all that the URL does, each once.
func (p postgresEngine) servers() []string {
	all := []string{net.JoinHostPort(p.config.Host, strconv.Itoa(int(p.config.Port)))}
	for _, f := range p.config.Fallbacks {
		if s := net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port))); !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
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
