package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/monarch-msn/monarch/services/operator/api"
)

func TestSessionsAreListedAndKicked(t *testing.T) {
	n := startNetwork(t)
	if r := n.done(n.ctl("session", "list")); r.out != "nobody is logged in\n" {
		t.Errorf("nobody: printed %q", r.out)
	}
	one := n.startNode("alice@example.com", "bob@example.com")
	two := n.startNode("carol@example.com")
	table := n.done(n.ctl("session", "list")).out
	for _, want := range []string{
		`(?m)^EMAIL +NODE +DIALECT +ID$`,
		`(?m)^alice@example\.com +` + one.ID() + ` +MSNP7 +session-of-alice@example\.com$`,
		`(?m)^carol@example\.com +` + two.ID() + ` +MSNP7 +session-of-carol@example\.com$`,
	} {
		if !regexp.MustCompile(want).MatchString(table) {
			t.Errorf("list printed\n%s\nwant a match of %s", table, want)
		}
	}
	got := asJSON[[]api.Session](t, n.done(n.ctl("session", "list", "--node", two.ID(), "--output", "json")))
	if diff := gocmp.Diff([]api.Session{{Email: "carol@example.com", ID: "session-of-carol@example.com", Node: two.ID(), Dialect: "MSNP7"}}, got); diff != "" {
		t.Errorf("sessions of one node (-want +got):\n%s", diff)
	}

	if r := n.done(n.ctl("session", "kick", "Alice@example.com")); r.out != "ended the session of alice@example.com on "+one.ID()+"\n" {
		t.Errorf("kick printed %q", r.out)
	}
	select {
	case m := <-one.messages:
		if m.GetClose().GetEmail() != "alice@example.com" {
			t.Errorf("the node was sent %v, want the end of the session", m)
		}
	case <-time.After(patience):
		t.Error("the node was not told to end the session")
	}

	if r := n.ctl("session", "kick", "dave@example.com"); r.status != exitFault || r.err != "monarchctl: kick dave@example.com: dave@example.com is not logged in\n" {
		t.Errorf("kick of one who is offline: status %d and %q", r.status, r.err)
	}
	for _, node := range asJSON[[]api.Node](t, n.done(n.ctl("node", "list", "--output", "json"))) {
		if node.Role != "operator" {
			continue
		}
		const want = "has no sessions: its role is operator"
		if r := n.ctl("session", "list", "--node", node.ID); r.status != exitFault || !strings.Contains(r.err, want) {
			t.Errorf("sessions of the operator: status %d and %q, want %q", r.status, r.err, want)
		}
	}
	if r := n.ctl("session", "list", "--node", "nowhere"); r.status != exitFault || !strings.Contains(r.err, `no node "nowhere"`) {
		t.Errorf("sessions of no node: status %d and %q", r.status, r.err)
	}
}

func TestNodesAreListed(t *testing.T) {
	n := startNetwork(t)
	d := n.startNode("alice@example.com")
	table := n.done(n.ctl("node", "list")).out
	for _, want := range []string{
		`(?m)^NODE +ROLE +STATE +SESSIONS +UP +VERSION +ADDRESSES$`,
		`(?m)^` + d.ID() + ` +notification +serving +[01]/1000 +\d+\w+ +test +lan=10\.0\.0\.5:1864,wan=chat\.example\.org:31001$`,
		`(?m)^\S+ +operator +serving +0 +\d+\w+ +test$`,
	} {
		if !regexp.MustCompile(want).MatchString(table) {
			t.Errorf("list printed\n%s\nwant a match of %s", table, want)
		}
	}
	nodes := asJSON[[]api.Node](t, n.done(n.ctl("node", "list", "--output", "json")))
	if len(nodes) != 2 || nodes[0].ID != d.ID() || nodes[0].Role != "notification" {
		t.Errorf("nodes as JSON: %+v", nodes)
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:                 "0s",
		0:                            "0s",
		59 * time.Second:             "59s",
		61 * time.Second:             "1m1s",
		3*time.Hour + 59*time.Minute: "3h59m",
		49 * time.Hour:               "2d1h",
	} {
		if got := age(d); got != want {
			t.Errorf("age of %s: %q, want %q", d, got, want)
		}
	}
}
