package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// What every connection to a SQLite file is opened with. With a write-ahead log
// readers do not wait for the writer; with synchronous FULL each commit is on
// the disk before it is acknowledged, so that it outlives a crash of the
// process and of the machine.
const sqliteOptions = "_busy_timeout=10000&_journal_mode=WAL&_synchronous=FULL&_foreign_keys=on&_dqs=0&_error_rc=1"

type sqliteEngine struct{ path string }

// parseSQLite returns the path of the file.
func parseSQLite(u *url.URL) (path string, err error) {
	if u.Host != "" || u.Opaque != "" || !filepath.IsAbs(u.Path) || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errURL
	}
	return filepath.Clean(u.Path), nil
}

func openSQLite(u *url.URL) (*Store, error) {
	path, err := parseSQLite(u)
	if err != nil {
		return nil, err
	}
	e := sqliteEngine{path: path}
	if err := e.create(); err != nil {
		return nil, e.explain(err)
	}
	// A transaction that will write takes the write lock at its begin: one
	// that read first and wrote later could find what it read overtaken.
	write, err := sql.Open("sqlite", e.name(sqliteOptions+"&_txlock=immediate"))
	if err != nil {
		return nil, e.explain(err)
	}
	// There is one writer at a time anyway. On one connection the others wait
	// in the pool, in order, and not by asking again and again.
	write.SetMaxOpenConns(1)
	read, err := sql.Open("sqlite", e.name(sqliteOptions+"&_query_only=on"))
	if err != nil {
		write.Close()
		return nil, e.explain(err)
	}
	readers := max(4, runtime.GOMAXPROCS(0))
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	return &Store{engine: e, write: write, read: read}, nil
}

func (e sqliteEngine) name(options string) string {
	return (&url.URL{Scheme: "file", Path: e.path, RawQuery: options}).String()
}

// create makes the file, if there is none, for its owner alone: it will hold
// passwords, sealed though they are. A file that exists is not opened here, for
// closing it again would let go of every lock that SQLite holds on it in this
// process.
func (e sqliteEngine) create() error {
	f, err := os.OpenFile(e.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

func (sqliteEngine) dialect() goose.Dialect { return goose.DialectSQLite3 }

// lock takes the exclusive lock of an empty database beside the real one, as
// the migrations take and give back the lock of the real one many times.
// A process that dies lets go of it.
func (e sqliteEngine) lock(ctx context.Context, _ *sql.DB) (func() error, error) {
	beside := sqliteEngine{path: e.path + "-migrate"}
	if err := beside.create(); err != nil {
		return nil, e.explain(err)
	}
	db, err := sql.Open("sqlite", beside.name("_busy_timeout=86400000&_txlock=exclusive"))
	if err != nil {
		return nil, err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		db.Close()
		return nil, err
	}
	return func() error { return errors.Join(tx.Rollback(), db.Close()) }, nil
}

// reading lets a read go to its end. It is work in this process and not a wait
// for another, and over in less time than it costs to watch a context, for which
// the library and the driver start a goroutine each at every statement.
func (sqliteEngine) reading(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

func (sqliteEngine) again(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

// lost is never true: a connection is a file that is open.
func (sqliteEngine) lost(error) bool { return false }

func (sqliteEngine) renew() {}

// identify has nothing to do: a file asks for no password.
func (sqliteEngine) identify(string) error { return nil }

// away is a file that cannot be opened, read or locked.
func (sqliteEngine) away(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY:
		return true
	}
	return false
}

// full is also what SQLite calls an error of the disk, where it made a file
// larger: in the memory that its connections share, and as it wrote its log.
func (sqliteEngine) full(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE:
		return true
	}
	return false
}

func (e sqliteEngine) explain(err error) error {
	if _, serr := os.Stat(filepath.Dir(e.path)); serr != nil && errors.Is(serr, fs.ErrNotExist) {
		return fmt.Errorf("the directory %s does not exist", filepath.Dir(e.path))
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("no permission to read and write %s", e.path)
	}
	var se *sqlite.Error
	if errors.As(err, &se) {
		switch se.Code() & 0xff {
		case sqlite3.SQLITE_NOTADB:
			return fmt.Errorf("%s is not a SQLite database", e.path)
		case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
			return fmt.Errorf("no permission to read and write %s", e.path)
		case sqlite3.SQLITE_BUSY:
			return fmt.Errorf("%w: another process holds %s", ErrUnreachable, e.path)
		}
	}
	return fmt.Errorf("%s: %w", e.path, err)
}
