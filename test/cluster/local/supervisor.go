package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// timing is how long things take; tests are in more of a hurry.
type timing struct {
	// firstPause and maxPause bound the pause before a role that has failed is
	// started again. Each fault soon after a start doubles the next one.
	firstPause, maxPause time.Duration
	// soon is how long a process has to run that is not blamed for its start.
	soon time.Duration
	// The end takes stopTime in good order at most, closeTime once sessions
	// are closed at once, and then processes are killed.
	stopTime, closeTime time.Duration
	// sameKey is how soon after a signal another one is taken for the same:
	// the terminal sends ^C to everybody, and the process that started this
	// one passes it on.
	sameKey time.Duration
}

var usual = timing{
	firstPause: time.Second,
	maxPause:   30 * time.Second,
	soon:       10 * time.Second,
	stopTime:   5 * time.Second,
	closeTime:  10 * time.Second,
	sameKey:    time.Second,
}

// dueEvery is how often the loop looks whether a pause is over.
const dueEvery = 50 * time.Millisecond

// supervisor keeps processes running. Everything in it belongs to one loop,
// that of whoever calls run.
type supervisor struct {
	dir     string
	out     io.Writer
	signals <-chan os.Signal
	timing  timing
	// ready returns true when the process with this telemetry is ready, false
	// when it is gone.
	ready func(gone <-chan struct{}, telemetry string) bool

	events chan event
	// watching are the goroutines that send events.
	watching  sync.WaitGroup
	processes []*process
	up        bool // everything has been ready once
	stops     int  // signals heard
	lastStop  time.Time
}

// event is what happened to a process: it has ended, or else it is ready.
type event struct {
	p     *process
	gone  chan struct{} // tells one start of a process from the next
	ended *os.ProcessState
}

func newSupervisor(dir string, out io.Writer, signals <-chan os.Signal) *supervisor {
	return &supervisor{
		dir: dir, out: out, signals: signals, timing: usual, ready: awaitReady,
		events: make(chan event),
	}
}

// errStopped says that a signal has ended it.
var errStopped = errors.New("stopped")

// run starts directories, then nodes, calls welcome when all are ready, and
// keeps them running until a signal comes. It returns when all are gone.
func (s *supervisor) run(directories, nodes []*process, welcome func()) error {
	s.processes = slices.Concat(directories, nodes)
	// The first directory makes the keys and the schema of a new database.
	err := s.bringUp(directories[:1])
	if err == nil {
		err = s.bringUp(slices.Concat(directories[1:], nodes))
	}
	if err == nil {
		welcome()
		s.up = true
		err = s.keep()
	}
	if s.stops > 0 {
		s.say("stops; again ^C to close sessions at once")
	}
	// The nodes write to the directories to the last.
	s.stop(nodes)
	s.stop(directories)
	s.watching.Wait()
	if rerr := os.Remove(filepath.Join(s.dir, pidFile)); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
		err = cmp.Or(err, fmt.Errorf("remove the list of processes: %w", rerr))
	}
	if errors.Is(err, errStopped) {
		s.say("all have ended")
		return nil
	}
	return err
}

// bringUp starts processes and returns when all are ready. One that gives up
// before that would give up again: its last words are the error.
func (s *supervisor) bringUp(processes []*process) error {
	for _, p := range processes {
		if err := s.start(p); err != nil {
			return err
		}
	}
	tick := time.NewTicker(dueEvery)
	defer tick.Stop()
	for slices.ContainsFunc(processes, func(p *process) bool { return !p.isReady }) {
		select {
		case e := <-s.events:
			if e.ended != nil && e.ended.Exited() {
				s.end(e.p)
				return fmt.Errorf("%s has ended (%v) before all were ready: %s", e.p, e.ended, e.p.lastWords())
			}
			s.handle(e)
		case <-tick.C:
			s.startDue()
		case <-s.signals:
			s.heard()
			return errStopped
		}
	}
	return nil
}

// keep starts again what ends, until a signal comes.
func (s *supervisor) keep() error {
	tick := time.NewTicker(dueEvery)
	defer tick.Stop()
	for {
		select {
		case e := <-s.events:
			s.handle(e)
		case <-tick.C:
			s.startDue()
		case <-s.signals:
			s.heard()
			return errStopped
		}
	}
}

// start starts p, which is down.
func (s *supervisor) start(p *process) error {
	ended, err := p.start()
	if err != nil {
		return err
	}
	gone := p.gone
	s.watching.Go(func() { s.events <- event{p, gone, ended()} })
	s.watching.Go(func() {
		if !s.ready(gone, p.telemetry) {
			return
		}
		select {
		case s.events <- event{p: p, gone: gone}:
		case <-gone: // nobody may be there to take it
		}
	})
	s.list()
	return nil
}

