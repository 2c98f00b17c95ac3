package network

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// postgresVariable names the PostgreSQL server of the tests.
const postgresVariable = "MONARCH_TEST_POSTGRES"

// RequireStores skips the test where no PostgreSQL server is named.
func RequireStores(t testing.TB) {
	t.Helper()
	if os.Getenv(postgresVariable) == "" {
		t.Skip(postgresVariable + " names no PostgreSQL server, which this test needs together with redis-server")
	}
}

// Database creates an empty PostgreSQL database for the test and returns its
// URL. It is dropped when the test is over, whoever is still connected.
func Database(t testing.TB) string {
	t.Helper()
	RequireStores(t)
	server := os.Getenv(postgresVariable)
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s is no URL", postgresVariable) // it may hold a password
	}
	name := fmt.Sprintf("monarch_test_%016x", rand.Uint64())
	if err := execute(server, "CREATE DATABASE "+name); err != nil {
		t.Fatalf("create a database: %v", err)
	}
	t.Cleanup(func() {
		if err := execute(server, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the database: %v", err)
		}
	})
	u.Path = "/" + name
	return u.String()
}

func execute(server, statement string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(end) // the statement is done or has failed
	}()
	_, err = conn.Exec(ctx, statement)
	return err
}
