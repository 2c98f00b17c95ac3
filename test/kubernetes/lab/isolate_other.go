//go:build !linux

package lab

import (
	"errors"
	"fmt"
	"os"
)

// Possible says that Isolate takes Linux.
func Possible() error {
	return errors.New("a Kubernetes of its own takes Linux: namespaces, mounts and control groups")
}

// Isolate says what Possible does.
func Isolate(func() int) (status int) {
	fmt.Fprintf(os.Stderr, "lab: %v\n", Possible())
	return 1
}
