package lab

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// stageVariable tells a process that Isolate has started which one it is, and
// dirVariable the directory in which everything lies.
const (
	stageVariable = "MONARCH_LAB_STAGE"
	dirVariable   = "MONARCH_LAB_DIR"
)

// Isolate runs this program once more, in a machine of its own as far as
// processes, mounts and networks go, and has that one call run. It returns what
// run does, or 1 after a sentence on standard error.
//
// Inside there is no network but a loopback interface, which is up, and /run is
// empty. What is started there, mounted or plugged in is gone when run has
// returned, and just as well when one of the processes is interrupted or killed:
// nothing else has to clean up. The same goes for files in os.TempDir and for
// control groups below [Cgroup].
func Isolate(run func() int) (status int) {
	var err error
	switch os.Getenv(stageVariable) {
	case "":
		status, err = outside()
	case "janitor":
		err = tidy()
	case "first":
		status, err = first()
	default:
		if err = furnish(); err == nil {
			return run()
		}
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "lab: %v\n", err)
		return 1
	}
	return status
}

// Cgroup is where an isolated process may make control groups: a path below
// each hierarchy of the machine, which exists in none.
func Cgroup() string { return "/" + filepath.Base(os.Getenv(dirVariable)) }

// forwarded are the signals that reach the isolated process.
var forwarded = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}

// Possible says what Isolate lacks on this machine, and nil for nothing.
func Possible() error {
	if os.Geteuid() != 0 {
		return errors.New("a Kubernetes of its own takes root: namespaces, mounts and control groups")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return fmt.Errorf("a Kubernetes of its own takes the program ip, which the package iproute2 has: %w", err)
	}
	return nil
}

// outside starts the first process of the new machine, and tidies up behind it.
func outside() (status int, err error) {
	if err := Possible(); err != nil {
		return 0, err
	}
	// The child dies together with the thread that started it.
	runtime.LockOSThread()
	dir, err := os.MkdirTemp("", "monarch-lab-")
	if err != nil {
		return 0, fmt.Errorf("make a directory for the lab: %w", err)
	}
	env := append(os.Environ(), dirVariable+"="+dir, "TMPDIR="+dir)
	janitor, err := startJanitor(env)
	if err != nil {
		return 0, errors.Join(err, os.Remove(dir))
	}
	defer func() { err = errors.Join(err, janitor()) }()

	signals := make(chan os.Signal, 4)
	signal.Notify(signals, forwarded...)
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(env, stageVariable+"=first")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET,
		Setpgid:    true, // the terminal's ^C comes by this process alone
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("make namespaces for a Kubernetes of its own, which takes the capability CAP_SYS_ADMIN: %w", err)
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
			return 0, fmt.Errorf("the isolated process: %w", err)
		}
	}
}

// startJanitor starts a process that tidies up when finish is called or this
// process is gone, whatever ended it. finish waits for that.
func startJanitor(env []string) (finish func() error, err error) {
	end, held, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer end.Close() // the janitor has its own
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(env, stageVariable+"=janitor")
	cmd.Stdin, cmd.Stderr = end, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // not in a group that is killed
	if err := cmd.Start(); err != nil {
		held.Close()
		return nil, fmt.Errorf("start what tidies up: %w", err)
	}
	return func() error {
		held.Close() // nothing was written
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("tidy up: %w", err)
		}
		return nil
	}, nil
}

// tidy is what the janitor does. The last processes may be just about to end.
func tidy() error {
	dir := os.Getenv(dirVariable)
	if dir == "" {
		return errors.New("tidy up: there is no directory of a lab")
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // comes to its end with the other process
	var err error
	for range 100 {
		if err = errors.Join(os.RemoveAll(dir), removeCgroups(Cgroup())); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

// first is what a machine's first process is: it starts the program, and takes
// leave of everybody whose parent has ended. When it ends so does everything.
func first() (status int, err error) {
	if err := mount(); err != nil {
		return 0, err
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, forwarded...)
	if err := os.Setenv(stageVariable, "inside"); err != nil {
		return 0, err
	}
	child, err := syscall.ForkExec("/proc/self/exe", os.Args, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2},
	})
	if err != nil {
		return 0, fmt.Errorf("start the isolated process: %w", err)
	}
	go func() {
		for sig := range signals {
			_ = syscall.Kill(child, sig.(syscall.Signal)) // it may have ended just now
		}
	}()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return 0, fmt.Errorf("wait for the isolated process: %w", err)
		case pid == child && status.Signaled():
			return 0, fmt.Errorf("the isolated process was ended by: %v", status.Signal())
		case pid == child:
			return status.ExitStatus(), nil
		}
	}
}

// mount gives the machine its own view: of its processes, and of what runs.
func mount() error {
	private := func() error { return syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, "") }
	proc := func() error { return syscall.Mount("proc", "/proc", "proc", 0, "") }
	run := func() error { return syscall.Mount("run", "/run", "tmpfs", 0, "mode=755") }
	for _, do := range []func() error{private, proc, run} {
		if err := do(); err != nil {
			return fmt.Errorf("make mounts of its own: %w", err)
		}
	}
	return nil
}

// furnish makes the machine usable.
func furnish() error {
	out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput()
	if err != nil {
		return fmt.Errorf("switch on the loopback interface: %w %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// hierarchies are where control groups lie: each controller's, with the first
// version of them, and the one of the second.
func hierarchies() []string {
	const root = "/sys/fs/cgroup"
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		return []string{root}
	}
	all, _ := filepath.Glob(root + "/*/cgroup.procs") // the pattern is good
	for i := range all {
		all[i] = filepath.Dir(all[i])
	}
	return all
}

// removeCgroups removes a control group with all that are in it.
func removeCgroups(cgroup string) error {
	var errs []error
	for _, hierarchy := range hierarchies() {
		var dirs []string
		err := filepath.WalkDir(filepath.Join(hierarchy, cgroup), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				dirs = append(dirs, path)
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		for _, dir := range slices.Backward(dirs) { // the inner ones first
			if err := syscall.Rmdir(dir); err != nil {
				errs = append(errs, fmt.Errorf("remove the control group %s: %w", dir, err))
			}
		}
	}
	return errors.Join(errs...)
}
