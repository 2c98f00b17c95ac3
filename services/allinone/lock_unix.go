//go:build unix

package allinone

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lock makes this process the only one with an embedded Redis over the data
// directory dir, until unlock or its end: two would each have sessions that the
// other one knows nothing of.
func lock(dir string) (unlock func() error, err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case err == nil:
		return f.Close, nil // the lock goes with it
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = fmt.Errorf("data directory %s is in use by another process; stop that one, or choose another directory with --data-dir", dir)
	case errors.Is(err, errors.ErrUnsupported):
		return f.Close, nil // a file system without locks
	default:
		err = fmt.Errorf("lock data directory %s: %w", dir, err)
	}
	_ = f.Close() // nothing was written
	return nil, err
}
