// Package previous has the version of Monarch ahead of the one in this checkout,
// from which tests upgrade.
package previous

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
	"strings"
)

// Variable names another commit to upgrade from: a release, say.
const Variable = "MONARCH_TEST_PREVIOUS"

// sources is what the server is built from, as git selects it.
var sources = []string{
	"cmd/monarch", "internal", "services", "msnp", "proto", "go.mod", "go.sum", "go.work", ":(exclude,glob)**/*_test.go",
}

// ErrNoHistory says that there is no earlier commit here, as in a tree that was
// exported or cloned without its history.
var ErrNoHistory = errors.New("no history here")

// Tree is a checkout of the project, by its absolute path.
type Tree string

func (r Tree) git(args ...string) (string, error) {
	cmd := exec.Command("git", append([]string{"-C", string(r)}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		why, _, _ := strings.Cut(cmp.Or(strings.TrimSpace(stderr.String()), err.Error()), "\n")
		return "", fmt.Errorf("git %s: %s", args[0], why)
	}
	return strings.TrimSpace(string(out)), nil
}

// Commit returns the commit to upgrade from: that which Variable names, or the last
// one with another server than this tree's. Where there is none the error is
// ErrNoHistory.
func (r Tree) Commit() (string, error) {
	top, err := r.git("rev-parse", "--show-toplevel")
	if err != nil {
		return "", fmt.Errorf("%w (%v)", ErrNoHistory, err)
	}
	if own, err := filepath.EvalSymlinks(string(r)); err != nil || own != top {
		return "", fmt.Errorf("%w (the repository here is another, %s)", ErrNoHistory, top)
	}
	commit := func(name string) (string, error) { return r.git("rev-parse", "--verify", "--quiet", name+"^{commit}") }
	if name := os.Getenv(Variable); name != "" {
		id, err := commit(name)
		if err != nil {
			return "", fmt.Errorf("%s: %q is no commit here", Variable, name)
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
		return "", fmt.Errorf("%w (none is known ahead of %.12s)", ErrNoHistory, last)
	}
	return id, nil
}

// Export writes the files of a commit to dir, which is made.
func (r Tree) Export(commit, dir string) (err error) {
	var stderr bytes.Buffer
	git := exec.Command("git", "-C", string(r), "archive", "--format=tar", commit)
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
