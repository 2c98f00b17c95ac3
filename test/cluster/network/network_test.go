package network_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/operator/api"
	"github.com/monarch-msn/monarch/test/cluster/network"
)

// A network may have several of each role, on stores and with binaries that the
// test names; any process of it can be started again in place.
func TestSeveralOfEachRole(t *testing.T) {
	network.RequireStores(t)
	redis := network.StartRedis(t)
	asked := map[string]int{}
	n := network.Start(t, network.Options{
		Notifications: 2, Switchboards: 2, Directories: 2, Dispatches: 2,
		Redis: redis.URL, Database: network.Database(t),
		Binary: func(role string, i int) string {
			asked[role] += i
			return network.Binary(t)
		},
	})
	for _, role := range []string{"notification", "switchboard", "directory", "dispatch"} {
		if asked[role] != 1 {
			t.Errorf("%s: want to be asked for the binaries of 0 and 1, got the sum %d", role, asked[role])
		}
	}
	if n.DispatchAt(0) == n.DispatchAt(1) || n.Dispatch() != n.DispatchAt(2) {
		t.Errorf("want two dispatch servers, got %s and %s", n.DispatchAt(0), n.DispatchAt(1))
	}
	url, token := n.Operator()
	var nodes api.NodeList
	ask := func() error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/v1/nodes", nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return json.NewDecoder(resp.Body).Decode(&nodes)
	}
	// The operator reads the list of nodes once a second.
	for late := time.Now().Add(time.Minute); len(nodes.Nodes) < 5; time.Sleep(100 * time.Millisecond) {
		if err := ask(); err != nil {
			t.Fatalf("ask for the nodes: %v", err)
		}
		if time.Now().After(late) {
			t.Fatalf("want two notification nodes, two switchboards and the operator, got %+v", nodes.Nodes)
		}
	}

	// Each directory serves, alone and together with the other.
	for i, directory := range n.Roles.Directories {
		directory.Terminate()
		directory.Wait()
		answer, err := n.Accounts().CreateAccounts(t.Context(), &directoryv1.CreateAccountsRequest{
			Accounts: []*directoryv1.NewAccount{{Email: string(rune('a'+i)) + "@example.com", Password: "secret"}},
		})
		if err != nil || answer.GetCreated() != 1 {
			t.Errorf("with directory %d away: %v, %v", i, answer, err)
		}
		if err := directory.Start(); err != nil {
			t.Fatal(err)
		}
		directory.AwaitReady()
		if got, err := directory.Metric(t.Context(), "go_goroutine_count"); err != nil || got < 1 {
			t.Errorf("goroutines of directory %d: want some, got %v, %v", i, got, err)
		}
	}
}
