package front

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

// keepAlive finds clients that vanished without a word within two minutes.
// Handlers need not set a deadline for those that are merely silent.
var keepAlive = net.KeepAliveConfig{
	Enable:   true,
	Idle:     time.Minute,
	Interval: 15 * time.Second,
	Count:    4,
}

// Listen opens a TCP listener on addr, "host:port" or ":port", for Serve. The
// port can be taken over at once from a process that has just ended. The text
// of the error tells an operator what to do.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: keepAlive}
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, &listenError{addr, err}
	}
	return ln, nil
}

// listenError says what the error of the system means here.
type listenError struct {
	addr string
	err  error
}

func (e *listenError) Error() string {
	text := "listen " + e.addr + ": "
	switch op := (*net.OpError)(nil); {
	case errors.Is(e.err, syscall.EADDRINUSE):
		return text + "address in use (is another monarch running?)"
	case errors.Is(e.err, syscall.EADDRNOTAVAIL):
		return text + "no such address on this machine (to serve all of them, leave the host out)"
	case errors.Is(e.err, syscall.EACCES):
		return text + "permission denied (ports below 1024 belong to the administrator)"
	case errors.As(e.err, &op):
		return text + op.Err.Error() // op names the address again
	}
	return text + e.err.Error()
}

func (e *listenError) Unwrap() error { return e.err }
