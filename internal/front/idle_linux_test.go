package front_test

import (
	"os"
	"runtime"
	"testing"

	"github.com/monarch-msn/monarch/internal/front"
)

// A goroutine would be most of the memory of an idle connection, of one behind a
// balancer too.
func TestIdleConnectionHoldsNoGoroutine(t *testing.T) {
	for name, test := range map[string]struct {
		cfg  front.Config
		says string // first
	}{
		"by itself":         {front.Config{}, ""},
		"behind a balancer": {front.Config{ProxyFrom: balancers}, "PROXY UNKNOWN\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			const clients = 300
			n := overTCP(t, test.cfg, echo)
			before := runtime.NumGoroutine()
			var all []*client
			for range clients {
				c := n.client()
				c.say(test.says + "PNG\r\n")
				c.hears("QNG\r\n")
				all = append(all, c)
			}
			eventually(t, "the goroutines are fewer than the clients", func() bool {
				return runtime.NumGoroutine()-before < clients/4
			})
			for _, c := range all {
				c.say("PNG\r\n")
				c.hears("QNG\r\n")
			}
		})
	}
}

func TestServeLeavesNoFileOpen(t *testing.T) {
	files := func() int {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(open)
	}
	// The first use of the network opens files of the runtime.
	n := overTCP(t, front.Config{}, echo)
	served(t, n).Close()
	n.stop()
	before := files()
	n = overTCP(t, front.Config{}, echo)
	for range 10 {
		served(t, n).Close()
	}
	n.stop()
	if got := files(); got > before {
		t.Errorf("open files after Serve: want %d, got %d", before, got)
	}
}
