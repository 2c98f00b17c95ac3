package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// machine is where and of what the figures are.
type machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	Commit string `json:"commit"`
	Date   string `json:"date"`
}

func (m machine) String() string {
	return fmt.Sprintf("%s, %d cores, %s, %s; %s, commit %s", m.CPU, m.Cores, m.Kernel, m.Go, m.Date, m.Commit)
}

func thisMachine() machine {
	m := machine{
		CPU: "unknown CPU", Cores: runtime.NumCPU(), Kernel: runtime.GOOS, Go: runtime.Version(),
		Commit: commit(), Date: time.Now().Format(time.DateOnly),
	}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
			if name, ok := strings.CutPrefix(s.Text(), "model name"); ok {
				m.CPU = strings.Trim(name, "\t :")
				break
			}
		}
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = "Linux " + strings.TrimSpace(string(b))
	}
	return m
}

// commit is that of the tree in which the driver runs.
func commit() string {
	b, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	if exec.Command("git", "diff", "--quiet", "HEAD").Run() != nil {
		return strings.TrimSpace(string(b)) + " with changes"
	}
	return strings.TrimSpace(string(b))
}

// cpuTimes are the ticks that all cores have spent since the start.
type cpuTimes struct{ total, idle, steal int64 }

func readCPU() (t cpuTimes, err error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return t, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	fields := strings.Fields(line)
	// cpu user nice system idle iowait irq softirq steal ...
	if len(fields) < 9 {
		return t, errors.New("read /proc/stat: too few fields")
	}
	for i, f := range fields[1:9] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return t, err
		}
		t.total += n
		switch i {
		case 3, 4:
			t.idle += n
		case 7:
			t.steal += n
		}
	}
	return t, nil
}

// busyShare is what share of the machine others use, in the moment ahead of a
// measurement when nothing of ours runs: 0 where that cannot be known.
func busyShare(ctx context.Context) float64 {
	before, err := readCPU()
	if err != nil {
		return 0
	}
	select {
	case <-time.After(300 * time.Millisecond):
	case <-ctx.Done():
	}
	after, err := readCPU()
	if err != nil || after.total == before.total {
		return 0
	}
	return 1 - float64(after.idle-before.idle)/float64(after.total-before.total)
}
