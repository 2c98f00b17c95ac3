package network

import (
	"os/exec"
	"runtime"
	"sync"
)

// A thread runs functions one after another on a thread of the system that
// nobody else uses. Two things hang on it: Linux ends a process together with
// the thread that started it, if asked to, and a thread of the Go runtime may
// end sooner than the tests; and what a thread starts or opens is in that
// thread's network.
type thread struct {
	jobs    chan func()
	running sync.WaitGroup
}

func newThread() *thread {
	t := &thread{jobs: make(chan func())}
	t.running.Go(func() {
		runtime.LockOSThread() // and never unlocked: the thread ends here
		for job := range t.jobs {
			job()
		}
	})
	return t
}

// do returns when job has been run there.
func (t *thread) do(job func()) {
	done := make(chan struct{})
	t.jobs <- func() {
		defer close(done)
		job()
	}
	<-done
}

// start starts cmd so that it ends with this process at the latest.
func (t *thread) start(cmd *exec.Cmd) (err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = attributes()
	}
	t.do(func() { err = cmd.Start() })
	return err
}

// stop ends the thread. Nobody may use it any more.
func (t *thread) stop() {
	close(t.jobs)
	t.running.Wait()
}
