package previous

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is upgraded from is the last commit with another server.
func TestPrevious(t *testing.T) {
	t.Setenv(Variable, "")
	temporary, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := Tree(filepath.Join(temporary, "tree"))
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(string(r), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	git := func(args ...string) string {
		t.Helper()
		out, err := r.git(append([]string{"-c", "user.name=Ann", "-c", "user.email=ann@example.com"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	commit := func() string {
		t.Helper()
		git("add", "--all")
		git("commit", "--quiet", "--no-gpg-sign", "--message", "change")
		return git("rev-parse", "HEAD")
	}
	none := func(when string, r Tree) {
		t.Helper()
		if got, err := r.Commit(); !errors.Is(err, ErrNoHistory) {
			t.Errorf("%s: want no history, got %q, %v", when, got, err)
		}
	}
	want := func(when, id string) {
		t.Helper()
		if got, err := r.Commit(); err != nil || got != id {
			t.Errorf("%s: want %s, got %q, %v", when, id, got, err)
		}
	}

	write("go.mod", "module one")
	none("an exported tree", r)
	git("init", "--quiet")
	first := commit()
	none("one commit", r)
	write("cmd/monarch/main.go", "package main")
	second := commit()
	want("two commits", first)
	write("README.md", "words")
	write("internal/x/x_test.go", "package x")
	commit()
	want("a commit of words and tests", first)
	write("services/x/x.go", "package x")
	want("a change that is not committed", git("rev-parse", "HEAD"))
	commit()
	none("a directory of another repository", Tree(filepath.Join(string(r), "services")))
	t.Setenv(Variable, second)
	want("a commit that is named", second)
	t.Setenv(Variable, "v9")
	if _, err := r.Commit(); err == nil || !strings.Contains(err.Error(), `"v9" is no commit here`) {
		t.Errorf("a commit that is not there: want an error that says so, got %v", err)
	}

	t.Setenv(Variable, "")
	shallow := Tree(filepath.Join(temporary, "shallow"))
	git("clone", "--quiet", "--depth=1", "file://"+string(r), string(shallow))
	none("a clone without history", shallow)
}
