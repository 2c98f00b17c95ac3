// Command summary runs "go test" with its arguments, shows each package in a
// line and the output of what failed, and ends with one line that counts:
//
//	412 passed, 0 failed, 0 skipped
//
// Subtests are counted, and so is a package that fails outside a test. A skip
// is a failure here: whoever runs everything wants to know what did not run.
// The exit status is 0 only if something passed and nothing failed or was
// skipped.
//
// A line that a test logs is shown also if it passes where it begins with
// "promise: " or "figure: ".
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)

	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	// In a group of their own go test and the tests can be ended together.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "summary: run go test: %v\n", err)
		return 1
	}
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-signals:
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // they may have ended
		case <-done:
		}
	})
	s := newSummary(os.Stdout)
	readErr := s.read(stdout)
	_, _ = io.Copy(io.Discard, stdout) // or go test would wait for a reader
	waitErr := cmd.Wait()
	close(done)
	watch.Wait()
	s.finish(errors.Join(readErr, waitErr)) // of what ran, if it was cut off
	if !s.good() {
		return 1
	}
	return 0
}

// read handles the events of go test until there are no more.
func (s *summary) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				// Not an event: something wrote past go test.
				fmt.Fprintf(s.w, "%s", line)
			} else {
				s.handle(e)
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("read the events of go test: %w", err)
		}
	}
}
