//go:build !unix

package front

import (
	"net"
	"syscall"
)

// rawConn returns nil: connections are read and written by package net here.
func rawConn(net.Conn) syscall.RawConn { return nil }

func (*fdSource) Read([]byte) (int, error) { return 0, errAgain }

func (*Conn) writeNow([]byte) (int, error) { return 0, nil }

// hungUp is never asked.
func hungUp(uintptr) bool { return false }
