package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/test/cluster/network"
	"github.com/monarch-msn/monarch/test/previous"
)

// previousServer returns the path of a server of the version ahead of this one. Where
// there is no history it is this one.
func previousServer(t *testing.T) (path string) {
	t.Helper()
	begun := time.Now()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	commit, err := previous.Tree(root).Commit()
	if err != nil {
		if os.Getenv(previous.Variable) != "" || !errors.Is(err, previous.ErrNoHistory) {
			t.Fatal(err)
		}
		t.Logf("figure: %v, so both versions are of this tree; name another with %s", err, previous.Variable)
		return network.PlainBinary(t)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir() // there is no home to keep anything in
	}
	path = filepath.Join(t.TempDir(), "previous")
	if err := buildServer(previous.Tree(root), commit, filepath.Join(cache, "monarch-previous"), path); err != nil {
		t.Fatalf("build the previous version: %v", err)
	}
	t.Logf("figure: the previous version is %s, there after %.1f s", commit[:12], time.Since(begun).Seconds())
	return path
}

// maxKept is how many servers of earlier commits are kept.
const maxKept = 4

// buildServer builds the server of a commit to path. What it builds it keeps in
// cache, where the sources always lie in the same directory, so that packages
// which did not change need not be compiled again.
func buildServer(tree previous.Tree, commit, cache, path string) (err error) {
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
		if err := compile(tree, commit, filepath.Join(cache, "src"), kept); err != nil {
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
func compile(tree previous.Tree, commit, src, kept string) error {
	if err := os.RemoveAll(src); err != nil {
		return err
	}
	if err := tree.Export(commit, src); err != nil {
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
