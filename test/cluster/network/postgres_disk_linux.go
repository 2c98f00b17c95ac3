package network

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
)

// SmallDisk makes one of so many bytes, in memory, which ends with the test.
// That takes the right to mount; where we lack it the test is skipped.
func SmallDisk(t testing.TB, bytes int64) *Disk {
	t.Helper()
	path, err := os.MkdirTemp("", "monarch-disk-")
	if err != nil {
		t.Fatal(err)
	}
	err = syscall.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%d,mode=755", bytes))
	t.Cleanup(func() {
		if err == nil {
			if err := syscall.Unmount(path, 0); err != nil {
				t.Errorf("unmount the small disk: %v", err)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Errorf("remove the place of the small disk: %v", err)
		}
	})
	if errors.Is(err, syscall.EPERM) {
		t.Skip("a small disk takes the right to mount file systems, which root has")
	}
	if err != nil {
		t.Fatalf("mount a small disk: %v", err)
	}
	return &Disk{path}
}
