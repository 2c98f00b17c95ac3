// Command stores runs another command with a real Redis and a real PostgreSQL
// of its own:
//
//	go run ./test/stores go test work
//
// The command finds them in MONARCH_TEST_REDIS and MONARCH_TEST_POSTGRES. Both
// listen on free loopback ports, keep their files in a temporary directory, and
// are gone when the command has ended, however it ended. A store whose variable
// is set already is used as it is and not started.
//
// With -keep DIR the databases stay in DIR, and are there again the next time.
// PostgreSQL then writes with the care that it has by default. Redis forgets
// everything all the same: what Monarch has in it ends with its processes.
//
// What is missing on the machine is installed with apt-get, where that is
// possible without a question; so are programs that -need names, runc or nft.
// The exit status is that of the command, or 1 after one sentence on standard
// error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

func main() {
	// The stores are to die with this process, and Linux takes the thread
	// that started them for it.
	runtime.LockOSThread()
	usage := func() {
		fmt.Fprintln(os.Stderr, "stores: usage: stores [-keep DIR] [-need PROGRAM,...] COMMAND [ARGUMENT...]")
	}
	flag.Usage = usage
	keep := flag.String("keep", "", "")
	need := flag.String("need", "", "")
	flag.Parse()
	if flag.NArg() == 0 {
		usage()
		os.Exit(2)
	}
	asked := strings.FieldsFunc(*need, func(r rune) bool { return r == ',' })
	status, err := run(*keep, asked, flag.Args())
	if err != nil {
		fmt.Fprintf(os.Stderr, "stores: %v\n", err)
		os.Exit(1)
	}
	os.Exit(status)
}

// run starts what is missing, runs the command, and returns its exit status.
// Databases are kept in the directory keep, unless it is empty. asked are programs
// that have to be there besides.
func run(keep string, asked, command []string) (status int, err error) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	needs, err := neededPrograms(asked)
	if err != nil {
		return 0, err
	}
	if err := install(ctx, needs.missing()); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "monarch-stores-")
	if err != nil {
		return 0, fmt.Errorf("make a directory for the stores: %w", err)
	}
	defer os.RemoveAll(dir)
	// The user whom PostgreSQL runs as has to get through.
	if err := os.Chmod(dir, 0o755); err != nil {
		return 0, fmt.Errorf("make a directory for the stores: %w", err)
	}

	env := os.Environ()
	for _, s := range needs.stores {
		home := home{dir: filepath.Join(dir, s.variable)}
		if keep != "" && s.keeps != "" {
			unlock, err := lock(keep)
			if err != nil {
				return 0, err
			}
			defer unlock()
			home.dir, home.kept = filepath.Join(keep, s.keeps), true
		}
		server, url, err := start(ctx, s, home)
		if err != nil {
			return 0, err
		}
		defer server.stop()
		env = append(env, s.variable+"="+url)
	}

	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = env
	endWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start %s: %w", command[0], err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case sig := <-signals:
			_ = cmd.Process.Signal(sig) // it may have ended just now
		case err := <-done:
			var exit *exec.ExitError
			switch {
			case err == nil:
				return 0, nil
			case errors.As(err, &exit) && exit.ExitCode() >= 0:
				return exit.ExitCode(), nil
			}
			return 0, fmt.Errorf("run %s: %w", command[0], err)
		}
	}
}
