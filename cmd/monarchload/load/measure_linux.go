package load

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// measure reads the CPU time and the memory of each process.
func measure(pids []int) ([]Process, error) {
	all := make([]Process, 0, len(pids))
	for _, pid := range pids {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("measure process %d: there is no such process", pid)
		}
		cpu, err := cpuTime(pid)
		if err != nil {
			return nil, fmt.Errorf("measure process %d: %w", pid, err)
		}
		rss, err := memory(pid)
		if err != nil {
			return nil, fmt.Errorf("measure process %d: %w", pid, err)
		}
		all = append(all, Process{PID: pid, Name: name(pid), CPUSeconds: cpu.Seconds(), RSSBytes: rss})
	}
	return all, nil
}

// measureSelf measures this process.
func measureSelf() []Process {
	self, err := measure([]int{os.Getpid()})
	if err != nil {
		return nil
	}
	return self
}

// cpuTime is the time that all threads of a process have had, past and present.
// The clock counts nanoseconds, where /proc/PID/stat has ticks of ten
// milliseconds.
func cpuTime(pid int) (time.Duration, error) {
	// clock_getcpuclockid: the complement of the id, above three bits that
	// say of what kind the clock is, here the scheduler's (2).
	clock := int32(^uint32(pid)<<3 | 2)
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		return 0, err
	}
	return time.Duration(t.Nano()), nil
}

// memory is VmRSS in bytes.
func memory(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := bytes.Cut(text, []byte("VmRSS:"))
	if !ok {
		return 0, fmt.Errorf("no VmRSS: the process has ended")
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	kb, err := strconv.ParseInt(strings.Fields(string(line))[0], 10, 64)
	return kb << 10, err
}

// name is the command with its first argument, which tells roles apart.
func name(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return ""
	}
	args := strings.Split(string(text), "\x00")
	words := filepath.Base(args[0])
	if len(args) > 1 && args[1] != "" && !strings.HasPrefix(args[1], "-") {
		words += " " + filepath.Base(args[1])
	}
	return words
}
