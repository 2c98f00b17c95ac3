package cluster

import (
	"testing"

	"github.com/monarch-msn/monarch/test/cluster/network"
	"github.com/monarch-msn/monarch/test/script"
)

// The roles as processes of their own, on real stores, pass the same
// transcripts as the whole network in one process.
func TestTranscripts(t *testing.T) {
	t.Run("one node", func(t *testing.T) {
		n := network.Start(t, network.Options{Notifications: 1, Switchboards: 1, Binary: plainly(t)})
		script.Test(t, n, script.Transcripts())
	})
	t.Run("three nodes", func(t *testing.T) {
		n := network.Start(t, network.Options{Notifications: 3, Switchboards: 2, Binary: plainly(t)})
		script.Test(t, n, script.Transcripts())
	})
}

// plainly has all processes run the server as its users have it. In one process
// transcripts are played with the race detector.
func plainly(t *testing.T) func(role string, i int) string {
	return func(string, int) string { return network.PlainBinary(t) }
}
