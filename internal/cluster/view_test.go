package cluster

import (
	"context"
	"errors"
	"testing"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

const (
	notification = clusterv1.Role_ROLE_NOTIFICATION
	switchboard  = clusterv1.Role_ROLE_SWITCHBOARD
)

// viewOf is a view that was read once.
func viewOf(nodes ...*clusterv1.Node) *View {
	v := new(Client).Watch(Timing{}, nil)
	v.install(readingOf(time.Now(), nodes...))
	return v
}

func readingOf(at time.Time, nodes ...*clusterv1.Node) *reading {
	r := &reading{started: at, byID: make(map[string]*clusterv1.Node)}
	for _, n := range nodes {
		r.nodes = append(r.nodes, n)
		r.byID[n.Id] = n
	}
	return r
}

func nodeOf(id string, sessions, capacity uint32) *clusterv1.Node {
	return &clusterv1.Node{
		Id: id, Role: notification, State: clusterv1.State_STATE_SERVING,
		Sessions: sessions, Capacity: capacity,
	}
}

func TestPickTakesOnlyWhoCanServe(t *testing.T) {
	draining := nodeOf("draining", 0, 100)
	draining.State = clusterv1.State_STATE_DRAINING
	unknown := nodeOf("unknown", 0, 100)
	unknown.State = clusterv1.State_STATE_UNSPECIFIED
	other := nodeOf("other", 0, 100)
	other.Role = switchboard
	v := viewOf(draining, unknown, other, nodeOf("full", 100, 100), nodeOf("excepted", 0, 100), nodeOf("fit", 99, 100))

	got, err := v.Pick(notification, "excepted")
	if err != nil || got.Id != "fit" {
		t.Errorf("Pick: %v, %v; want fit", got, err)
	}
	// That pick filled it.
	if got, err := v.Pick(notification, "excepted"); !errors.Is(err, ErrNoNode) {
		t.Errorf("Pick: %v, %v; want ErrNoNode", got, err)
	}
	if got, err := v.Pick(switchboard); err != nil || got.Id != "other" {
		t.Errorf("Pick: %v, %v; want other", got, err)
	}
	if _, err := new(Client).Watch(Timing{}, nil).Pick(notification); !errors.Is(err, ErrNoNode) {
		t.Errorf("Pick from a view never read: %v", err)
	}
}

// Of two nodes both are drawn, so the less loaded always wins; its own picks
// count although no beat has reported them yet.
func TestPickBalances(t *testing.T) {
	v := viewOf(nodeOf("a", 0, 1000), nodeOf("b", 400, 1000))
	for i := range 400 {
		if got, err := v.Pick(notification); err != nil || got.Id != "a" {
			t.Fatalf("pick %d: %v, %v; want a", i, got, err)
		}
	}
	counts := make(map[string]int)
	for range 1000 {
		got, err := v.Pick(notification)
		if err != nil {
			t.Fatal(err)
		}
		counts[got.Id]++
	}
	if d := counts["a"] - counts["b"]; d < -2 || d > 2 {
		t.Errorf("picks from equal loads: %v", counts)
	}

	// Capacity counts, not the number of sessions.
	v = viewOf(nodeOf("small", 100, 200), nodeOf("large", 300, 1000))
	if got, err := v.Pick(notification); err != nil || got.Id != "large" {
		t.Errorf("Pick: %v, %v; want large", got, err)
	}
}

// A storm is spread over all nodes, not sent to the emptiest.
func TestPickSpreads(t *testing.T) {
	v := viewOf(nodeOf("a", 0, 1e6), nodeOf("b", 1000, 1e6), nodeOf("c", 1000, 1e6), nodeOf("d", 1000, 1e6))
	counts := make(map[string]int)
	for range 900 {
		got, err := v.Pick(notification)
		if err != nil {
			t.Fatal(err)
		}
		counts[got.Id]++
	}
	if counts["a"] > 700 || counts["b"] == 0 || counts["c"] == 0 || counts["d"] == 0 {
		t.Errorf("picks: %v", counts)
	}
}

func TestPicksAreForgottenWhenBeatsReportThem(t *testing.T) {
	v := viewOf(nodeOf("a", 0, 10))
	for range 10 {
		if _, err := v.Pick(notification); err != nil {
			t.Fatal(err)
		}
	}
	v.install(readingOf(time.Now(), nodeOf("a", 0, 10)))
	if got, err := v.Pick(notification); err == nil {
		t.Errorf("picked %v, whose beat may be older than the picks", got)
	}
	v.install(readingOf(time.Now(), nodeOf("a", 5, 10)))
	if _, err := v.Pick(notification); err != nil {
		t.Errorf("Pick: %v", err)
	}
}

// When Redis was emptied the nodes are missing for a second or so.
func TestPickOutlivesAnEmptiedRedis(t *testing.T) {
	v := viewOf(nodeOf("a", 0, 10), nodeOf("b", 0, 10))
	now := time.Now()
	v.install(readingOf(now.Add(time.Second)))
	if len(v.Nodes()) != 0 {
		t.Errorf("nodes: %v", v.Nodes())
	}
	if _, err := v.Pick(notification); err != nil {
		t.Errorf("Pick from nodes just missed: %v", err)
	}
	v.install(readingOf(now.Add(2*time.Second), nodeOf("c", 9, 10)))
	if got, err := v.Pick(notification); err != nil || got.Id != "c" {
		t.Errorf("Pick: %v, %v; want c, which is there", got, err)
	}
	v.install(readingOf(now.Add(time.Minute)))
	if got, err := v.Pick(notification); !errors.Is(err, ErrNoNode) {
		t.Errorf("Pick from nodes long dead: %v, %v", got, err)
	}
}

// A process that is no node watches all the same.
func TestWatch(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		n := e.start(t)
		v := n.client.Watch(e.timing, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- v.Run(ctx) }()
		n.awaitClosed(t, v.Ready(), "the first reading")
		if got, err := v.Pick(notification); err != nil || got.Id != n.ID() {
			t.Errorf("Pick: %v, %v", got, err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}
