//go:build unix && !linux

package main

import "syscall"

// attributes puts a process into a group of its own, which the terminal's ^C
// does not reach.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
