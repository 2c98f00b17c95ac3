package operator

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/operator/api"
)

func TestAccountIsCreatedAndShown(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	created := want[api.Account](n, http.StatusCreated, "POST", "/api/v1/accounts",
		`{"email":"Alice@Example.com","password":"secret","name":"Alice in Wonderland"}`)
	if created.Email != "alice@example.com" || created.Name != "Alice in Wonderland" || created.Disabled ||
		created.UserID == 0 || created.Version == 0 || created.Created.IsZero() {
		t.Errorf("created %+v", created)
	}
	shown := want[api.AccountDetail](n, http.StatusOK, "GET", "/api/v1/accounts/ALICE@example.com", "")
	if shown.Account != created {
		t.Errorf("shown %+v, want %+v", shown.Account, created)
	}
	if len(shown.Groups) != 1 || shown.Groups[0].ID != 0 || len(shown.Contacts) != 0 {
		t.Errorf("groups %v and contacts %v of a new account, want group 0 and nobody", shown.Groups, shown.Contacts)
	}
}

func TestAccountIsRefused(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	n.create("alice@example.com")
	if e := n.refused(http.StatusConflict, "POST", "/api/v1/accounts", `{"email":"alice@EXAMPLE.com","password":"other"}`); e.Reason != api.ReasonExists {
		t.Errorf("second account of one email: reason %q, want %q", e.Reason, api.ReasonExists)
	}
	for _, body := range []string{
		`{"email":"alice","password":"secret"}`,
		`{"email":"","password":"secret"}`,
		`{"email":"bob@example.com","password":""}`,
		`{"email":"bob@example.com","password":"secret","name":"` + strings.Repeat("x", 400) + `"}`,
		`{"email":"` + strings.Repeat("x", 130) + `@example.com","password":"secret"}`,
	} {
		if e := n.refused(http.StatusBadRequest, "POST", "/api/v1/accounts", body); e.Reason != api.ReasonInvalid {
			t.Errorf("%.80s: reason %q, want %q", body, e.Reason, api.ReasonInvalid)
		}
	}
	if page := want[api.AccountPage](n, http.StatusOK, "GET", "/api/v1/accounts", ""); len(page.Accounts) != 1 {
		t.Errorf("%d accounts after refusals, want 1", len(page.Accounts))
	}
}

