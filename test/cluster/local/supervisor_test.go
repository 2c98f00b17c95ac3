package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long what must happen may take.
const patience = time.Minute

// screen is what is said to whoever looks on.
type screen struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// cluster is a supervisor over shell scripts in the place of the server.
type cluster struct {
	t       *testing.T
	dir     string
	screen  screen
	signals chan os.Signal
	up      chan struct{}
	done    chan error
}

// obedient leaves as soon as it is told to.
const obedient = `trap 'exit 0' TERM; echo up; while :; do sleep 0.02; done`

// runScripts starts a cluster of one directory and one node.
func runScripts(t *testing.T, directory, node string) *cluster {
	t.Helper()
	c := &cluster{
		t: t, dir: t.TempDir(),
		signals: make(chan os.Signal), up: make(chan struct{}), done: make(chan error, 1),
	}
	s := newSupervisor(c.dir, &c.screen, c.signals)
	s.timing = timing{
		firstPause: time.Millisecond, maxPause: 4 * time.Millisecond, soon: time.Hour,
		stopTime: time.Hour, closeTime: time.Hour,
	}
	// A script is ready when it has said so.
	s.ready = func(gone <-chan struct{}, log string) bool {
		for {
			select {
			case <-gone:
				return false
			case <-time.After(5 * time.Millisecond):
			}
			if b, err := os.ReadFile(log); err == nil && bytes.HasPrefix(b, []byte("up\n")) {
				return true
			}
		}
	}
	script := func(role, text string) *process {
		log := filepath.Join(c.dir, role+".log")
		return &process{
			role: role, index: 1, address: role + ":1", telemetry: log,
			log: log, path: "/bin/sh", args: []string{"-c", text}, env: []string{"PATH=" + os.Getenv("PATH"), "DIR=" + c.dir},
		}
	}
	directories, nodes := []*process{script("directory", directory)}, []*process{script("node", node)}
	go func() { c.done <- s.run(directories, nodes, func() { close(c.up) }) }()
	return c
}

func (c *cluster) awaitUp() {
	c.t.Helper()
	select {
	case <-c.up:
	case err := <-c.done:
		c.t.Fatalf("it ended before it was up: %v\n%s", err, &c.screen)
	case <-time.After(patience):
		c.t.Fatalf("it is not up after %v\n%s", patience, &c.screen)
	}
}

func (c *cluster) awaitEnd() error {
	c.t.Helper()
	select {
	case err := <-c.done:
		return err
	case <-time.After(patience):
		c.t.Fatalf("it does not end within %v\n%s", patience, &c.screen)
		return nil
	}
}

// pid waits until a role runs whose PID is not old, and returns that.
func (c *cluster) pid(role string, old int) int {
	c.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		b, err := os.ReadFile(filepath.Join(c.dir, pidFile))
		if err != nil {
			c.t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			var name string
			var index, pid int
			if n, _ := fmt.Sscan(line, &name, &index, &pid); n == 3 && name == role && pid != old {
				return pid
			}
		}
	}
	c.t.Fatalf("%s does not run again after %v\n%s", role, patience, &c.screen)
	return 0
}

// awaitSaid waits until something has been said.
func (c *cluster) awaitSaid(text string) {
	c.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if strings.Contains(c.screen.String(), text) {
			return
		}
	}
	c.t.Fatalf("after %v it has not said %q:\n%s", patience, text, &c.screen)
}

func TestProcessThatEndsIsStartedAgain(t *testing.T) {
	c := runScripts(t, obedient, obedient)
	c.awaitUp()
	first := c.pid("node", 0)
	if err := syscall.Kill(first, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	second := c.pid("node", first)
	c.awaitSaid("node 1 has left in good order; started again\n")
	c.awaitSaid(fmt.Sprintf("node 1 is ready, PID %d\n", second))
	for range 2 { // the machine loses power, twice
		if err := syscall.Kill(second, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		second = c.pid("node", second)
	}
	c.awaitSaid("(signal: killed); started again in 1ms\n")
	c.awaitSaid("(signal: killed); started again in 2ms\n")

	c.signals <- syscall.SIGINT
	if err := c.awaitEnd(); err != nil {
		t.Errorf("at the end: want no error, got %v", err)
	}
	if _, err := os.Stat(filepath.Join(c.dir, pidFile)); !os.IsNotExist(err) {
		t.Errorf("at the end: want no list of processes, got %v", err)
	}
}

// The directory is told to leave when the last node is gone, which is when the
// second signal came.
func TestEndInGoodOrder(t *testing.T) {
	const slow = `trap 'test -e "$DIR/told" && touch "$DIR/left" && exit 0; touch "$DIR/told"' TERM; echo up; while :; do sleep 0.02; done`
	const last = `trap 'test -e "$DIR/left" || echo "told to leave ahead of the node" >&2; exit 0' TERM; echo up; while :; do sleep 0.02; done`
	c := runScripts(t, last, slow)
	c.awaitUp()
	c.signals <- syscall.SIGINT
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(c.dir, "told")); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the node was not told to leave within %v\n%s", patience, &c.screen)
		}
	}
	select {
	case err := <-c.done:
		t.Fatalf("it ended (%v) although the node is there", err)
	default:
	}
	c.signals <- syscall.SIGINT
	if err := c.awaitEnd(); err != nil {
		t.Errorf("want no error, got %v", err)
	}
	log, err := os.ReadFile(filepath.Join(c.dir, "directory.log"))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(log); got != "up\n" {
		t.Errorf("the directory: want nothing but up, got %q", got)
	}
}

func TestNodeThatDoesNotLeaveIsKilled(t *testing.T) {
	c := runScripts(t, obedient, `trap '' TERM; echo up; while :; do sleep 0.02; done`)
	c.awaitUp()
	for range 3 {
		c.signals <- syscall.SIGINT
	}
	if err := c.awaitEnd(); err != nil {
		t.Errorf("want no error, got %v", err)
	}
	c.awaitSaid("node 1 does not end, and is killed\n")
}

func TestNodeThatCannotStartEndsIt(t *testing.T) {
	c := runScripts(t, obedient, `echo "monarch: the disk is full" >&2; exit 1`)
	err := c.awaitEnd()
	want := "node 1 has ended (exit status 1) before all were ready: monarch: the disk is full"
	if err == nil || err.Error() != want {
		t.Errorf("want %q, got %v", want, err)
	}
}

func TestOneKeyIsOneSignal(t *testing.T) {
	s := newSupervisor(t.TempDir(), new(screen), nil)
	if !s.heard() || s.heard() {
		t.Error("^C, passed on by whoever started the command: want one signal")
	}
	s.lastStop = time.Now().Add(-s.timing.sameKey)
	if !s.heard() {
		t.Error("^C once more, later: want a second signal")
	}
}
