package operator

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"github.com/monarch-msn/monarch/services/operator/api"
)

func TestAnnouncementToEverybodyReachesEveryNode(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	one, two := n.startNode("alice@example.com"), n.startNode("bob@example.com", "carol@example.com")
	n.eventually("the load of both nodes", func() bool {
		return n.service.member.View().Node(one.ID()).GetSessions() == 1 && n.service.member.View().Node(two.ID()).GetSessions() == 2
	})
	if got := want[api.Announced](n, http.StatusOK, "POST", "/api/v1/announcements", `{"text":"Tea & cake","minutes":5}`); got != (api.Announced{Nodes: 2, Sessions: 3}) {
		t.Errorf("announced %+v, want 3 sessions on 2 nodes", got)
	}
	for _, d := range []*node{one, two} {
		if got := n.next(d).GetNotice(); got.GetText() != "Tea & cake" || got.GetMinutes() != 5 || got.GetEmail() != "" {
			t.Errorf("a node was sent %v", got)
		}
		n.settled(d)
	}
}

func TestNoticesToOneReachTheSession(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	d, other := n.startNode("alice@example.com"), n.startNode("bob@example.com")
	session := api.Session{Email: "alice@example.com", ID: "session-of-alice@example.com", Node: d.ID(), Dialect: "MSNP7"}
	expect := func(want *clusterv1.Notice) {
		t.Helper()
		got := n.next(d).GetNotice()
		if !proto.Equal(got, want) {
			t.Errorf("the node was sent %v, want %v", got, want)
		}
	}

	want[api.Announced](n, http.StatusOK, "POST", "/api/v1/announcements", `{"email":"Alice@example.com","minutes":1}`)
	expect(&clusterv1.Notice{Email: "alice@example.com", Minutes: 1})
	if got := want[api.Session](n, http.StatusOK, "PUT", "/api/v1/sessions/alice@example.com/status", `{"status":"HDN"}`); got != session {
		t.Errorf("status of %+v changed, want %+v", got, session)
	}
	expect(&clusterv1.Notice{Email: "alice@example.com", Status: "HDN"})
	want[api.Session](n, http.StatusOK, "POST", "/api/v1/sessions/alice@example.com/mail", `{"address":"Dan@example.net","subject":"Hello"}`)
	expect(&clusterv1.Notice{Email: "alice@example.com", Mail: &clusterv1.Mail{From: "dan@example.net", Address: "dan@example.net", Subject: "Hello"}})
	n.settled(d)
	n.settled(other)
}

func TestNoticesAreRefused(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	d := n.startNode("alice@example.com")
	long := strings.Repeat("x", 401)
	for _, test := range []struct {
		status             int
		method, path, body string
	}{
		{http.StatusBadRequest, "POST", "announcements", `{}`},
		{http.StatusBadRequest, "POST", "announcements", `{"text":" "}`},
		{http.StatusBadRequest, "POST", "announcements", `{"text":"` + long + `"}`},
		{http.StatusBadRequest, "POST", "announcements", `{"minutes":10081}`},
		{http.StatusBadRequest, "POST", "announcements", `{"minutes":-1}`},
		{http.StatusBadRequest, "POST", "announcements", `{"minutes":1,"email":"alice"}`},
		{http.StatusNotFound, "POST", "announcements", `{"minutes":1,"email":"bob@example.com"}`},
		{http.StatusBadRequest, "PUT", "sessions/alice@example.com/status", `{"status":"FLN"}`},
		{http.StatusBadRequest, "PUT", "sessions/alice@example.com/status", `{"status":"away"}`},
		{http.StatusNotFound, "PUT", "sessions/bob@example.com/status", `{"status":"AWY"}`},
		{http.StatusBadRequest, "POST", "sessions/alice@example.com/mail", `{"subject":"Hello"}`},
		{http.StatusBadRequest, "POST", "sessions/alice@example.com/mail", `{"address":"dan@example.net","subject":"` + long + `"}`},
		{http.StatusNotFound, "POST", "sessions/bob@example.com/mail", `{"address":"dan@example.net","subject":"Hello"}`},
	} {
		n.refused(test.status, test.method, "/api/v1/"+test.path, test.body)
	}
	n.settled(d)
}

// Redis goes behind the look for the session, if there is one: what nobody was
// told is not said to be told.
func TestNoticesThatNobodyHeardAreRefused(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	d := n.startNode("alice@example.com")
	n.redis.Close()
	n.refused(http.StatusServiceUnavailable, "POST", "/api/v1/announcements", `{"text":"Tea"}`)
	session := &clusterv1.Session{Email: "alice@example.com", Node: d.ID()}
	for name, tell := range map[string]func() error{
		"a notice": func() error { return n.service.notify(t.Context(), session, &clusterv1.Notice{Status: "AWY"}) },
		"a close":  func() error { return n.service.sendClose(t.Context(), session) },
	} {
		if err := tell(); err == nil {
			t.Errorf("%s was published without Redis", name)
		}
	}
}

func TestWhoDidNotHearANoticeIsKnown(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	d := n.startNode("alice@example.com")
	deaf, err := n.service.tell(t.Context(), []string{"gone", d.ID()}, &clusterv1.Notice{Text: "Tea"})
	if err != nil || !slices.Equal(deaf, []string{"gone"}) {
		t.Errorf("want the node that is gone to be deaf, got %v, %v", deaf, err)
	}
	if got := n.next(d).GetNotice(); got.GetText() != "Tea" {
		t.Errorf("the node was sent %v", got)
	}
	var refused *refusal
	err = n.service.notify(t.Context(), &clusterv1.Session{Email: "bob@example.com", Node: "gone"}, &clusterv1.Notice{Status: "AWY"})
	if !errors.As(err, &refused) || refused.status != http.StatusServiceUnavailable {
		t.Errorf("a notice to a node that is gone: want status %d, got %v", http.StatusServiceUnavailable, err)
	}
	if len(n.service.inbox.deaf) > 0 {
		t.Errorf("kept %v", n.service.inbox.deaf)
	}
}
