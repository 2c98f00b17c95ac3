package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

var postgres = store{
	program: program{"PostgreSQL", "postgresql", func() bool {
		return find("postgres") != "" && find("initdb") != ""
	}},
	variable: "MONARCH_TEST_POSTGRES",
	keeps:    "postgres",
	// Fast, in its own words: sessions are cut off, and everything is written.
	quit: syscall.SIGINT,
	url: func(port int) string {
		return fmt.Sprintf("postgres://monarch@127.0.0.1:%d/postgres?sslmode=disable", port)
	},
	prepare: preparePostgres,
	ready:   readyPostgres,
}

// hasty lets a server forget what a machine that loses power has not written.
var hasty = []string{"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"}

func preparePostgres(ctx context.Context, h home) (func(int) *exec.Cmd, error) {
	if err := h.make(); err != nil {
		return nil, err
	}
	as, err := postgresUser(h.dir)
	if err != nil {
		return nil, err
	}
	// A cluster of databases that is begun and not finished has another name.
	data, begun := filepath.Join(h.dir, "data"), filepath.Join(h.dir, "begun")
	if _, err := os.Stat(data); errors.Is(err, os.ErrNotExist) {
		if err := os.RemoveAll(begun); err != nil {
			return nil, err
		}
		args := []string{"-U", "monarch", "--auth=trust", "--encoding=UTF8", "--locale=C"}
		if !h.kept {
			args = append(args, "--no-sync")
		}
		initdb, path := as(exec.CommandContext(ctx, find("initdb"), args...))
		initdb.Args = append(initdb.Args, "-D", filepath.Join(path, "begun"))
		if out, err := initdb.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("initdb: %w\n%s", err, tail(out, outputBytes))
		}
		if err := os.Rename(begun, data); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	return func(port int) *exec.Cmd {
		cmd, path := as(exec.Command(find("postgres"), "-p", strconv.Itoa(port),
			"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=300"))
		cmd.Args = append(cmd.Args, "-D", filepath.Join(path, "data"))
		if !h.kept {
			cmd.Args = append(cmd.Args, hasty...)
		}
		return cmd
	}, nil
}

// postgresUser returns what prepares a command of PostgreSQL to run in dir, and
// the path by which that command finds dir. PostgreSQL refuses to run as root,
// so there it gets another user, to whom dir then belongs.
func postgresUser(dir string) (func(*exec.Cmd) (*exec.Cmd, string), error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	environment := func(cmd *exec.Cmd, dir string) {
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC", "HOME=" + dir}
	}
	if os.Geteuid() != 0 {
		return func(cmd *exec.Cmd) (*exec.Cmd, string) {
			environment(cmd, dir)
			cmd.Dir = dir
			return cmd, dir
		}, nil
	}
	uid, gid, err := unprivileged()
	if err != nil {
		return nil, err
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		return nil, err
	}
	closed, err := closedAbove(dir)
	if err != nil {
		return nil, err
	}
	if closed == "" {
		return func(cmd *exec.Cmd) (*exec.Cmd, string) {
			environment(cmd, dir)
			cmd.Dir = dir
			runAs(cmd, uid, gid)
			return cmd, dir
		}, nil
	}
	// A directory above is for root alone, as that with Monarch's secrets is.
	// It stays so: the server is handed its own directory open.
	if _, err := os.Stat(handedDir); err != nil {
		return nil, fmt.Errorf("PostgreSQL runs as another user than root, who may not pass through %s", closed)
	}
	open, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	return func(cmd *exec.Cmd) (*exec.Cmd, string) {
		path := filepath.Join(handedDir, strconv.Itoa(firstHanded))
		environment(cmd, path)
		cmd.Dir = "/"
		cmd.ExtraFiles = []*os.File{open}
		runAs(cmd, uid, gid)
		return cmd, path
	}, nil
}

const (
	// handedDir is where Linux shows a process its open files as a directory.
	handedDir = "/proc/self/fd"
	// firstHanded is the number that the first of a command's ExtraFiles has.
	firstHanded = 3
)

// closedAbove returns the first directory above dir that others may not pass
// through, or "".
func closedAbove(dir string) (string, error) {
	for above := filepath.Dir(dir); ; above = filepath.Dir(above) {
		info, err := os.Stat(above)
		switch {
		case err != nil:
			return "", err
		case info.Mode()&0o001 == 0:
			return above, nil
		case above == filepath.Dir(above):
			return "", nil
		}
	}
}

// readyPostgres begins a session as the protocol has it, without the client's
// programs: an answer of the kind R, authentication, comes only from a server
// that accepts sessions.
func readyPostgres(ctx context.Context, port int) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second)) // a TCP connection takes deadlines
	body := "\x00\x03\x00\x00user\x00monarch\x00database\x00postgres\x00\x00"
	message := append([]byte{0, 0, 0, byte(4 + len(body))}, body...)
	if _, err := conn.Write(message); err != nil {
		return err
	}
	kind := make([]byte, 1)
	if _, err := conn.Read(kind); err != nil {
		return err
	}
	if kind[0] != 'R' {
		return errors.New("it does not accept sessions yet")
	}
	return nil
}

// unprivileged returns the user that PostgreSQL runs as where we are root.
func unprivileged() (uid, gid int, err error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, lookupErr := user.Lookup(name)
		if lookupErr != nil {
			err = lookupErr
			continue
		}
		uid, uidErr := strconv.Atoi(u.Uid)
		gid, gidErr := strconv.Atoi(u.Gid)
		if err = errors.Join(uidErr, gidErr); err == nil {
			return uid, gid, nil
		}
	}
	return 0, 0, fmt.Errorf("find a user to run as: %w", err)
}
