package network

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/internal/cluster"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// watcher is the test's own place in the cluster, by which it asks the nodes
// whether anything is under way.
type watcher struct{ member *cluster.Member }

// watch joins the cluster and returns when all nodes that have clients are seen.
func (n *Network) watch(t testing.TB) {
	t.Helper()
	client, err := cluster.Open(n.RedisURL, cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	member := client.Member(cluster.MemberConfig{
		Node: &clusterv1.Node{Role: clusterv1.Role_ROLE_OPERATOR, Version: "test"},
	}, deaf{})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := member.Run(ctx); err != nil {
			t.Errorf("keep a place in the cluster: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if err := client.Close(); err != nil {
			t.Errorf("hang up on redis: %v", err)
		}
	})
	n.watcher = &watcher{member}

	patient, giveUp := context.WithTimeout(t.Context(), Patience)
	defer giveUp()
	for role, nodes := range map[clusterv1.Role]int{
		clusterv1.Role_ROLE_NOTIFICATION: len(n.notifications),
		clusterv1.Role_ROLE_SWITCHBOARD:  len(n.Roles.Switchboards),
	} {
		if err := n.watcher.await(patient, role, nodes); err != nil {
			t.Fatal(err)
		}
	}
}

// await waits for a view that holds so many nodes of a role.
func (w *watcher) await(ctx context.Context, role clusterv1.Role, nodes int) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		seen := 0
		for _, node := range w.member.View().Nodes() {
			if node.GetRole() == role {
				seen++
			}
		}
		if seen == nodes {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %d nodes of %s to join: %d are there", nodes, role, seen)
		}
	}
}

// Settle returns when everything that was caused by commands answered so far,
// and by connections seen closed so far, has been written to the clients it
// concerns.
func (n *Network) Settle(ctx context.Context) error {
	return n.watcher.member.Settle(ctx, clusterv1.Role_ROLE_NOTIFICATION, clusterv1.Role_ROLE_SWITCHBOARD)
}

// deaf hears nothing: the test has no sessions.
type deaf struct{}

func (deaf) Deliver(context.Context, string, *clusterv1.Message) {}
func (deaf) Undelivered(string, *clusterv1.Message)              {}
func (deaf) Gone(string)                                         {}
func (deaf) Resync(string, string)                               {}
