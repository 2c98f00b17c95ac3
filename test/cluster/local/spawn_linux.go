package main

import "syscall"

// attributes puts a process into a group of its own, which the terminal's ^C
// does not reach, and has it told to leave when this one is gone.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
