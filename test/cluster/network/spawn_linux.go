package network

import "syscall"

// attributes puts a process into a group of its own, which can be ended as a
// whole and which the terminal's ^C does not reach, and has it killed when the
// thread that started it is gone, so that nothing survives tests that were
// killed or timed out.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
