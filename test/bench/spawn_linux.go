package main

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the system kill the process when the thread that starts it
// is gone, and keeps the terminal's ^C from it.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
