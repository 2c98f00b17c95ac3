package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Process says how a program is started.
type Process struct {
	// Name says which it is, in errors, and names its log.
	Name string
	// Path is that of the program; see [Program].
	Path string
	Args []string
	// Env is added to the environment of the tests.
	Env []string
	// Netns is the path of the network namespace to run in. Empty: that of the
	// tests.
	Netns string
}

// A Running process ends with its cluster, or before by Stop.
type Running struct {
	// Name is that of the process.
	Name string
	// Log is the path of the file with all that it wrote.
	Log string

	cmd  *exec.Cmd
	done chan struct{}
	due  bool // it has been told to end
}

// endsWithin is how long a process may take to end in good order. The API server
// takes some seconds.
const endsWithin = 20 * time.Second

// start starts a process that writes its log into dir.
func start(dir string, p Process) (*Running, error) {
	r := &Running{Name: p.Name, Log: filepath.Join(dir, p.Name+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(r.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	defer log.Close() // the process has its own
	args := append([]string{p.Path}, p.Args...)
	if p.Netns != "" {
		// Unlike "ip netns exec" it leaves /sys as it is, with its cgroups.
		args = append([]string{"nsenter", "--net=" + p.Netns}, args...)
	}
	r.cmd = exec.Command(args[0], args[1:]...)
	r.cmd.Env = append(os.Environ(), p.Env...)
	r.cmd.Stdout, r.cmd.Stderr = log, log
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	go func() {
		_ = r.cmd.Wait() // how it ended is in ProcessState
		close(r.done)
	}()
	return r, nil
}

// Pid returns the id of the process.
func (r *Running) Pid() int { return r.cmd.Process.Pid }

// Done is closed when the process has ended.
func (r *Running) Done() <-chan struct{} { return r.done }

// Stop tells the process to end and returns when it has. It is an error if it had
// ended by itself, or has to be killed. A second call does nothing.
func (r *Running) Stop() error {
	if r.due {
		return nil
	}
	r.due = true
	select {
	case <-r.done:
		return fmt.Errorf("%s ended by itself: %v", r.Name, r.cmd.ProcessState)
	default:
	}
	_ = r.cmd.Process.Signal(syscall.SIGTERM) // it may have ended just now
	select {
	case <-r.done:
		return nil
	case <-time.After(endsWithin):
	}
	_ = syscall.Kill(-r.Pid(), syscall.SIGKILL) // with what it started
	<-r.done
	return fmt.Errorf("stop %s: it had to be killed after %v", r.Name, endsWithin)
}

// Kill ends the process without a word, as a crash does, and returns when it has
// ended.
func (r *Running) Kill() {
	r.due = true
	_ = r.cmd.Process.Kill() // it may have ended just now
	<-r.done
}

// tail returns the last lines of what the process wrote.
func (r *Running) tail() string {
	const most = 4 << 10
	f, err := os.Open(r.Log)
	if err != nil {
		return err.Error()
	}
	defer f.Close() // it is only read
	if size, err := f.Seek(0, io.SeekEnd); err != nil {
		return err.Error()
	} else if _, err := f.Seek(max(0, size-most), io.SeekStart); err != nil {
		return err.Error()
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return errors.Join(errors.New(string(text)), err).Error()
	}
	return string(text)
}
