package store

import (
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhatCannotBeOpenedIsSaidInOneSentence(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database. ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()

	cases := []struct {
		name, url, want string
		unreachable     bool
	}{
		{"no URL", "", "must be sqlite:", false},
		{"another scheme", "mysql://user:secret@host/db", "must be sqlite:", false},
		{"no URL at all", "postgres://user:secret@host:port/db", "must be sqlite:", false},
		{"a relative SQLite path", "sqlite://data/monarch.db", "must be sqlite:", false},
		{"a SQLite path without slashes", "sqlite:monarch.db", "must be sqlite:", false},
		{"options for SQLite", "sqlite://" + dir + "/a.db?mode=ro", "must be sqlite:", false},
		{"a directory that does not exist", "sqlite://" + dir + "/none/a.db", "the directory " + dir + "/none does not exist", false},
		{"a file that is no database", "sqlite://" + text, "is not a SQLite database", false},
		{"a directory in place of a file", "sqlite://" + dir, "no permission", false},
		{"a server that is not there", "postgres://user:secret@" + closed.Addr().String() + "/db", "connection refused", true},
	}
	if live := os.Getenv("MONARCH_TEST_POSTGRES"); live != "" {
		change := func(edit func(*url.URL)) string {
			u, err := url.Parse(live)
			if err != nil {
				t.Fatal(err)
			}
			edit(u)
			return u.String()
		}
		cases = append(cases, []struct {
			name, url, want string
			unreachable     bool
		}{
			// A server that trusts this machine takes any password, but not any user.
			{"a wrong user or password", change(func(u *url.URL) { u.User = url.UserPassword("nobody", "secret") }), "does not accept the user \"nobody\"", false},
			{"a database that does not exist", change(func(u *url.URL) { u.Path = "/none" }), "has no database \"none\"", false},
		}...)
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			s, err := Open(t.Context(), tc.url)
			if err == nil {
				s.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want %q in: %v", tc.want, err)
			}
			if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "secret") {
				t.Errorf("not one sentence, or with the password: %v", err)
			}
			if wrong := CheckURL(tc.url); (wrong != nil) != (tc.want == "must be sqlite:") {
				t.Errorf("of the URL alone is said: %v", wrong)
			}
			if got := errors.Is(err, ErrUnreachable); got != tc.unreachable {
				t.Errorf("unreachable: want %v, got %v: %v", tc.unreachable, got, err)
			}
		})
	}
}

func TestASchemaThatDoesNotExistIsSaid(t *testing.T) {
	u, err := url.Parse(postgresURL(t))
	if err != nil {
		t.Fatal(err)
	}
	u.RawQuery = "search_path=there_is_no_such_schema"
	err = openAt(t, u.String()).Migrate(t.Context())
	if err == nil || !strings.Contains(err.Error(), "search_path") {
		t.Errorf("want a word on search_path, got %v", err)
	}
}

func TestSQLiteKeepsWhatItAcknowledged(t *testing.T) {
	s := openAt(t, sqliteURL(t))
	for name, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
		var got string
		if err := s.write.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: want %s, got %s", name, want, got)
		}
	}
	if _, err := s.read.ExecContext(t.Context(), "CREATE TABLE t (x BIGINT)"); err == nil {
		t.Error("a reader can write")
	}
}
