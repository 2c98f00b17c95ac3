package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// What is kept is there again, also below a directory that only its owner may
// pass through, which the user of PostgreSQL may not be.
func TestDatabaseThatIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	statements := []string{
		"CREATE TABLE kept (number INT)",
		"INSERT INTO kept SELECT number + 1 FROM kept", // fails without the table
	}
	for _, statement := range statements {
		server, url, err := start(t.Context(), postgres, home{dir: filepath.Join(dir, "kept", "postgres"), kept: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := execute(t.Context(), url, statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
		server.stop()
	}
}

func execute(ctx context.Context, url, statement string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

func TestTwoDoNotKeepInTheSameDirectory(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock(dir); err == nil || !strings.Contains(err.Error(), "is in use") {
		t.Errorf("while it is locked: want an error that says that it is in use, got %v", err)
	}
	unlock()
	again, err := lock(dir)
	if err != nil {
		t.Fatalf("after it was unlocked: %v", err)
	}
	again()
}
