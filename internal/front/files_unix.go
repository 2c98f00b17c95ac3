//go:build unix

package front

import (
	"math"
	"syscall"
)

// openFiles returns how many files this process may open. The runtime of Go has
// raised that to the most that is allowed without asking the administrator.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxInt32
	}
	return min(uint64(limit.Cur), math.MaxInt32) // some systems have no limit, and a number for that
}
