// Package store keeps what must never be lost: users with their sealed
// passwords, their groups and lists, and the version of those lists, in SQLite
// or PostgreSQL. Both run the same SQL text.
//
// # Versions and locks
//
// Every list edit is one transaction that begins by raising the list version of
// each user it touches, in ascending order of id. That row is the lock: two
// edits that touch a common user follow one another, and cannot wait for each
// other in a circle. The raised number is the answer. An edit that is refused
// rolls back, and raises nothing.
//
// Which users an edit touches is sometimes known only from the lists themselves
// (who watches a phone number, who loses the last group). Such an edit reads
// them before it locks and once more after; if they changed in between it rolls
// back and starts over, see [Store.Conflicts].
//
// One edit raises a version by one, once, however much of a user's lists it
// changes. Somebody who adds himself is raised by one for both FL and RL.
//
// # Answers
//
// Methods take the messages of the directory's API, valid as the directory's
// server checked them: canonical emails, encoded names. What the rules refuse
// is a [*Refusal]; every other error is a fault of the database or the end of
// the context.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/pressly/goose/v3"
)

// Store is an open database. Its methods may be called from any goroutine.
type Store struct {
	engine engine
	// url is what Open was given, without user and password.
	url url.URL
	// write is where transactions that change something run, read where the
	// others do. They are one pool on PostgreSQL. SQLite has one writer.
	write, read *sql.DB
	// These are set by Unlock, which may come again with other keys. Whoever
	// seals holds sealing for reading, see sealer.
	ring      atomic.Pointer[keyring]
	sealing   sync.RWMutex
	hot       statements
	conflicts atomic.Int64
}

// An engine is what the two databases do not have in common.
type engine interface {
	dialect() goose.Dialect
	// lock makes this process the only one that migrates the database, until
	// the release it returns. It waits for others until ctx is done.
	lock(ctx context.Context, db *sql.DB) (release func() error, err error)
	// reading returns the context for reads that are asked for under ctx.
	reading(ctx context.Context) context.Context
	// again reports whether err rolled a transaction back that may succeed
	// if it is begun anew.
	again(err error) bool
	// lost reports whether err tells of a connection that is of no use any
	// more, while another one may be.
	lost(err error) bool
	// renew has every connection that was made before now closed instead of
	// used again.
	renew()
	// away reports whether err tells of a database that does not answer now.
	away(err error) bool
	// full reports whether err tells of a database that has no space.
	full(err error) bool
	// identify has connections made with the user and the password of a URL
	// from now on.
	identify(text string) error
	// explain puts an error of connecting in a sentence for the operator.
	explain(err error) error
}

// Open opens the database at url, sqlite:///path/file.db or postgres://…, and
// reaches it once. A SQLite file that does not exist is made, its directory is
// not. A database that cannot be reached now but may be later gives an error
// that is [ErrUnreachable]; any other is for the operator to mend. The errors
// name no password.
//
// Open does not look at what the database holds: see [Store.Migrate] and
// [Store.Unlock].
func Open(ctx context.Context, url string) (*Store, error) {
	s, err := open(url)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	for _, db := range []*sql.DB{s.write, s.read} {
		if err := db.PingContext(ctx); err != nil {
			s.Close()
			return nil, fmt.Errorf("open database: %w", s.engine.explain(err))
		}
	}
	return s, nil
}

// CheckURL says what is wrong with the URL of a database, as far as can be said
// without reaching for it; nil if nothing is. The error does not quote it.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return errURL
	}
	switch u.Scheme {
	case "sqlite":
		_, err = parseSQLite(u)
	case "postgres", "postgresql":
		_, err = parsePostgres(text)
	default:
		err = errURL
	}
	return err
}

func open(text string) (*Store, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errURL
	}
	var s *Store
	switch u.Scheme {
	case "sqlite":
		s, err = openSQLite(u)
	case "postgres", "postgresql":
		s, err = openPostgres(text)
	default:
		err = errURL
	}
	if err != nil {
		return nil, err
	}
	s.url = *u
	s.url.User = nil
	return s, nil
}

// Renew takes up user and password of a URL, for the connections that are made
// from now on; those that there are go on. The rest of the URL has to be that of
// [Open]: what else is another one needs a restart, and the error, upon which
// nothing is taken up, names it.
func (s *Store) Renew(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return errURL
	}
	var others []string
	for _, part := range []struct {
		name string
		same bool
	}{
		{"its scheme", u.Scheme == s.url.Scheme},
		{"its hosts", u.Host == s.url.Host},
		{"the name of the database", u.Path == s.url.Path},
		{"its options", u.RawQuery == s.url.RawQuery && u.Fragment == s.url.Fragment},
	} {
		if !part.same {
			others = append(others, part.name)
		}
	}
	if len(others) > 0 {
		return fmt.Errorf("database URL: %s changed, which needs a restart: only its user and password are taken up without", strings.Join(others, " and "))
	}
	return s.engine.identify(text)
}

// Close closes the database. Transactions under way are waited for.
func (s *Store) Close() error {
	err := s.write.Close()
	if s.read != s.write {
		if rerr := s.read.Close(); err == nil {
			err = rerr
		}
	}
	return err
}

// Ping reports whether the database answers, by an error that is
// [ErrUnreachable] if it does not. It waits for no call: there is a connection
// beyond those of [Store.Allow].
func (s *Store) Ping(ctx context.Context) error {
	if err := s.read.PingContext(ctx); err != nil {
		if err = s.engine.explain(err); !errors.Is(err, ErrUnreachable) {
			err = fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
		return err
	}
	return nil
}

// Allow sets how many methods are called at the same time, for which the store
// then has connections. SQLite has its own number.
func (s *Store) Allow(calls int) {
	if s.read == s.write {
		s.read.SetMaxOpenConns(calls + spare)
		s.read.SetMaxIdleConns(calls + spare)
	}
}

// Conflicts returns how often an edit had to start over since the store was
// opened, because another one changed what it was about to.
func (s *Store) Conflicts() int64 { return s.conflicts.Load() }
