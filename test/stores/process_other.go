//go:build unix && !linux

package main

import (
	"os/exec"
	"syscall"
)

// dieWithParent keeps the terminal's ^C from the process. Only Linux can end it
// together with a parent that is killed.
func dieWithParent(cmd *exec.Cmd, _ syscall.Signal) { attributes(cmd).Setpgid = true }

// endWithParent does nothing: only Linux can end the command together with
// this process.
func endWithParent(*exec.Cmd) {}

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
