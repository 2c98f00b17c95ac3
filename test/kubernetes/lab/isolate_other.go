//go:build !linux

package lab

import (
	"fmt"
	"os"
)

// Isolate says that it takes Linux.
func Isolate(func() int) (status int) {
	fmt.Fprintln(os.Stderr, "lab: a Kubernetes of its own takes Linux: namespaces, mounts and control groups")
	return 1
}
