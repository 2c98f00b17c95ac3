package main

import (
	"strings"
	"testing"

	"github.com/monarch-msn/monarch/services/operator/api"
)

func TestNodesDrainAndResume(t *testing.T) {
	n := startNetwork(t)
	d := n.startNode("alice@example.com")
	for _, step := range []struct {
		args  []string
		state string
	}{
		{[]string{"drain", d.ID()}, "draining"},
		{[]string{"drain", d.ID()}, "draining"},
		{[]string{"resume", d.ID()}, "serving"},
		{[]string{"drain", "--address", "10.0.0.5:1864"}, "draining"},
		{[]string{"resume", "--address", "chat.example.org:31001"}, "serving"},
		{[]string{"resume", "--address", "chat.example.org:31001"}, "serving"},
	} {
		r := n.done(n.ctl(append([]string{"node"}, step.args...)...))
		if want := "notification node " + d.ID() + " is " + step.state + "\n"; r.out != want {
			t.Errorf("%v printed %q, want %q", step.args, r.out, want)
		}
		n.eventually("the list to say so", func() bool {
			return strings.Contains(n.ctl("node", "list").out, " notification  "+step.state)
		})
	}
	node := asJSON[api.Node](t, n.done(n.ctl("node", "drain", d.ID(), "--output", "json")))
	if node.ID != d.ID() || node.State != "draining" {
		t.Errorf("drain as JSON: %+v", node)
	}

	for _, refused := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"drain", "nowhere"}, exitFault, `no node "nowhere"`},
		{[]string{"drain", "--address", "10.0.0.5:1"}, exitFault, "no notification or switchboard node at 10.0.0.5:1"},
		{[]string{"drain"}, exitUsage, "give the id of a node, or --address"},
		{[]string{"resume", d.ID(), "--address", "10.0.0.5:1864"}, exitUsage, "give the id of a node, or --address"},
	} {
		r := n.ctl(append([]string{"node"}, refused.args...)...)
		if r.status != refused.status || !strings.Contains(r.err, refused.says) {
			t.Errorf("%v: status %d and %q, want %d and %q", refused.args, r.status, r.err, refused.status, refused.says)
		}
	}
}
