package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
)

// CheckAddress says what is wrong with "host:port" or ":port", as far as can be
// said without listening there; nil if nothing is.
func CheckAddress(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errors.New("want host:port")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q is no port", port)
	}
	if !isHost(host) {
		return fmt.Errorf("%q is no host", host)
	}
	return nil
}

// maxHost is the longest name that DNS has.
const maxHost = 253

// isHost takes addresses and names, and the empty host of a wildcard. No DNS
// name has an underscore, but those within a network of containers may.
func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	return len(s) <= maxHost && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._", r)
	})
}

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