func TestAccountsArePaged(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	var all []string
	for i := range 5 {
		all = append(all, fmt.Sprintf("user%d@example.com", i))
	}
	n.create(all...)
	var listed []string
	pages := 0
	for after := ""; ; pages++ {
		page := want[api.AccountPage](n, http.StatusOK, "GET", "/api/v1/accounts?limit=2&after="+after, "")
		for _, a := range page.Accounts {
			listed = append(listed, a.Email)
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if !slices.Equal(listed, all) || pages != 2 {
		t.Errorf("listed %v on %d further pages, want %v on 2", listed, pages, all)
	}
	for _, limit := range []string{"0", "1001", "-1", "x", "99999999999"} {
		n.refused(http.StatusBadRequest, "GET", "/api/v1/accounts?limit="+limit, "")
	}
}

func TestBatchOfAccounts(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	n.create("alice@example.com")
	result := want[api.BatchResult](n, http.StatusOK, "POST", "/api/v1/accounts/batch", `{"accounts":[
		{"email":"bob@example.com","password":"secret","name":"Bob"},
		{"email":"alice@example.com","password":"other"},
		{"email":"nobody","password":"secret"},
		{"email":"carol@example.com","password":"secret"}]}`)
	if result.Done != 2 || len(result.Errors) != 2 {
		t.Fatalf("result %+v, want 2 done and 2 refused", result)
	}
	slices.SortFunc(result.Errors, func(a, b api.RowError) int { return a.Row - b.Row })
	if e := result.Errors[0]; e.Row != 1 || e.Reason != api.ReasonExists || e.Error == "" {
		t.Errorf("first refused row %+v, want row 1 because it exists", e)
	}
	if e := result.Errors[1]; e.Row != 2 || e.Reason != api.ReasonInvalid || e.Error == "" {
		t.Errorf("second refused row %+v, want row 2 because it is invalid", e)
	}
	if bob := want[api.AccountDetail](n, http.StatusOK, "GET", "/api/v1/accounts/bob@example.com", ""); bob.Name != "Bob" {
		t.Errorf("name %q, want Bob", bob.Name)
	}
	if !n.login("bob@example.com", "secret") || n.login("alice@example.com", "other") {
		t.Error("a new account does not have the password of its row, or an old one was changed")
	}
}

func TestBatchIsBounded(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	rows := func(row string, count int) string { return strings.TrimSuffix(strings.Repeat(row+",", count), ",") }
	n.refused(http.StatusBadRequest, "POST", "/api/v1/accounts/batch", `{"accounts":[]}`)
	n.refused(http.StatusBadRequest, "POST", "/api/v1/accounts/batch", `{"accounts":[`+rows(`{"email":"a@b.c","password":"x"}`, 1001)+`]}`)
	n.refused(http.StatusBadRequest, "POST", "/api/v1/contacts/batch", `{"contacts":[]}`)
	n.refused(http.StatusBadRequest, "POST", "/api/v1/contacts/batch", `{"contacts":[`+rows(`{"owner":"a@b.c","contact":"d@e.f"}`, 1001)+`]}`)
	if result := want[api.BatchResult](n, http.StatusOK, "POST", "/api/v1/accounts/batch",
		`{"accounts":[`+rows(`{"email":"a@b.c","password":"x"}`, 1000)+`]}`); result.Done != 1 || len(result.Errors) != 999 {
		t.Errorf("a thousand times one account: %d done and %d refused, want 1 and 999", result.Done, len(result.Errors))
	}
}

func TestDisabledAccountLosesItsSession(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	n.create("alice@example.com", "bob@example.com")
	d := n.startNode("alice@example.com")

	change := want[api.Change](n, http.StatusOK, "POST", "/api/v1/accounts/Alice@example.com/disable", "")
	if change != (api.Change{Email: "alice@example.com", SessionClosed: true}) {
		t.Errorf("disable one who is online: %+v", change)
	}
	if c := n.next(d).GetClose(); c.GetEmail() != "alice@example.com" || c.GetEpoch() == 0 || c.GetCause() != clusterv1.Close_CAUSE_OPERATOR {
		t.Errorf("the node was sent %v, want the end of the session", c)
	}
	change = want[api.Change](n, http.StatusOK, "POST", "/api/v1/accounts/bob@example.com/disable", "")
	if change != (api.Change{Email: "bob@example.com"}) {
		t.Errorf("disable one who is offline: %+v", change)
	}
	change = want[api.Change](n, http.StatusOK, "POST", "/api/v1/accounts/alice@example.com/enable", "")
	if change != (api.Change{Email: "alice@example.com"}) {
		t.Errorf("enable: %+v", change)
	}
	n.settled(d)
	for email, disabled := range map[string]bool{"alice@example.com": false, "bob@example.com": true} {
		if a := want[api.AccountDetail](n, http.StatusOK, "GET", "/api/v1/accounts/"+email, ""); a.Disabled != disabled {
			t.Errorf("%s is disabled: %v, want %v", email, a.Disabled, disabled)
		}
		if n.login(email, "secret") == disabled {
			t.Errorf("%s may log in: %v, want %v", email, disabled, !disabled)
		}
	}
}

func TestDeletedAccountIsGoneEverywhere(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	n.create("alice@example.com", "bob@example.com", "carol@example.com")
	want[api.BatchResult](n, http.StatusOK, "POST", "/api/v1/contacts/batch",
		`{"contacts":[{"owner":"alice@example.com","contact":"bob@example.com"},{"owner":"carol@example.com","contact":"alice@example.com"}]}`)
	d := n.startNode("alice@example.com", "bob@example.com")

	change := want[api.Change](n, http.StatusOK, "DELETE", "/api/v1/accounts/alice@example.com", "")
	if change != (api.Change{Email: "alice@example.com", SessionClosed: true}) {
		t.Errorf("delete: %+v", change)
	}
	if c := n.next(d).GetClose(); c.GetEmail() != "alice@example.com" {
		t.Errorf("the node was sent %v, want the end of the session", c)
	}
	bob := want[api.AccountDetail](n, http.StatusOK, "GET", "/api/v1/accounts/bob@example.com", "")
	if l := n.next(d).GetListChanged(); l.GetEmail() != "bob@example.com" || !l.GetOther() || l.GetVersion() != bob.Version || l.GetBy() != "alice@example.com" {
		t.Errorf("the node was sent %v, want that the lists of bob changed to version %d", l, bob.Version)
	}
	n.settled(d)
	if len(bob.Contacts) != 0 {
		t.Errorf("bob still has %v", bob.Contacts)
	}
	for method, path := range map[string]string{
		"GET":    "/api/v1/accounts/alice@example.com",
		"DELETE": "/api/v1/accounts/alice@example.com",
		"POST":   "/api/v1/accounts/alice@example.com/disable",
	} {
		if e := n.refused(http.StatusNotFound, method, path, ""); e.Reason != api.ReasonNoSuchUser {
			t.Errorf("%s %s: reason %q, want %q", method, path, e.Reason, api.ReasonNoSuchUser)
		}
	}
}

func TestPasswordIsSet(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	n.create("alice@example.com")
	if !n.login("alice@example.com", "secret") {
		t.Error("the password of the creation does not let the user in")
	}
	if status, body := n.call("PUT", "/api/v1/accounts/alice@example.com/password", `{"password":"changed"}`); status != http.StatusNoContent || body != "" {
		t.Errorf("set password: status %d and %q, want 204 and nothing", status, body)
	}
	if n.login("alice@example.com", "secret") || !n.login("alice@example.com", "changed") {
		t.Error("the old password is still good, or the new one is not")
	}
	n.refused(http.StatusNotFound, "PUT", "/api/v1/accounts/bob@example.com/password", `{"password":"changed"}`)
	n.refused(http.StatusBadRequest, "PUT", "/api/v1/accounts/alice@example.com/password", `{"password":""}`)
}

func TestPathNeedsAnEmail(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	for method, path := range map[string]string{
		"DELETE": "/api/v1/accounts/alice",
		"POST":   "/api/v1/accounts/alice/disable",
		"GET":    "/api/v1/sessions/alice",
	} {
		n.refused(http.StatusBadRequest, method, path, "")
	}
}

// TestEditStandsWithoutRedis takes Redis away: accounts are still served, and
// whoever ends a session that way is warned that it may go on.
func TestEditStandsWithoutRedis(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	n.create("alice@example.com", "bob@example.com")
	n.redis.Close()
	change := want[api.Change](n, http.StatusOK, "POST", "/api/v1/accounts/alice@example.com/disable", "")
	if change.SessionClosed || change.Warning == "" {
		t.Errorf("disable without Redis: %+v, want a warning", change)
	}
	result := want[api.BatchResult](n, http.StatusOK, "POST", "/api/v1/contacts/batch",
		`{"contacts":[{"owner":"alice@example.com","contact":"bob@example.com"}]}`)
	if result.Done != 1 {
		t.Errorf("import without Redis: %+v, want it done", result)
	}
	n.refused(http.StatusServiceUnavailable, "GET", "/api/v1/sessions/alice@example.com", "")
	n.refused(http.StatusServiceUnavailable, "DELETE", "/api/v1/sessions/alice@example.com", "")
	if nodes := want[api.NodeList](n, http.StatusOK, "GET", "/api/v1/nodes", ""); len(nodes.Nodes) != 1 {
		t.Errorf("nodes without Redis: %v, want what was last seen", nodes.Nodes)
	}
}

// brokenAccounts fails in one way at everything.
type brokenAccounts struct {
	directoryv1.AccountsClient
	err error
}

func (b brokenAccounts) GetAccount(context.Context, *directoryv1.GetAccountRequest, ...grpc.CallOption) (*directoryv1.GetAccountResponse, error) {
	return nil, b.err
}

func TestFaultsOfTheDirectory(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want int
	}{
		{"it cannot be reached", status.Error(codes.Unavailable, "connection refused"), http.StatusServiceUnavailable},
		{"it takes too long", status.Error(codes.DeadlineExceeded, "too slow"), http.StatusGatewayTimeout},
		{"the wait for it took too long", context.DeadlineExceeded, http.StatusGatewayTimeout},
		{"it refuses the token", status.Error(codes.Unauthenticated, "wrong token"), http.StatusBadGateway},
		{"it broke", status.Error(codes.Internal, "disk full"), http.StatusBadGateway},
		{"something unheard of", errors.New("oh"), http.StatusBadGateway},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := startNetwork(t, Config{}, brokenAccounts{err: tt.err})
			e := n.refused(tt.want, "GET", "/api/v1/accounts/alice@example.com", "")
			cause := status.Convert(tt.err).Message()
			if strings.Contains(e.Error, cause) {
				t.Errorf("the client hears %q, which is for the log", e.Error)
			}
			if !strings.Contains(n.log.String(), cause) {
				t.Errorf("the log lacks %q:\n%s", cause, n.log)
			}
		})
	}
}
