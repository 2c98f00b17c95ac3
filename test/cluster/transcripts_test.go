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
		n := network.Start(t, network.Options{Notifications: 1, Switchboards: 1})
		script.Test(t, n, script.Transcripts())
	})
	t.Run("three nodes", func(t *testing.T) {
		n := network.Start(t, network.Options{Notifications: 3, Switchboards: 2})
		script.Test(t, n, script.Transcripts())
	})
}
