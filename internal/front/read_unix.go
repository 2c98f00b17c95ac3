//go:build unix

package front

import (
	"io"
	"net"
	"os"
	"syscall"
)

// rawConn returns the way around net.Conn.Read, or nil where there is none. Only
// the types of package net are asked: a connection that wraps one of them and
// has a Read of its own must not be bypassed.
func rawConn(nc net.Conn) syscall.RawConn {
	var raw syscall.RawConn
	switch nc := nc.(type) {
	case *net.TCPConn:
		raw, _ = nc.SyscallConn()
	case *proxiedConn:
		raw, _ = nc.SyscallConn()
	case *net.UnixConn:
		raw, _ = nc.SyscallConn()
	}
	return raw
}

func (s *fdSource) Read(p []byte) (int, error) {
	if s.drained {
		s.drained = false
		return 0, errAgain
	}
	for {
		n, err := syscall.Read(s.conn.fd, p)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return 0, errAgain
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		}
		// Behind the last bytes of a client that has hung up there is the end.
		s.drained = n < len(p) && !s.conn.hungUp.Load()
		return n, nil
	}
}

// writeNow writes as much of b as the socket takes at once.
func (c *Conn) writeNow(b []byte) (int, error) {
	for {
		n, err := syscall.Write(c.fd, b)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return 0, nil
		case err != nil:
			return 0, os.NewSyscallError("write", err)
		}
		return n, nil
	}
}

// hungUp reports whether the client has closed its side, without taking
// anything from it. What it has sent before hides that.
func hungUp(fd uintptr) bool {
	var b [1]byte
	n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	if err == syscall.EAGAIN || err == syscall.EINTR {
		return false
	}
	return err != nil || n == 0
}
