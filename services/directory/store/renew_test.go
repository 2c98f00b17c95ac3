package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
)

// Connections that are made from now on are another user's, those that there are
// go on.
func TestUserIsRenewed(t *testing.T) {
	at := postgresURL(t)
	s := migrated(t, at)
	role := fmt.Sprintf("monarch_test_%016x", rand.Uint64())
	run := func(statement string) {
		t.Helper()
		if _, err := s.write.ExecContext(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
	engine := s.engine.(postgresEngine)
	renew := func(url string) {
		t.Helper()
		if err := s.Renew(url); err != nil {
			t.Fatal(err)
		}
	}
	part := func() { engine.renewed.Store(engine.uptime()) }
	run(`CREATE ROLE ` + role + ` LOGIN`)
	t.Cleanup(func() {
		renew(at)
		part()
		run(`DROP ROLE ` + role)
	})
	who := func() (user string) {
		t.Helper()
		if err := s.read.QueryRowContext(t.Context(), `SELECT current_user`).Scan(&user); err != nil {
			t.Fatal(err)
		}
		return user
	}
	before := who()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "hunter2")
	renew(u.String())
	if got := who(); got != before {
		t.Errorf("on a connection that there is: want %s, got %s", before, got)
	}
	part()
	if got := who(); got != role {
		t.Errorf("on a new connection: want %s, got %s", role, got)
	}
	u.User = url.UserPassword("nobody", "hunter2")
	renew(u.String())
	part()
	err = s.Ping(t.Context())
	if err == nil || !strings.Contains(err.Error(), `does not accept the user "nobody"`) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("on a new connection that is refused: want a sentence that names the user, got %v", err)
	}
}

func TestRenewTakesNothingButUserAndPassword(t *testing.T) {
	const opened = "postgres://me:hunter1@one/monarch?sslmode=disable"
	for now, want := range map[string]string{
		"postgres://me:hunter2@one/monarch?sslmode=disable":     "",
		"postgres://you:hunter2@one/monarch?sslmode=disable":    "",
		"postgres://me:hunter2@two/monarch?sslmode=disable":     "its hosts changed",
		"postgres://me:hunter2@one,two/other?sslmode=disable":   "its hosts and the name of the database changed",
		"postgres://me:hunter2@one/monarch?sslmode=verify-full": "its options changed",
		"sqlite:///hunter2": "its scheme",
		"hunter2":           "its scheme",
		"postgres://me:hunter2@one:port/monarch?sslmode=disable": "must be sqlite:",
	} {
		s, err := open(opened)
		if err != nil {
			t.Fatal(err)
		}
		who := s.engine.(postgresEngine).who
		before := *who.Load()
		err = s.Renew(now)
		switch {
		case want == "" && (err != nil || who.Load().password != "hunter2"):
			t.Errorf("%s: want its password taken up, got %v", now, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || *who.Load() != before):
			t.Errorf("%s: want nothing taken up and %q, got %v", now, want, err)
		case err != nil && strings.Contains(err.Error(), "hunter"):
			t.Errorf("the error has the password: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
