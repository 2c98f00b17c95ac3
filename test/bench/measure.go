package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/monarch-msn/monarch/cmd/monarchload/load"
)

// measurement is what one run of monarchload has seen.
type measurement struct {
	load.Result
	roles map[string]usage // of our processes, or the stub
	redis usage
	// commands is how many Redis has executed within the window.
	commands float64
}

// usage is what the processes of a role have used.
type usage struct {
	cpu   float64 // seconds within the window
	grown int64   // bytes of memory, from before the first client to the end of the window
}

// cpu is the time of all processes but Redis, in seconds.
func (m measurement) cpu() float64 {
	var sum float64
	for _, u := range m.roles {
		sum += u.cpu
	}
	return sum
}

// measure puts a setup under the load of a row. While it works, profiles are
// fetched if they are wanted.
func (w *world) measure(ctx context.Context, r row, on setup, want *profiles) (m measurement, err error) {
	s, err := w.start(ctx, on)
	if err != nil {
		return m, err
	}
	defer s.kill()
	args := append(slices.Clone(r.load), "--json", "--dispatch", s.dispatch, "--accounts", r.crowd.file(w.dir),
		"--measure", strconv.Itoa(w.redis.pid))
	role := map[int]string{w.redis.pid: "redis"}
	for _, p := range s.processes {
		role[p.pid()], _, _ = strings.Cut(p.name, " ")
		args = append(args, "--measure", strconv.Itoa(p.pid()))
	}
	count := w.redis.count(ctx)
	document, err := w.load(ctx, args, func() error { return want.fetch(ctx, s, r, on) })
	executed := count()
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(document, &m.Result); err != nil {
		return m, fmt.Errorf("read the result of monarchload: %w", err)
	}
	m.roles = make(map[string]usage)
	for _, p := range m.Processes {
		u := m.roles[role[p.PID]]
		u.cpu += p.CPUSeconds
		u.grown += p.RSSBytes - p.RSSBefore
		m.roles[role[p.PID]] = u
	}
	m.redis = m.roles["redis"]
	delete(m.roles, "redis")
	m.commands = executed.within(m.Began, time.Duration(m.DurationSeconds*float64(time.Second)))
	return m, nil
}

// faults says what went wrong, "" if nothing did.
func (m measurement) faults() string {
	if m.Faultless() && len(m.Errors) == 0 {
		return ""
	}
	says := fmt.Sprintf("%d lost, %d doubled, %d changed, %d out of order", m.Lost, m.Doubled, m.Changed, m.OutOfOrder)
	for _, kind := range m.ErrorKinds() {
		says += fmt.Sprintf(", %d %s", m.Errors[kind], kind)
	}
	return strings.Join(append([]string{says}, m.Examples...), "; ")
}

// load runs monarchload and returns its document. measuring is called when the
// window begins.
func (w *world) load(ctx context.Context, args []string, measuring func() error) ([]byte, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(w.bin, "monarchload"), args...)
	dieWithParent(cmd)
	var document, said bytes.Buffer
	cmd.Stdout, cmd.Env = &document, environment()
	progress, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start monarchload: %w", err)
	}
	var aside errgroup.Group
	for lines := bufio.NewScanner(progress); lines.Scan(); {
		fmt.Fprintln(&said, lines.Text())
		if lines.Text() == "measuring" {
			aside.Go(measuring)
		}
	}
	err = cmd.Wait()
	if failed := aside.Wait(); failed != nil {
		return nil, failed
	}
	// With a document it ends with a status that tells of faults, as that does.
	if err != nil && document.Len() == 0 {
		return nil, fmt.Errorf("monarchload %s: %w\n%s", args[0], err, said.Bytes())
	}
	return document.Bytes(), nil
}
