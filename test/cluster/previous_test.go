package cluster

import (
	"archive/tar"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/test/cluster/network"
)

// previousVariable names another commit to upgrade from: a release, say.
const previousVariable = "MONARCH_TEST_PREVIOUS"

// sources is what the server is built from, as git selects it.
var sources = []string{
	"cmd/monarch", "internal", "services", "msnp", "proto", "go.mod", "go.sum", "go.work", ":(exclude,glob)**/*_test.go",
}

// errNoHistory says that there is no earlier commit here, as in a tree that was
// exported or cloned without its history.
var errNoHistory = errors.New("no history here")

// previous returns the path of a server of the version ahead of this one. Where
// there is no history it is this one.
func previous(t *testing.T) (path string) {
	t.Helper()
	begun := time.Now()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	tree := tree{root}
	commit, err := tree.previous()
	if err != nil {
		if os.Getenv(previousVariable) != "" || !errors.Is(err, errNoHistory) {
			t.Fatal(err)
		}
		t.Logf("figure: %v, so both versions are of this tree; name another with %s", err, previousVariable)
		return network.PlainBinary(t)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir() // there is no home to keep anything in
	}
	path = filepath.Join(t.TempDir(), "previous")
	if err := tree.build(commit, filepath.Join(cache, "monarch-previous"), path); err != nil {
		t.Fatalf("build the previous version: %v", err)
	}
	t.Logf("figure: the previous version is %s, there after %.1f s", commit[:12], time.Since(begun).Seconds())
	return path
}

// tree is a checkout of the project.
type tree struct{ root string }

