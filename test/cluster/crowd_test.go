package cluster

import (
	"context"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/test/cluster/crowd"
	"github.com/monarch-msn/monarch/test/cluster/network"
)

// A crowd that nobody troubles is told the truth and nothing but the truth.
func TestCrowdIsToldTheTruth(t *testing.T) {
	n := network.Start(t, network.Options{Notifications: 3, Switchboards: 2, Args: crowd.Args()})
	c, err := crowd.Start(t.Context(), crowd.Options{Dispatch: []string{n.Dispatch()}, Accounts: n.Accounts()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	time.Sleep(10 * time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	took, err := c.Converge(ctx)
	t.Logf("figure: %v after %v", c.Figures(), took)
	if err != nil {
		t.Fatal(err)
	}
}
