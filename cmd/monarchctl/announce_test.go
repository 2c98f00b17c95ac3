package main

import (
	"strings"
	"testing"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"github.com/monarch-msn/monarch/services/operator/api"
)

// notice is the next notice that a node hears.
func (d *node) notice(t *testing.T) *clusterv1.Notice {
	t.Helper()
	select {
	case m := <-d.messages:
		return m.GetNotice()
	case <-time.After(patience):
		t.Fatal("the node was told nothing")
		return nil
	}
}

func TestAnnounce(t *testing.T) {
	n := startNetwork(t)
	d := n.startNode("alice@example.com")

	if r := n.done(n.ctl("announce", "--minutes", "5", "Tea & cake")); !strings.HasSuffix(r.out, "sessions on 1 nodes\n") {
		t.Errorf("announce printed %q", r.out)
	}
	if got := d.notice(t); got.GetText() != "Tea & cake" || got.GetMinutes() != 5 || got.GetEmail() != "" {
		t.Errorf("the node was sent %v", got)
	}
	if got := asJSON[api.Announced](t, n.done(n.ctl("announce", "Hello", "--to", "Alice@example.com", "--output", "json"))); got.Sessions != 1 {
		t.Errorf("announced to %+v, want one session", got)
	}
	if got := d.notice(t); got.GetText() != "Hello" || got.GetMinutes() != 0 || got.GetEmail() != "alice@example.com" {
		t.Errorf("the node was sent %v", got)
	}
	if r := n.ctl("announce"); r.status != exitUsage || !strings.Contains(r.err, "--minutes") {
		t.Errorf("announce without anything: status %d and %q", r.status, r.err)
	}
	if r := n.ctl("announce", "Hello", "--to", "bob@example.com"); r.status != exitFault || r.err != "monarchctl: announce: bob@example.com is not logged in\n" {
		t.Errorf("announce to one who is offline: status %d and %q", r.status, r.err)
	}
}

func TestSetStatus(t *testing.T) {
	n := startNetwork(t)
	d := n.startNode("alice@example.com")
	if r := n.done(n.ctl("session", "set-status", "alice@example.com", "HDN")); r.out != "told "+d.ID()+" to make alice@example.com HDN\n" {
		t.Errorf("set-status printed %q", r.out)
	}
	if got := d.notice(t); got.GetStatus() != "HDN" || got.GetEmail() != "alice@example.com" {
		t.Errorf("the node was sent %v", got)
	}
	if r := n.ctl("session", "set-status", "alice@example.com", "FLN"); r.status != exitUsage {
		t.Errorf("set-status FLN: status %d and %q", r.status, r.err)
	}
}
