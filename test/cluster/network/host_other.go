//go:build unix && !linux

package network

import "errors"

// separate gives the thread a network of its own, which only Linux can.
func (*thread) separate() (id int, err error) {
	return 0, errors.New("make a network namespace, which takes Linux")
}
