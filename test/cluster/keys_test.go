package cluster

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/monarch-msn/monarch/test/cluster/network"
)

// A directory that is started with another key ring than that which sealed the
// passwords in its database refuses to serve, and makes no new keys: with them
// nobody could log in any more. With the right ring it serves again.
func TestWrongKeysAreRefused(t *testing.T) {
	for name, database := range map[string]func(t *testing.T) string{
		"SQLite": func(t *testing.T) string {
			return "sqlite://" + filepath.ToSlash(filepath.Join(t.TempDir(), "monarch.db"))
		},
		"PostgreSQL": func(t *testing.T) string { return network.Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, db := t.TempDir(), database(t)
			right := filepath.Join(dir, "right.keys")
			other := filepath.Join(dir, "other.keys")
			missing := filepath.Join(dir, "missing.keys")
			serve(t, db, right)
			serve(t, "sqlite://"+filepath.ToSlash(filepath.Join(dir, "other.db")), other)

			refuse(t, db, missing, "does not exist")
			if _, err := os.Stat(missing); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("want no file of keys to be made, got %v", err)
			}
			refuse(t, db, other, "lacks key")
			refuse(t, db, disguise(t, right, other), "is not the one")
			serve(t, db, right)
		})
	}
}

// serve starts a directory and stops it once it is ready.
func serve(t *testing.T, database, keys string) {
	t.Helper()
	p := network.Monarch(t, "directory", nil, directory(database, keys)...)
	p.AwaitReady()
	p.Stop()
}

// refuse starts a directory that must end at once and say why.
func refuse(t *testing.T, database, keys, why string) {
	t.Helper()
	status, _, stderr := network.Run(t, nil, append(directory(database, keys), "--telemetry.listen=")...)
	if status != fault {
		t.Errorf("directory with %s: want exit status %d, got %d", filepath.Base(keys), fault, status)
	}
	checkSentence(t, stderr, keys, why)
}

func directory(database, keys string) []string {
	return []string{"directory", "--listen=127.0.0.1:0", "--database=" + database, "--key-file=" + keys}
}

// disguise makes a ring in which the key of one file stands under the name that
// another file has for its own: a line is name:key.
func disguise(t *testing.T, named, keyed string) string {
	t.Helper()
	name, _, _ := strings.Cut(lastLine(t, named), ":")
	_, key, _ := strings.Cut(lastLine(t, keyed), ":")
	path := filepath.Join(t.TempDir(), "disguised.keys")
	if err := os.WriteFile(path, []byte(name+":"+key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func lastLine(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

// A database that does not exist is said to be missing, by its name.
func TestMissingDatabase(t *testing.T) {
	there, err := url.Parse(network.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	there.Path += "_not"
	status, _, stderr := network.Run(t, nil, "migrate", "--database="+there.String())
	if status != fault {
		t.Errorf("want exit status %d, got %d", fault, status)
	}
	checkSentence(t, stderr, strings.TrimPrefix(there.Path, "/"), "create it first")
}
