//go:build unix && !linux

package network

import "testing"

// SmallDisk makes a small file system in memory, which only Linux has.
func SmallDisk(t testing.TB, _ int64) *Disk {
	t.Helper()
	t.Skip("a small disk takes Linux")
	return nil
}
