package operator

import (
	"net/http"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"github.com/monarch-msn/monarch/services/operator/api"
)

func TestNodesAreListed(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	d := n.startNode("alice@example.com")
	n.eventually("the load to be told", func() bool {
		return n.service.member.View().Node(d.ID()).GetSessions() == 1
	})
	list := want[api.NodeList](n, http.StatusOK, "GET", "/api/v1/nodes", "")
	if len(list.Nodes) != 2 {
		t.Fatalf("nodes %+v, want the notification node and the operator", list.Nodes)
	}
	first, second := list.Nodes[0], list.Nodes[1]
	if first.Started.IsZero() || second.Started.IsZero() {
		t.Errorf("start of %+v is not told", list.Nodes)
	}
	first.Started = time.Time{}
	wantFirst := api.Node{
		ID: d.ID(), Role: "notification", State: "serving", Sessions: 1, Capacity: 1000,
		Addresses: []api.Address{{Address: "127.0.0.1:1864"}}, Version: "test",
	}
	if diff := gocmp.Diff(wantFirst, first); diff != "" {
		t.Errorf("first node (-want +got):\n%s", diff)
	}
	if second.Role != "operator" || second.Version != "test" {
		t.Errorf("second node %+v, want the operator", second)
	}

	d.SetState(clusterv1.State_STATE_DRAINING)
	n.eventually("the operator to see the node drain", func() bool {
		return want[api.NodeList](n, http.StatusOK, "GET", "/api/v1/nodes", "").Nodes[0].State == "draining"
	})
}

func TestSessionsOfANodeAreListed(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	d := n.startNode("bob@example.com", "alice@example.com")
	other := n.startNode("carol@example.com")

	list := want[api.SessionList](n, http.StatusOK, "GET", "/api/v1/nodes/"+d.ID()+"/sessions", "")
	wantSessions := []api.Session{
		{Email: "alice@example.com", ID: "session-of-alice@example.com", Node: d.ID(), Dialect: "MSNP7"},
		{Email: "bob@example.com", ID: "session-of-bob@example.com", Node: d.ID(), Dialect: "MSNP7"},
	}
	if diff := gocmp.Diff(wantSessions, list.Sessions); diff != "" {
		t.Errorf("sessions (-want +got):\n%s", diff)
	}
	list = want[api.SessionList](n, http.StatusOK, "GET", "/api/v1/nodes/"+other.ID()+"/sessions", "")
	if len(list.Sessions) != 1 || list.Sessions[0].Email != "carol@example.com" {
		t.Errorf("sessions of the other node %v, want carol's", list.Sessions)
	}
	list = want[api.SessionList](n, http.StatusOK, "GET", "/api/v1/nodes/"+n.startNode().ID()+"/sessions", "")
	if list.Sessions == nil || len(list.Sessions) != 0 {
		t.Errorf("sessions of a node without any %v, want an empty list", list.Sessions)
	}
	n.refused(http.StatusConflict, "GET", "/api/v1/nodes/"+n.service.member.ID()+"/sessions", "")
	n.refused(http.StatusNotFound, "GET", "/api/v1/nodes/nowhere/sessions", "")
}

func TestNodesDrainAndResume(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	d := n.startNode("alice@example.com")
	drain, resume := "/api/v1/nodes/"+d.ID()+"/drain", "/api/v1/nodes/"+d.ID()+"/resume"
	for i, step := range []struct{ path, want string }{
		{resume, "serving"}, {drain, "draining"}, {drain, "draining"}, {resume, "serving"}, {resume, "serving"},
	} {
		got := want[api.Node](n, http.StatusOK, "POST", step.path, "")
		if got.State != step.want || got.ID != d.ID() || got.Role != "notification" {
			t.Errorf("request %d: node %+v, want it %s", i+1, got, step.want)
		}
		n.eventually("the list to say so", func() bool {
			return want[api.NodeList](n, http.StatusOK, "GET", "/api/v1/nodes", "").Nodes[0].State == step.want
		})
	}

	// The process is told to end.
	if err := d.drain.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := n.refused(http.StatusConflict, "POST", resume, ""); !strings.Contains(e.Error, "told to end") {
		t.Errorf("resume of a process that ends: %q", e.Error)
	}
	want[api.Node](n, http.StatusOK, "POST", drain, "")

	for _, verb := range []string{"drain", "resume"} {
		if e := n.refused(http.StatusNotFound, "POST", "/api/v1/nodes/nowhere/"+verb, ""); !strings.Contains(e.Error, `no node "nowhere"`) {
			t.Errorf("%s of no node: %q", verb, e.Error)
		}
		operator := n.service.member.ID()
		if e := n.refused(http.StatusConflict, "POST", "/api/v1/nodes/"+operator+"/"+verb, ""); !strings.Contains(e.Error, "its role is operator") {
			t.Errorf("%s of an operator: %q", verb, e.Error)
		}
	}
}

// A node that was killed stands in the view until its lease is over.
func TestADeadNodeDoesNotDrain(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	record, err := proto.Marshal(&clusterv1.Node{Id: "dead", Role: clusterv1.Role_ROLE_SWITCHBOARD, State: clusterv1.State_STATE_SERVING})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.redis.Set("monarch:node:{dead}", string(record)); err != nil {
		t.Fatal(err)
	}
	if _, err := n.redis.SAdd("monarch:{nodes}", "dead"); err != nil {
		t.Fatal(err)
	}
	n.eventually("the operator to see the node", func() bool { return n.service.member.View().Node("dead") != nil })
	if e := n.refused(http.StatusServiceUnavailable, "POST", "/api/v1/nodes/dead/drain", ""); !strings.Contains(e.Error, "cannot be reached") {
		t.Errorf("drain of a dead node: %q", e.Error)
	}
}
