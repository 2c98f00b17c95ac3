package network

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Disk is a small file system of the test's own, which can be filled. Its
// methods may be called from any goroutine.
type Disk struct {
	// Path is its root.
	Path string
}

func (d *Disk) ballast() string { return filepath.Join(d.Path, "ballast") }

// Fill takes all space that is left.
func (d *Disk) Fill() error {
	f, err := os.OpenFile(d.ballast(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("fill the disk: %w", err)
	}
	defer f.Close()
	piece := make([]byte, 64<<10)
	for {
		if _, err := f.Write(piece); errors.Is(err, syscall.ENOSPC) {
			return nil
		} else if err != nil {
			return fmt.Errorf("fill the disk: %w", err)
		}
	}
}

// Empty gives the space back that Fill has taken.
func (d *Disk) Empty() error {
	if err := os.Remove(d.ballast()); err != nil {
		return fmt.Errorf("empty the disk: %w", err)
	}
	return nil
}