// startDue starts the processes whose pause is over.
func (s *supervisor) startDue() {
	for _, p := range s.processes {
		if p.due.IsZero() || time.Now().Before(p.due) {
			continue
		}
		p.due = time.Time{}
		if err := s.start(p); err != nil {
			pause := s.pause(p)
			p.due = time.Now().Add(pause)
			s.say("%v; tried again in %v", err, pause)
		}
	}
}

// handle takes note of an event and decides when a process that ended is
// started again.
func (s *supervisor) handle(e event) {
	p := e.p
	if e.ended == nil {
		if p.gone == e.gone && p.cmd != nil {
			p.isReady = true
			if s.up && s.stops == 0 {
				s.say("%s is ready, PID %d", p, p.cmd.Process.Pid)
			}
		}
		return
	}
	s.end(p)
	ran := time.Since(p.started)
	if ran >= s.timing.soon {
		p.faults = 0
	}
	if e.ended.Success() && p.isReady {
		p.faults = 0
		p.due = time.Now()
		s.say("%s has left in good order; started again", p)
	} else {
		pause := s.pause(p)
		p.due = time.Now().Add(pause)
		why := e.ended.String()
		if words := p.lastWords(); e.ended.Exited() && words != "" {
			why += ": " + words
		}
		s.say("%s has ended after %v (%s); started again in %v", p, ran.Round(time.Millisecond), why, pause)
	}
	p.isReady = false
}

// end takes note that p is down.
func (s *supervisor) end(p *process) {
	p.cmd = nil
	s.list()
}

// pause counts a fault of p and returns how long it has to wait.
func (s *supervisor) pause(p *process) time.Duration {
	pause := s.timing.firstPause << min(p.faults, 16)
	p.faults++
	return min(pause, s.timing.maxPause)
}

// heard counts a signal, unless it is the last one once more.
func (s *supervisor) heard() (counted bool) {
	if !s.lastStop.IsZero() && time.Since(s.lastStop) < s.timing.sameKey {
		return false
	}
	s.lastStop = time.Now()
	s.stops++
	return true
}

// stop has processes leave and returns when they are gone. Signals that were
// heard before count: after a second one nobody waits for good order any more.
func (s *supervisor) stop(processes []*process) {
	send := func(sig syscall.Signal) {
		for _, p := range processes {
			p.signal(sig)
		}
	}
	step := 0
	next := time.NewTimer(s.timing.stopTime)
	defer next.Stop()
	advance := func() {
		step++
		switch step {
		case 1:
			send(syscall.SIGTERM) // a second one: close everything at once
			next.Reset(s.timing.closeTime)
		case 2:
			for _, p := range processes {
				if p.cmd != nil {
					s.say("%s does not end, and is killed", p)
				}
			}
			send(syscall.SIGKILL)
		}
	}
	send(syscall.SIGTERM)
	for slices.ContainsFunc(processes, func(p *process) bool { return p.cmd != nil }) {
		select {
		case e := <-s.events:
			if e.ended == nil {
				continue
			}
			s.end(e.p)
			// By a signal end those that were killed, or told to leave ahead of
			// all else.
			if e.ended.Exited() && !e.ended.Success() {
				s.say("%s has ended (%v): %s", e.p, e.ended, e.p.lastWords())
			}
		case <-s.signals:
			if s.heard() {
				advance()
			}
		case <-next.C:
			advance()
		}
	}
}

// say tells whoever looks on what happens.
func (s *supervisor) say(format string, args ...any) {
	fmt.Fprintf(s.out, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// list writes down what runs, for scripts.
func (s *supervisor) list() {
	var b strings.Builder
	fmt.Fprintf(&b, "cluster 1 %d - -\n", os.Getpid())
	for _, p := range s.processes {
		fmt.Fprintf(&b, "%s %d %s %s %s\n", p.role, p.index, p.pid(), p.address, p.telemetry)
	}
	path := filepath.Join(s.dir, pidFile)
	err := os.WriteFile(path+".new", []byte(b.String()), 0o600)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		s.say("the list of processes is not up to date: %v", err)
	}
}

// pid is the PID of p, or - while it is down.
func (p *process) pid() string {
	if p.cmd == nil {
		return "-"
	}
	return strconv.Itoa(p.cmd.Process.Pid)
}
