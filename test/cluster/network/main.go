package network

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// Main runs the tests of a package that uses this one, and returns their exit
// status. TestMain must call it: it owns what all tests of the package share.
func Main(m *testing.M) int {
	defer startLauncher()()
	defer binary.remove()
	defer plain.remove()
	return m.Run()
}

// binary is the server, with the race detector if the tests have it; plain is
// the server without. Each is built at most once.
var (
	binary = builder{race: race}
	plain  builder
)

type builder struct {
	race bool
	once sync.Once
	dir  string
	err  error
}

// path returns where the server is, after building it if need be.
func (b *builder) path() (string, error) {
	b.once.Do(b.build)
	return filepath.Join(b.dir, "monarch"), b.err
}

func (b *builder) build() {
	if b.dir, b.err = os.MkdirTemp("", "monarch-cluster-"); b.err != nil {
		return
	}
	args := []string{"build", "-o", b.dir + string(filepath.Separator)}
	if b.race {
		// Not in SQLite, as in the tests themselves: see the Makefile.
		args = append(args, "-race", "-gcflags=modernc.org/sqlite/lib=-race=false")
	}
	out, err := exec.Command("go", append(args, "github.com/monarch-msn/monarch/cmd/monarch")...).CombinedOutput()
	if err != nil {
		b.err = fmt.Errorf("build cmd/monarch: %w\n%s", err, out)
	}
}

func (b *builder) remove() {
	if b.dir != "" {
		_ = os.RemoveAll(b.dir) // in the system's temporary directory, which is cleaned anyway
	}
}

// launcher starts the processes that have no host of their own.
var launcher *thread

// startLauncher begins that; stop ends it.
func startLauncher() (stop func()) {
	launcher = newThread()
	return launcher.stop
}

// start starts cmd so that it ends with this process at the latest.
func start(cmd *exec.Cmd) error {
	if launcher == nil {
		return fmt.Errorf("start %s: TestMain does not call network.Main", cmd.Path)
	}
	return launcher.start(cmd)
}
