//go:build !linux

package load

import (
	"context"
	"syscall"
)

func bindWithoutPort(context.Context, string, string, syscall.RawConn) error { return nil }
