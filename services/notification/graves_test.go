package notification

import (
	"strconv"
	"testing"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// A node has lost its lease, and comes back under a new id. Before it has claimed
// its sessions anew, records still lead to its former id, and it still answers.
// Somebody who asks then is shown nobody: the others have seen them go, and see
// them again from the new place.
func TestNobodyIsShownFromANodeThatIsGone(t *testing.T) {
	w := newWorld(t)
	former := w.dead()
	n := w.node(Config{}, nil)
	w.until("the node to be seen", func() bool { return n.View().Node(former.ID()) != nil })
	b := &clusterv1.Session{Id: "bob's", Email: bob, Dialect: "MSNP7"}
	if _, err := former.Claim(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	former.stop()
	w.until("the node to be buried", func() bool { return n.hub.isGone(makeNodeID(former.ID())) })

	now := w.dead()
	a := w.online(n.addr, ann)
	places, err := w.open().Lookup(t.Context(), []string{ann})
	if err != nil {
		t.Fatal(err)
	}
	said := func(count uint64) *clusterv1.Message {
		return &clusterv1.Message{Kind: &clusterv1.Message_Presence{Presence: &clusterv1.Presence{
			Email: bob, Node: b.GetNode(), Epoch: b.GetEpoch(), Count: count, Status: "NLN", Name: "Bob",
			VisibleTo: []*clusterv1.Watcher{{Email: ann, Epoch: places[ann].GetEpoch()}},
		}}}
	}
	now.Send(n.ID(), said(1))
	w.until("what came from the former id to be handled", func() bool {
		_, handled := n.member.Traffic()
		return handled > 0
	})
	n.quiet(a)

	if changed, _, err := now.Reclaim(t.Context(), b); err != nil || !changed {
		t.Fatalf("reclaim: changed %t, %v", changed, err)
	}
	now.Send(n.ID(), said(1))
	a.hears("NLN NLN " + bob + " Bob")
}

func TestGravesAreBounded(t *testing.T) {
	var g graves
	id := func(i int) nodeID { return makeNodeID(strconv.Itoa(i)) }
	if g.have(id(0)) {
		t.Error("somebody is gone before anybody went")
	}
	for i := range gravesKept {
		g.add(id(i))
	}
	g.add(id(0)) // once more, and so the last
	g.add(id(gravesKept))
	for i, want := range map[int]bool{0: true, 1: false, 2: true, gravesKept: true, gravesKept + 1: false} {
		if got := g.have(id(i)); got != want {
			t.Errorf("node %d is gone: %t, want %t", i, got, want)
		}
	}
	if len(g.order) != gravesKept {
		t.Errorf("%d are remembered, want %d", len(g.order), gravesKept)
	}
}
