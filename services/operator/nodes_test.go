package operator

import (
	"net/http"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

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
	list = want[api.SessionList](n, http.StatusOK, "GET", "/api/v1/nodes/"+n.service.member.ID()+"/sessions", "")
	if list.Sessions == nil || len(list.Sessions) != 0 {
		t.Errorf("sessions of the operator %v, want an empty list", list.Sessions)
	}
	n.refused(http.StatusNotFound, "GET", "/api/v1/nodes/nowhere/sessions", "")
}
