package store

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// keyLine makes a line of a key file from one byte.
func keyLine(id string, b byte) string {
	key := make([]byte, 32)
	for i := range key {
		key[i] = b
	}
	return id + ":" + base64.StdEncoding.EncodeToString(key) + "\n"
}

func writeKeys(t *testing.T, path string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
}

func migrated(t *testing.T, url string) *Store {
	t.Helper()
	s := openAt(t, url)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestUnlock(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		s := migrated(t, url)
		path := filepath.Join(t.TempDir(), "new", "password.keys")
		if err := s.Unlock(t.Context(), path); err != nil {
			t.Fatalf("the first start does not create a key: %v", err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("the key file has mode %o, want 600", mode)
		}
		created, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := migrated(t, url).Unlock(t.Context(), path); err != nil {
			t.Errorf("the second start: %v", err)
		}
		id, _, _ := strings.Cut(string(created), ":")

		other := filepath.Join(t.TempDir(), "keys")
		for _, tc := range []struct {
			name  string
			lines []string
			want  string
		}{
			{"no file is created for a database that names a key", nil, "does not exist"},
			{"a ring that lacks the key is refused", []string{keyLine("other", 1)}, "lacks key " + id},
			{"another key by the same name is refused", []string{keyLine(id, 2)}, "is not the one"},
		} {
			t.Run(tc.name, func(t *testing.T) {
				os.Remove(other)
				if tc.lines != nil {
					writeKeys(t, other, tc.lines...)
				}
				err := migrated(t, url).Unlock(t.Context(), other)
				if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("want one sentence with %q, got %v", tc.want, err)
				}
				if _, err := os.Stat(other); tc.lines == nil && err == nil {
					t.Error("a key file was created")
				}
			})
		}
	})
}

func TestMalformedKeyFilesAreRefusedWithoutBeingQuoted(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"an empty file", "", "no key"},
		{"comments alone", "# nothing\n\n", "no key"},
		{"no id", keyLine("", 7), "line 1"},
		{"no colon", "c2VjcmV0c2VjcmV0\n", "line 1"},
		{"a strange id", keyLine("a b", 7), "line 1"},
		{"a short key", "a:c2VjcmV0c2VjcmV0\n", "32 bytes"},
		{"no base64", "a:!secretsecretsecret\n", "base64"},
		{"the same id twice", keyLine("a", 1) + "# next\n" + keyLine("a", 2), "line 3"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys")
			writeKeys(t, path, tc.text)
			_, err := readKeys(path)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("want an error with %q, got %v", tc.want, err)
			}
			for _, line := range strings.Split(tc.text, "\n") {
				if _, key, ok := strings.Cut(line, ":"); ok && key != "" && strings.Contains(err.Error(), key) {
					t.Errorf("the error quotes the key: %v", err)
				}
			}
			if strings.Contains(err.Error(), "c2Vjcm") {
				t.Errorf("the error quotes the file: %v", err)
			}
		})
	}
}

