package main

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the system send sig to cmd's process when this one is gone,
// even if it was killed.
func dieWithParent(cmd *exec.Cmd, sig syscall.Signal) {
	attributes(cmd).Pdeathsig = sig
	// The terminal's ^C is for the tests; the stores are stopped after them.
	attributes(cmd).Setpgid = true
}

// endWithParent has the system end the command when this process is gone: it
// would run on without stores.
func endWithParent(cmd *exec.Cmd) { attributes(cmd).Pdeathsig = syscall.SIGTERM }

// runAs has cmd run as another user.
func runAs(cmd *exec.Cmd, uid, gid int) {
	attributes(cmd).Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func attributes(cmd *exec.Cmd) *syscall.SysProcAttr {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	return cmd.SysProcAttr
}
