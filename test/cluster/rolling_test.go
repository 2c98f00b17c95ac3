package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/services/operator/api"
	"github.com/monarch-msn/monarch/test/cluster/network"
)

// Every notification node and every switchboard is restarted, one after the
// other and each as soon as the one before is ready, under a crowd whose members
// come back at once: some by dispatch, some to the node that has just sent them
// away.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	t.Log("promise: nobody is refused, no session and no conversation breaks, nobody is seen going more often than he moved, " +
		"no acknowledged edit or message is lost, every process ends with status 0")
	s := newScene(t, network.Options{Notifications: 3, Switchboards: 2, Dispatches: 2}, 200)
	ctx, cancel := context.WithTimeout(t.Context(), network.Patience)
	defer cancel()
	before, begun := s.crowd.Figures(), time.Now()
	nodes := slices.Concat(s.Roles.Notifications, s.Roles.Switchboards)
	for _, p := range nodes {
		started := time.Now()
		p.Terminate()
		p.Wait()
		drained := time.Since(started)
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		p.AwaitReady()
		t.Logf("figure: %s drained in %.1f s, back after %.1f s", p.Name, drained.Seconds(), time.Since(started).Seconds())
	}
	elapsed := time.Since(begun)
	took, err := s.crowd.Converge(ctx)
	if err != nil {
		t.Fatal(err)
	}
	f := s.crowd.Figures().Since(before)
	if f.Refused+f.Lost+f.Broken+f.Missing > 0 {
		t.Errorf("%v\n%s\n%s", f, s.crowd.Refusals(), s.crowd.Losses())
	}
	if f.Away == 0 {
		t.Error("nobody was moved")
	}
	t.Logf("figure: %d processes restarted in %.0f s, %d moves, refused: %d", len(nodes), elapsed.Seconds(), f.Away, f.Refused)
	t.Logf("figure: %.1f s to converge, wrong views: 0, acknowledged edits lost: 0, acknowledged messages lost: %d", took.Seconds(), f.Missing)
	t.Logf("figure: %v", f)

	drainByOperator(ctx, t, s)
}

// watchersEach is how many may have a member of the crowd on their list: the
// contacts of its default, and those to whom it is a stranger.
const watchersEach = 10 + 2

// drainByOperator has the operator empty a node and put it back into service
// while nobody does anything: so each FLN is one of a move.
func drainByOperator(ctx context.Context, t *testing.T, s *scene) {
	t.Helper()
	t.Log("promise: of a node that the operator drains everybody moves, each watcher hears one FLN of each at most, " +
		"and behind a resume the node has clients again")
	address := s.Notification(0)
	s.crowd.Rest()
	work := sync.OnceFunc(s.crowd.Work)
	defer work() // a crowd at rest does not end
	before, begun := s.crowd.Figures(), time.Now()
	moving := s.crowd.At(address)
	id := s.nodeAt(ctx, t, address).ID
	if node := ask[api.Node](ctx, t, s, http.MethodPost, "nodes/"+id+"/drain"); node.State != "draining" {
		t.Errorf("told to drain, the node is %s", node.State)
	}
	eventually(ctx, t, func() error {
		if left := s.crowd.At(address); len(left) > 0 {
			return fmt.Errorf("%d users are still on the node", len(left))
		}
		return s.crowd.Compare(ctx)
	})
	f := s.crowd.Figures().Since(before)
	// That no single one of them heard more than one is checked by the crowd.
	if f.Refused+f.Lost > 0 || int(f.Away) != len(moving) || f.Falls > f.Away*watchersEach {
		t.Errorf("%d were to move: %v\n%s", len(moving), f, s.crowd.Refusals())
	}
	t.Logf("figure: %d moves in %.1f s, %.1f FLN for each move among at most %d who watch, refused: %d",
		f.Away, time.Since(begun).Seconds(), float64(f.Falls)/float64(max(1, f.Away)), watchersEach, f.Refused)
	if node := ask[api.Node](ctx, t, s, http.MethodPost, "nodes/"+id+"/resume"); node.State != "serving" {
		t.Errorf("told to resume, the node is %s", node.State)
	}
	work()
	eventually(ctx, t, func() error {
		if len(s.crowd.At(address)) == 0 {
			return fmt.Errorf("nobody has come to the node since it serves again")
		}
		return nil
	})
	if _, err := s.crowd.Converge(ctx); err != nil {
		t.Error(err)
	}
}

// nodeAt finds a node by where clients reach it. Of one that was started again
// the youngest is meant.
func (s *scene) nodeAt(ctx context.Context, t *testing.T, address string) api.Node {
	t.Helper()
	var found api.Node
	for _, node := range ask[api.NodeList](ctx, t, s, http.MethodGet, "nodes").Nodes {
		if slices.Contains(node.Addresses, api.Address{Address: address}) && node.Started.After(found.Started) {
			found = node
		}
	}
	if found.ID == "" {
		t.Fatalf("the operator knows no node at %s", address)
	}
	return found
}

// ask sends one request to the operator.
func ask[T any](ctx context.Context, t *testing.T, s *scene, method, path string) (answer T) {
	t.Helper()
	url, token := s.Operator()
	req, err := http.NewRequestWithContext(ctx, method, url+"/api/v1/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s", method, path, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// eventually tries until it succeeds, and fails the test with the last error
// when ctx ends.
func eventually(ctx context.Context, t *testing.T, try func() error) {
	t.Helper()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