func TestChangingTheKey(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		path := filepath.Join(t.TempDir(), "keys")
		writeKeys(t, path, "# the first\n", keyLine("one", 1))
		s := migrated(t, url)
		if err := s.Unlock(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		var names []string
		for i := range resealBatch + 10 {
			names = append(names, fmt.Sprintf("user%d", i))
		}
		signUp(t, s, names...)

		// A directory that has the new key second seals with the old one; one
		// that has it first seals everything anew.
		writeKeys(t, path, keyLine("two", 2), keyLine("one", 1))
		newer := migrated(t, url)
		if err := newer.Unlock(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		old, err := column[int64](t.Context(), newer.read, `SELECT id FROM users WHERE key_id <> 'two'`)
		if err != nil || len(old) > 0 {
			t.Fatalf("%d passwords are still sealed with the old key, %v", len(old), err)
		}
		for _, name := range []string{names[0], names[len(names)-1]} {
			if _, err := newer.Login(t.Context(), address(name), "1.2", answerTo("1.2", name)); err != nil {
				t.Errorf("%s cannot log in any more: %v", name, err)
			}
		}

		// The old directory still runs and creates an account: its key is named
		// again, so it cannot be lost unnoticed.
		signUp(t, s, "late")
		writeKeys(t, path, keyLine("two", 2))
		if err := migrated(t, url).Unlock(t.Context(), path); err == nil || !strings.Contains(err.Error(), "lacks key one") {
			t.Fatalf("want the old key to be missed, got %v", err)
		}
		writeKeys(t, path, keyLine("two", 2), keyLine("one", 1))
		if err := migrated(t, url).Unlock(t.Context(), path); err != nil {
			t.Fatal(err)
		}

		// Now it seals nothing, and may go.
		writeKeys(t, path, keyLine("two", 2))
		last := migrated(t, url)
		if err := last.Unlock(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		if _, err := last.Login(t.Context(), address("late"), "1.2", answerTo("1.2", "late")); err != nil {
			t.Error(err)
		}
	})
}

// Two directories change the key while they are used, each in its own time: no
// account fails to be created or to log in, and behind the last step the old key
// is wanted by nobody.
func TestChangingTheKeyOfStoresInUse(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		path := filepath.Join(t.TempDir(), "keys")
		writeKeys(t, path, keyLine("one", 1))
		stores := []*Store{migrated(t, url), migrated(t, url)}
		unlock := func() {
			t.Helper()
			for _, s := range stores {
				if err := s.Unlock(t.Context(), path); err != nil {
					t.Fatal(err)
				}
			}
		}
		unlock()
		signUp(t, stores[0], "ann")

		stop := make(chan struct{})
		var users sync.WaitGroup
		var rounds [2]atomic.Int64
		for i, s := range stores {
			other := stores[1-i]
			users.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					rounds[i].Store(int64(n))
					name := fmt.Sprintf("user%d.%d", i, n)
					_, err := s.CreateAccounts(t.Context(), []NewAccount{{Email: address(name), Password: name, Name: name}})
					if err != nil {
						t.Errorf("create %s: %v", name, err)
						return
					}
					for _, name := range []string{name, "ann"} {
						if _, err := other.Login(t.Context(), address(name), "1.2", answerTo("1.2", name)); err != nil {
							t.Errorf("%s logs in: %v", name, err)
							return
						}
					}
					if _, err := other.Login(t.Context(), address("nobody"), "1.2", answerTo("1.2", "x")); reasonOf(t, err) != "AUTHENTICATION" {
						t.Errorf("an account that does not exist: want it refused, got %v", err)
						return
					}
				}
			})
		}
		for _, ring := range [][]string{
			{keyLine("one", 1), keyLine("two", 2)},
			{keyLine("two", 2), keyLine("one", 1)},
			{keyLine("two", 2)},
		} {
			writeKeys(t, path, ring...)
			unlock()
			// The next step comes when nothing is under way that began before
			// this one.
			for i := range rounds {
				for now := rounds[i].Load(); rounds[i].Load() < now+2 && !t.Failed(); {
					time.Sleep(time.Millisecond)
				}
			}
		}
		writeKeys(t, path, keyLine("three", 3))
		for _, s := range stores {
			if err := s.Unlock(t.Context(), path); err == nil || !strings.Contains(err.Error(), "lacks key two") {
				t.Errorf("a ring that lacks the key: want it refused, got %v", err)
			}
		}
		close(stop)
		users.Wait()
		signUp(t, stores[0], "late")
		if _, err := stores[1].Login(t.Context(), address("late"), "1.2", answerTo("1.2", "late")); err != nil {
			t.Errorf("behind a refused ring: %v", err)
		}
	})
}

func TestOfSeveralFirstStartsOneNamesItsKey(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		const starts = 4
		var stores [starts]*Store
		for i := range stores {
			stores[i] = migrated(t, url)
		}
		dir := t.TempDir()
		var errs [starts]error
		var done sync.WaitGroup
		for i, s := range stores {
			done.Go(func() {
				errs[i] = s.Unlock(t.Context(), filepath.Join(dir, fmt.Sprint(i)))
			})
		}
		done.Wait()
		first := -1
		for i, err := range errs {
			switch {
			case err == nil && first < 0:
				first = i
			case err == nil:
				t.Errorf("starts %d and %d both named a key of their own", first, i)
			case !strings.Contains(err.Error(), "does not exist"):
				t.Errorf("start %d: %v", i, err)
			}
		}
		if first < 0 {
			t.Fatal("no start succeeded")
		}
	})
}
