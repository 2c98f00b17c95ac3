package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"
)

// upTo returns the first n migrations, as an older release had them.
func upTo(t *testing.T, n int) fs.FS {
	t.Helper()
	files, err := fs.Glob(embedded, "migrations/*.sql")
	if err != nil || len(files) < n {
		t.Fatalf("want %d migrations, got %v, %v", n, files, err)
	}
	older := make(fstest.MapFS)
	for _, file := range files[:n] {
		data, err := fs.ReadFile(embedded, file)
		if err != nil {
			t.Fatal(err)
		}
		older[filepath.Base(file)] = &fstest.MapFile{Data: data}
	}
	return older
}

// firstData is what a database of the very first release may hold.
var firstData = []string{
	`INSERT INTO keys (id, proof, created) VALUES ('k', '', 1)`,
	`UPDATE counters SET value = 2 WHERE name = 'users'`,
	`INSERT INTO users (id, email, name, verified, disabled, version, created, gtc_ask, blp_allow,
		phone_home, phone_work, phone_mobile, page, mobile_device, key_id, secret)
		VALUES (1, 'alice@example.com', 'Alice', TRUE, FALSE, 7, 1, TRUE, TRUE, '', '', '', FALSE, FALSE, 'k', ''),
			(2, 'bob@example.com', 'Bob', TRUE, FALSE, 9, 1, TRUE, TRUE, '555', '', '', FALSE, FALSE, 'k', '')`,
	`INSERT INTO contact_groups (owner_id, id, name) VALUES (1, 0, 'Other%20Contacts'), (1, 3, 'Friends')`,
	`INSERT INTO members (owner_id, member_id, forward_name, allow_name, block_name, in_groups)
		VALUES (1, 2, 'Bobby', NULL, NULL, 8), (2, 1, NULL, 'Al', NULL, 0)`,
}

func TestMigrateFromEveryOlderRelease(t *testing.T) {
	files, err := fs.Glob(embedded, "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= len(files); n++ {
		t.Run(fmt.Sprintf("from version %d", n), func(t *testing.T) {
			eachEngine(t, func(t *testing.T, url string) {
				s := openAt(t, url)
				if err := s.migrate(t.Context(), upTo(t, 1)); err != nil {
					t.Fatal(err)
				}
				for _, statement := range firstData {
					if _, err := s.write.ExecContext(t.Context(), statement); err != nil {
						t.Fatal(err)
					}
				}
				if err := s.migrate(t.Context(), upTo(t, n)); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if err := s.Migrate(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				alice := snapshotOf(t, s, "alice")
				want := "0:Other%20Contacts 3:Friends | bob FL=Bobby{3} phones=555,,,false"
				if got := listsOf(alice); got != want || alice.GetVersion() != 7 {
					t.Errorf("want\n%s at 7, got\n%s at %d", want, got, alice.GetVersion())
				}
			})
		})
	}
}

func TestSeveralStartsMigrateAtOnce(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		const starts = 5
		var errs [starts]error
		var done sync.WaitGroup
		for i := range starts {
			done.Go(func() {
				s, err := Open(t.Context(), url)
				// SQLite lets nobody in while somebody turns the write-ahead log
				// on; a directory that starts then waits, as for any database.
				for errors.Is(err, ErrUnreachable) && t.Context().Err() == nil {
					s, err = Open(t.Context(), url)
				}
				if err != nil {
					errs[i] = err
					return
				}
				errs[i] = s.Migrate(t.Context())
				s.Close()
			})
		}
		done.Wait()
		for i, err := range errs {
			if err != nil {
				t.Errorf("start %d: %v", i, err)
			}
		}
		signUp(t, ready(t, url), "alice")
	})
}

func TestADatabaseOfANewerReleaseIsRefused(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		s := openAt(t, url)
		newer := upTo(t, 1).(fstest.MapFS)
		newer["99999_later.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE later (x BIGINT);\n")}
		if err := s.migrate(t.Context(), newer); err != nil {
			t.Fatal(err)
		}
		err := s.Migrate(t.Context())
		if err == nil || !strings.Contains(err.Error(), "schema version 99999") || strings.Contains(err.Error(), "\n") {
			t.Errorf("want one sentence about version 99999, got %v", err)
		}
	})
}

func TestAMigrationThatFailsLeavesNothingOfItself(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		s := openAt(t, url)
		broken := upTo(t, 1).(fstest.MapFS)
		broken["99999_broken.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE half (x BIGINT);\nINSERT INTO nowhere VALUES (1);\n")}
		if err := s.migrate(t.Context(), broken); err == nil || !strings.Contains(err.Error(), "99999_broken.sql") {
			t.Fatalf("want the name of the file, got %v", err)
		}
		if err := s.Migrate(t.Context()); err != nil {
			t.Errorf("the database is spoilt: %v", err)
		}
		if _, err := s.write.ExecContext(t.Context(), "SELECT x FROM half"); err == nil {
			t.Error("half of the migration is there")
		}
	})
}

func TestAStartThatWaitsForAnotherCanBeGivenUp(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		first, second := openAt(t, url), openAt(t, url)
		release, err := first.engine.lock(t.Context(), first.write)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if err := second.Migrate(ctx); err == nil {
			t.Error("both migrate at once")
		}
		if err := release(); err != nil {
			t.Fatal(err)
		}
		if err := second.Migrate(t.Context()); err != nil {
			t.Errorf("after the first was done: %v", err)
		}
	})
}
