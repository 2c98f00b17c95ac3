package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// A setup says which servers are measured.
type setup struct {
	stub  bool
	nodes int // of notification, if it is ours
}

// String names it in the output.
func (s setup) String() string {
	switch {
	case s.stub:
		return "stub"
	case s.nodes == 1:
		return "one node"
	}
	return fmt.Sprintf("%d nodes", s.nodes)
}

// world is what all measurements share: programs, files and stores.
type world struct {
	bin   string // directory of our programs
	dir   string // of this run, for logs and the database
	redis *redisServer
}

func (w *world) file(name string) string { return filepath.Join(w.dir, name) }

// servers are the processes of a setup.
type servers struct {
	*world
	dispatch  string // host:port
	processes []*process
}

// start starts the servers of a setup and returns when they serve.
func (w *world) start(ctx context.Context, what setup) (_ *servers, err error) {
	if err := w.redis.forget(ctx); err != nil {
		return nil, err
	}
	s := &servers{world: w}
	defer func() {
		if err != nil {
			s.kill()
		}
	}()
	if what.stub {
		return s, s.startStub(ctx)
	}
	return s, s.startMonarch(ctx, what.nodes)
}

// await returns when all processes are ready.
func (s *servers) await(ctx context.Context) error {
	for _, p := range s.processes {
		if err := p.await(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *servers) kill() {
	for _, p := range s.processes {
		p.kill()
	}
}

// add starts a process.
func (s *servers) add(name, path string, args ...string) error {
	p, err := start(s.dir, name, path, args...)
	if err == nil {
		s.processes = append(s.processes, p)
	}
	return err
}

func (s *servers) startStub(ctx context.Context) error {
	a, err := freeAddresses(3)
	if err != nil {
		return err
	}
	s.dispatch = a[0]
	err = s.add("stub", filepath.Join(s.bin, "test", "stub"),
		"--accounts", s.file(accountsFile), "--contacts", s.file(contactsFile),
		"--dispatch", a[0], "--notification", a[1], "--switchboard", a[2])
	if err != nil {
		return err
	}
	return s.await(ctx)
}

// startMonarch starts every role in a process of its own, those on whom others
// lean first. They would wait for each other, but a connection that was refused
// is tried again only a second later; and whoever reads the list of nodes once
// they have joined knows all of them from the start, and does not send the first
// clients to the same ones.
func (s *servers) startMonarch(ctx context.Context, nodes int) error {
	a, err := freeAddresses(4 + nodes)
	if err != nil {
		return err
	}
	s.dispatch = a[0]
	stores := []string{"--redis", s.redis.url, "--directory", a[1]}
	err = errors.Join(
		s.startDirectory(a[1]), s.await(ctx),
		s.startOperator(a[2], stores...),
		s.startRole("switchboard", "switchboard", a[3], stores...), s.await(ctx),
	)
	for i, listen := range a[4:] {
		err = errors.Join(err, s.startRole("notification", "notification "+strconv.Itoa(i+1), listen, stores...))
	}
	return errors.Join(
		err, s.await(ctx),
		s.startRole("dispatch", "dispatch", a[0], "--redis", s.redis.url), s.await(ctx),
	)
}

func (s *servers) startDirectory(listen string) error {
	return s.startRole("directory", "directory", listen,
		"--database", "sqlite://"+s.file("monarch.db"), "--key-file", s.file("password.keys"))
}

func (s *servers) startOperator(listen string, stores ...string) error {
	return s.startRole("operator", "operator", listen, append(stores, "--token-file", s.file(tokenFile))...)
}

func (s *servers) startRole(role, name, listen string, args ...string) error {
	return s.add(name, filepath.Join(s.bin, "monarch"), append([]string{role, "--listen", listen}, args...)...)
}

// tokenFile has the secret of the operator's interface.
const tokenFile = "operator.token"

// populate makes the accounts as an operator does it.
func (w *world) populate(ctx context.Context) error {
	if err := os.WriteFile(w.file(tokenFile), []byte("the-token-of-a-benchmark\n"), 0o600); err != nil {
		return err
	}
	a, err := freeAddresses(2)
	if err != nil {
		return err
	}
	s := &servers{world: w}
	defer s.kill()
	err = errors.Join(
		s.startDirectory(a[0]), s.await(ctx),
		s.startOperator(a[1], "--directory", a[0], "--redis", w.redis.url), s.await(ctx),
	)
	if err != nil {
		return err
	}
	for _, args := range [][]string{{"user", "import", w.file(accountsFile)}, {"contact", "import", w.file(contactsFile)}} {
		cmd := exec.CommandContext(ctx, filepath.Join(w.bin, "monarchctl"),
			append([]string{"--server", "http://" + a[1], "--token-file", w.file(tokenFile)}, args...)...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr, cmd.Env = &out, &out, environment()
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("import %s: %w: %s", args[2], err, lastLine(out.String()))
		}
	}
	return nil
}
