//go:build !linux

package front

import "errors"

// poller is for Linux. Elsewhere each connection has a goroutine that waits.
type poller struct{}

func newPoller() (*poller, error) { return new(poller), nil }

func (*poller) add(*Conn) error { return errors.ErrUnsupported }

func (*poller) remove(*Conn) {}

func (*poller) run(func([]*Conn)) {}

func (*poller) close() {}
