package load

import (
	"context"
	"syscall"

	"golang.org/x/sys/unix"
)

func bindWithoutPort(_ context.Context, _, _ string, c syscall.RawConn) error {
	var err error
	if fault := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	}); fault != nil {
		return fault
	}
	return err
}
