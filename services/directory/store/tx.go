package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// A transaction that has to be begun anew is, this often and after a random
// pause of at most so long.
const (
	attempts = 12
	maxPause = 100 * time.Millisecond
)

// A querier reads: a *sql.DB or a *sql.Tx.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Each statement of a change sees what was committed before it, so what is read
// after a lock was taken is the latest.
var changing = &sql.TxOptions{Isolation: sql.LevelReadCommitted}

// change runs do in one transaction and commits it. When it returns nil, what
// do did is on the disk. do runs again, from the start, where another
// transaction was in the way, or the connection broke before the commit.
func (s *Store) change(ctx context.Context, do func(tx *sql.Tx) error) error {
	for n := 1; ; n++ {
		err := s.anew(ctx, func() error { return s.try(ctx, do) })
		if !errors.Is(err, errStale) && !s.engine.again(err) {
			return err
		}
		s.conflicts.Add(1)
		if n == attempts {
			return fmt.Errorf("%w: %w", errBusy, err)
		}
		pause := rand.N(min(maxPause, time.Millisecond<<n))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func (s *Store) try(ctx context.Context, do func(tx *sql.Tx) error) error {
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	tx, err := conn.BeginTx(ctx, changing)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := do(tx); err != nil {
		if rerr := tx.Rollback(); rerr != nil {
			// The connection is lost, which rolls back too, or the database has
			// rolled back by itself. In neither case may the next transaction
			// find the rest of this one.
			drop(conn)
		}
		return err
	}
	if err := tx.Commit(); err != nil {
		drop(conn)
		return fmt.Errorf("%w: %w", errCommit, err)
	}
	return nil
}

// drop closes a connection instead of handing it back to its pool.
func drop(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}

// A row is a *sql.Row or *sql.Rows.
type row interface{ Scan(into ...any) error }

// each calls do for each row of a query.
func each(ctx context.Context, q querier, query string, args []any, do func(row) error) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := do(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// column reads all rows of a query that selects one column.
func column[T any](ctx context.Context, q querier, query string, args ...any) ([]T, error) {
	var all []T
	err := each(ctx, q, query, args, func(r row) error {
		var v T
		err := r.Scan(&v)
		all = append(all, v)
		return err
	})
	return all, err
}

// listChunk is the most values to give to one IN list.
const listChunk = 512

// inList returns "($1,$2,...)" and arguments for all of values, of which there
// is at least one. The number of places is a power of two, the last value
// repeated, so that there are few different statements to prepare.
func inList[T any](values []T) (string, []any) {
	n := 1
	for n < len(values) {
		n *= 2
	}
	var text strings.Builder
	args := make([]any, n)
	for i := range n {
		sep := byte(',')
		if i == 0 {
			sep = '('
		}
		text.WriteByte(sep)
		text.WriteByte('$')
		text.WriteString(strconv.Itoa(i + 1))
		args[i] = values[min(i, len(values)-1)]
	}
	text.WriteByte(')')
	return text.String(), args
}
