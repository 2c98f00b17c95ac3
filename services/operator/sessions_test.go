package operator

import (
	"net/http"
	"testing"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"github.com/monarch-msn/monarch/services/operator/api"
)

func TestSessionIsKicked(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	d := n.startNode("alice@example.com")
	wanted := api.Session{Email: "alice@example.com", ID: "session-of-alice@example.com", Node: d.ID(), Dialect: "MSNP7"}

	if got := want[api.Session](n, http.StatusOK, "GET", "/api/v1/sessions/Alice@example.com", ""); got != wanted {
		t.Errorf("session %+v, want %+v", got, wanted)
	}
	if got := want[api.Session](n, http.StatusOK, "DELETE", "/api/v1/sessions/Alice@example.com", ""); got != wanted {
		t.Errorf("kicked %+v, want %+v", got, wanted)
	}
	if c := n.next(d).GetClose(); c.GetEmail() != wanted.Email || c.GetEpoch() == 0 || c.GetCause() != clusterv1.Close_CAUSE_OPERATOR {
		t.Errorf("the node was sent %v, want the end of the session", c)
	}
	n.settled(d)
	n.refused(http.StatusNotFound, "GET", "/api/v1/sessions/bob@example.com", "")
	n.refused(http.StatusNotFound, "DELETE", "/api/v1/sessions/bob@example.com", "")
}

// TestKickReachesTheNewestSession has a user log in again on another node: the
// kick goes to where the user is now.
func TestKickReachesTheNewestSession(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	old := n.startNode("alice@example.com")
	d := n.startNode()
	d.login(t, "alice@example.com")
	want[api.Session](n, http.StatusOK, "DELETE", "/api/v1/sessions/alice@example.com", "")
	if c := n.next(d).GetClose(); c.GetEmail() != "alice@example.com" {
		t.Errorf("the new node was sent %v, want the end of the session", c)
	}
	n.settled(old)
}
