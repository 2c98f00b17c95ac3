//go:build !unix

package load

import (
	"errors"
	"net"
	"syscall"
)

// rawConn returns nil: a connection holds its block here.
func rawConn(net.Conn) syscall.RawConn { return nil }

func readFD(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }

func again(error) bool { return false }
