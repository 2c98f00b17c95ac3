//go:build !unix

package front

import (
	"net"
	"syscall"
)

// rawConn returns nil: an idle connection holds its reader here.
func rawConn(net.Conn) syscall.RawConn { return nil }

func (*fdSource) Read([]byte) (int, error) { return 0, errAgain }

// hungUp is never asked.
func hungUp(uintptr) bool { return false }
