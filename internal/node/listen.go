package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"
)

// Listen listens on a TCP address, "host:port" or ":port", that was given by
// the named flag. Its error is a sentence that says what to do next.
func Listen(ctx context.Context, addr, flag string) (net.Listener, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	var op *net.OpError
	switch {
	case err == nil:
		return ln, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen %s: address in use (is another monarch running? choose another with %s)", addr, flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("listen %s: this machine has no such address (choose another with %s)", addr, flag)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("listen %s: permission denied (choose a port above 1023 with %s)", addr, flag)
	case errors.As(err, &op):
		err = op.Err // without the address, which stands in front already
	}
	return nil, fmt.Errorf("listen %s: %w (set by %s)", addr, err, flag)
}
