package network

import (
	"fmt"
	"syscall"
)

// separate gives the thread a network namespace of its own and returns the
// thread's id, by which the namespace can be named. It has no name that would
// outlive it: it is gone, and all its interfaces with it, when the last process
// and the last thread in it have ended, however they did.
func (t *thread) separate() (id int, err error) {
	t.do(func() {
		id = syscall.Gettid()
		if err = syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
			err = fmt.Errorf("make a network namespace, which takes the capabilities CAP_SYS_ADMIN and CAP_NET_ADMIN (run the tests as root): %w", err)
		}
	})
	return id, err
}
