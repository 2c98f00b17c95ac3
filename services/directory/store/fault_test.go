package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

func TestFaultsAreToldApart(t *testing.T) {
	server := func(code string) error { return fmt.Errorf("read: %w", &pgconn.PgError{Code: code}) }
	for _, tc := range []struct {
		name             string
		err              error
		lost, away, full bool
	}{
		{"the operator restarts the server", server("57P01"), true, true, false},
		{"another of its processes crashed", server("57P02"), true, true, false},
		{"the server became a standby", server("25006"), true, true, false},
		{"a pooler lost a statement", server("26000"), true, true, false},
		{"a migration changed a statement", server("0A000"), true, true, false},
		{"the directory was silent in a transaction", server("25P03"), true, true, false},
		{"the connection failed", server("08006"), true, true, false},
		{"the connection ended", fmt.Errorf("read: %w", io.ErrUnexpectedEOF), true, true, false},
		{"the network broke", &net.OpError{Op: "read", Err: errors.New("reset")}, true, true, false},
		{"the pool saw it", driver.ErrBadConn, true, true, false},
		{"the server cannot be reached", &pgconn.ConnectError{}, false, true, false},
		{"the disk is full", server("53100"), false, false, true},
		{"a deadlock", server("40P01"), false, false, false},
		{"a mistake of ours", server("42601"), false, false, false},
		{"a refusal", noSuchUser("alice"), false, false, false},
		{"nothing", nil, false, false, false},
	} {
		var e postgresEngine
		if got := e.lost(tc.err); got != tc.lost {
			t.Errorf("%s: lost is %v", tc.name, got)
		}
		if got := e.away(tc.err); got != tc.away {
			t.Errorf("%s: away is %v", tc.name, got)
		}
		if got := e.full(tc.err); got != tc.full {
			t.Errorf("%s: full is %v", tc.name, got)
		}
	}
}

// hurt does something to every connection of the pool.
func hurt(t *testing.T, s *Store, statement string) {
	t.Helper()
	var conns []*sql.Conn
	for range 6 {
		conn, err := s.write.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	for _, conn := range conns {
		// A connection that ends itself has no answer.
		if _, err := conn.ExecContext(t.Context(), statement); err != nil && !strings.Contains(statement, "terminate") {
			t.Fatal(err)
		}
		conn.Close()
	}
}

// Connections that have become useless are replaced, and nobody notices.
func TestPostgresConnectionsAreReplaced(t *testing.T) {
	for name, statement := range map[string]string{
		"ended by the server": `SELECT pg_terminate_backend(pg_backend_pid())`,
		"without statements":  `DEALLOCATE ALL`,
		"that take no writes": `SET default_transaction_read_only = on`,
	} {
		t.Run(name, func(t *testing.T) {
			s := ready(t, postgresURL(t))
			signUp(t, s, "alice", "bob")
			hurt(t, s, statement)
			if _, err := s.Login(t.Context(), address("alice"), "1.2", answerTo("1.2", "alice")); err != nil {
				t.Errorf("log in: %v", err)
			}
			hurt(t, s, statement)
			if _, err := s.Snapshot(t.Context(), address("alice")); err != nil {
				t.Errorf("read lists: %v", err)
			}
			hurt(t, s, statement)
			// Connections are renewed once in a while; it has passed.
			s.engine.(postgresEngine).renewed.Store(-int64(renewEvery))
			answer, err := s.AddMember(t.Context(), limits, &directoryv1.AddMemberRequest{
				Edit: &directoryv1.Edit{Email: address("alice"), Version: 1},
				List: directoryv1.List_LIST_FORWARD, Member: address("bob"), Name: "bob",
			})
			if err != nil || answer.GetVersion() != 2 {
				t.Errorf("edit: version %d, %v", answer.GetVersion(), err)
			}
		})
	}
}

// A server that does not answer, the first of two, leaves time for the other.
func TestASilentServerIsPassedOver(t *testing.T) {
	u, err := url.Parse(postgresURL(t))
	if err != nil {
		t.Fatal(err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepted by the system, and read by nobody
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	text := strings.Replace(u.String(), u.Host, silent.Addr().String()+","+u.Host, 1)
	begun := time.Now()
	s := openAt(t, text)
	t.Logf("opened after %v", time.Since(begun))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.Ping(ctx); err != nil {
		t.Error(err)
	}
	if got := s.engine.(postgresEngine).config.ConnectTimeout; got != connectTimeoutOfOne {
		t.Errorf("want each to have %v, got %v", connectTimeoutOfOne, got)
	}
}

func TestSilentTransactionsLetGo(t *testing.T) {
	s := openAt(t, postgresURL(t))
	var got string
	if err := s.read.QueryRow(`SHOW idle_in_transaction_session_timeout`).Scan(&got); err != nil || got != "10s" {
		t.Errorf("want 10s, got %s, %v", got, err)
	}
}

// A database that has no space refuses what needs it, keeps nothing of it, can
// be read, and takes edits again as soon as there is some.
func TestAFullSQLiteFile(t *testing.T) {
	s := ready(t, sqliteURL(t))
	signUp(t, s, "alice")
	var pages int
	if err := s.write.QueryRow(`PRAGMA page_count`).Scan(&pages); err != nil {
		t.Fatal(err)
	}
	limit := func(n int) {
		if _, err := s.write.Exec(fmt.Sprintf(`PRAGMA max_page_count = %d`, n)); err != nil {
			t.Fatal(err)
		}
	}
	limit(pages)
	var names []string
	for i := range 500 {
		names = append(names, fmt.Sprintf("user%d", i))
	}
	accounts := make([]NewAccount, 0, len(names))
	for _, name := range names {
		accounts = append(accounts, NewAccount{Email: address(name), Password: name, Name: name})
	}
	if _, err := s.CreateAccounts(t.Context(), accounts); !errors.Is(err, ErrFull) {
		t.Fatalf("want ErrFull, got %v", err)
	}
	if all, err := s.Accounts(t.Context(), "", 1000); err != nil || len(all) != 1 {
		t.Errorf("want alice alone, got %d accounts, %v", len(all), err)
	}
	if _, err := s.Login(t.Context(), address("alice"), "1.2", answerTo("1.2", "alice")); err != nil {
		t.Errorf("log in: %v", err)
	}
	limit(1 << 20)
	signUp(t, s, names...)
}