func (r tree) git(args ...string) (string, error) {
	cmd := exec.Command("git", append([]string{"-C", r.root}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		why, _, _ := strings.Cut(cmp.Or(strings.TrimSpace(stderr.String()), err.Error()), "\n")
		return "", fmt.Errorf("git %s: %s", args[0], why)
	}
	return strings.TrimSpace(string(out)), nil
}

// previous returns the commit to upgrade from: the last one with another server
// than this tree's.
func (r tree) previous() (string, error) {
	top, err := r.git("rev-parse", "--show-toplevel")
	if err != nil {
		return "", fmt.Errorf("%w (%v)", errNoHistory, err)
	}
	if own, err := filepath.EvalSymlinks(r.root); err != nil || own != top {
		return "", fmt.Errorf("%w (the repository here is another, %s)", errNoHistory, top)
	}
	commit := func(name string) (string, error) { return r.git("rev-parse", "--verify", "--quiet", name+"^{commit}") }
	if name := os.Getenv(previousVariable); name != "" {
		id, err := commit(name)
		if err != nil {
			return "", fmt.Errorf("%s: %q is no commit here", previousVariable, name)
		}
		return id, nil
	}
	changed, err := r.git(append([]string{"status", "--porcelain", "--"}, sources...)...)
	if err != nil {
		return "", err
	}
	if changed != "" {
		return commit("HEAD")
	}
	last, err := r.git(append([]string{"log", "-1", "--format=%H", "--"}, sources...)...)
	if err != nil {
		return "", err
	}
	id, err := commit(last + "^")
	if err != nil {
		return "", fmt.Errorf("%w (none is known ahead of %.12s)", errNoHistory, last)
	}
	return id, nil
}

// maxKept is how many servers of earlier commits are kept.
const maxKept = 4

// build builds the server of a commit to path. What it builds it keeps in
// cache, where the sources always lie in the same directory, so that packages
// which did not change need not be compiled again.
func (r tree) build(commit, cache, path string) (err error) {
	kept := filepath.Join(cache, "bin", commit+"-"+runtime.Version())
	if err := os.MkdirAll(filepath.Dir(kept), 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(cache, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close() // which unlocks it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	if _, err := os.Stat(kept); errors.Is(err, os.ErrNotExist) {
		if err := r.compile(commit, filepath.Join(cache, "src"), kept); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	now := time.Now()
	if err := os.Chtimes(kept, now, now); err != nil {
		return err
	}
	if err := prune(filepath.Dir(kept)); err != nil {
		return err
	}
	// A copy of its own stays with the test, whoever prunes.
	return copyFile(kept, path)
}

// compile builds the server of a commit in src, which is emptied first.
func (r tree) compile(commit, src, kept string) error {
	if err := os.RemoveAll(src); err != nil {
		return err
	}
	if err := r.export(commit, src); err != nil {
		return err
	}
	begun := kept + ".begun"
	args := []string{"build", "-buildvcs=false", "-o", begun}
	cmd := exec.Command("go", append(args, "./cmd/monarch")...)
	cmd.Dir = src
	cmd.Env = append(os.Environ(), "GOWORK=", "PWD="+src)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build of %.12s: %w\n%s", commit, err, out)
	}
	if err := os.Rename(begun, kept); err != nil {
		return err
	}
	return os.RemoveAll(src)
}

// export writes the files of a commit to dir.
func (r tree) export(commit, dir string) (err error) {
	var stderr bytes.Buffer
	git := exec.Command("git", "-C", r.root, "archive", "--format=tar", commit)
	git.Stderr = &stderr
	stdout, err := git.StdoutPipe()
	if err != nil {
		return err
	}
	if err := git.Start(); err != nil {
		return err
	}
	err = extract(stdout, dir)
	_, _ = io.Copy(io.Discard, stdout) // or git would wait for a reader
	if werr := git.Wait(); werr != nil {
		err = fmt.Errorf("git archive: %w\n%s", werr, &stderr)
	}
	return err
}

// extract writes the files of an archive below dir.
func extract(archive io.Reader, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	files := tar.NewReader(archive)
	for {
		header, err := files.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case header.Typeflag == tar.TypeDir:
			err = root.MkdirAll(filepath.Clean(header.Name), 0o700)
		case header.Typeflag == tar.TypeReg:
			var f *os.File
			if f, err = root.Create(header.Name); err == nil {
				_, err = io.Copy(f, files)
				err = errors.Join(err, f.Close())
			}
		}
		if err != nil {
			return err
		}
	}
}

// prune removes all but the servers that were used last.
func prune(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	used := func(e os.DirEntry) time.Time {
		info, err := e.Info()
		if err != nil {
			return time.Time{} // it is gone
		}
		return info.ModTime()
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return used(b).Compare(used(a)) })
	for _, e := range entries[min(maxKept, len(entries)):] {
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// What is upgraded from is the last commit with another server.
func TestPrevious(t *testing.T) {
	t.Setenv(previousVariable, "")
	temporary, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := tree{filepath.Join(temporary, "tree")}
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(r.root, name)
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
	none := func(when string, r tree) {
		t.Helper()
		if got, err := r.previous(); !errors.Is(err, errNoHistory) {
			t.Errorf("%s: want no history, got %q, %v", when, got, err)
		}
	}
	want := func(when, id string) {
		t.Helper()
		if got, err := r.previous(); err != nil || got != id {
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
	none("a directory of another repository", tree{filepath.Join(r.root, "services")})
	t.Setenv(previousVariable, second)
	want("a commit that is named", second)
	t.Setenv(previousVariable, "v9")
	if _, err := r.previous(); err == nil || !strings.Contains(err.Error(), `"v9" is no commit here`) {
		t.Errorf("a commit that is not there: want an error that says so, got %v", err)
	}

	t.Setenv(previousVariable, "")
	shallow := tree{filepath.Join(temporary, "shallow")}
	git("clone", "--quiet", "--depth=1", "file://"+r.root, shallow.root)
	none("a clone without history", shallow)
}

func TestPruneKeepsWhatWasUsedLast(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	for i := range maxKept + 3 {
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		used := now.Add(time.Duration(i) * time.Minute)
		if err := os.Chtimes(path, used, used); err != nil {
			t.Fatal(err)
		}
	}
	if err := prune(dir); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != maxKept || left[0].Name() != "3" {
		t.Errorf("want the last %d of %d, got %v", maxKept, maxKept+3, left)
	}
}
