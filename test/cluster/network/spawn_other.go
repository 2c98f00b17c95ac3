//go:build unix && !linux

package network

import "syscall"

// attributes puts a process into a group of its own, which can be ended as a
// whole and which the terminal's ^C does not reach.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
