package network

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// Ports are drawn from below those that systems give to outgoing connections:
// one of the thousands of clients' connections could otherwise take a port
// between the moment it is found free and that when a process listens on it.
const (
	firstPort = 15000
	lastPort  = 30000
	portTries = 1000
)

var ports struct {
	sync.Mutex
	given map[int]bool
}

// Port returns a free port of the loopback address.
func Port(t testing.TB) int {
	t.Helper()
	return Ports(t, 1)
}

// Ports returns the first of n free ports in a row. None of them is given to
// anybody else in this process.
func Ports(t testing.TB, n int) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range portTries {
		first := firstPort + rand.IntN(lastPort-firstPort-n)
		if !free(first, n) {
			continue
		}
		if ports.given == nil {
			ports.given = make(map[int]bool)
		}
		for i := range n {
			ports.given[first+i] = true
		}
		return first
	}
	t.Fatalf("find %d free ports: %d tries found none", n, portTries)
	return 0
}

func free(first, n int) bool {
	for port := first; port < first+n; port++ {
		if ports.given[port] {
			return false
		}
		ln, err := net.Listen("tcp", Loopback(port))
		if err != nil {
			return false
		}
		_ = ln.Close() // it has accepted nothing
	}
	return true
}

// Loopback returns host:port of a port of the loopback address.
func Loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
