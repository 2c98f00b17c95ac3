package operator

import (
	"net/http"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/monarch-msn/monarch/services/operator/api"
)

func TestContactsAreImportedAndTold(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	n.create("alice@example.com", "bob@example.com", "carol@example.com")
	d := n.startNode("alice@example.com", "bob@example.com")

	result := want[api.BatchResult](n, http.StatusOK, "POST", "/api/v1/contacts/batch", `{"contacts":[
		{"owner":"alice@example.com","contact":"bob@example.com"},
		{"owner":"alice@example.com","contact":"carol@example.com","group":"Old Friends"},
		{"owner":"alice@example.com","contact":"nobody@example.com"},
		{"owner":"alice@example.com","contact":"bob@example.com"}]}`)
	if result.Done != 2 || len(result.Errors) != 2 {
		t.Fatalf("result %+v, want 2 done and 2 refused", result)
	}
	if e := result.Errors[0]; e.Row != 2 || e.Reason != api.ReasonNoSuchUser {
		t.Errorf("first refused row %+v, want row 2 for want of the user", e)
	}
	if e := result.Errors[1]; e.Row != 3 || e.Reason != api.ReasonAlreadyThere {
		t.Errorf("second refused row %+v, want row 3 because it is there", e)
	}

	alice := want[api.AccountDetail](n, http.StatusOK, "GET", "/api/v1/accounts/alice@example.com", "")
	bob := want[api.AccountDetail](n, http.StatusOK, "GET", "/api/v1/accounts/bob@example.com", "")
	wantContacts := []api.Contact{
		{Email: "bob@example.com", Name: "bob@example.com", Lists: []string{"FL", "AL"}, Groups: []uint32{0}},
		{Email: "carol@example.com", Name: "carol@example.com", Lists: []string{"FL", "AL"}, Groups: []uint32{1}},
	}
	if diff := gocmp.Diff(wantContacts, alice.Contacts); diff != "" {
		t.Errorf("contacts of alice (-want +got):\n%s", diff)
	}
	if len(alice.Groups) != 2 || alice.Groups[1] != (api.Group{ID: 1, Name: "Old Friends"}) {
		t.Errorf("groups of alice %v, want a second one, Old Friends", alice.Groups)
	}
	if diff := gocmp.Diff([]api.Contact{{Email: "alice@example.com", Name: "alice@example.com", Lists: []string{"RL"}, Groups: []uint32{}}}, bob.Contacts); diff != "" {
		t.Errorf("contacts of bob (-want +got):\n%s", diff)
	}

	// The two who are online hear of it, with the version that now stands.
	told := map[string]uint32{}
	for range 2 {
		l := n.next(d).GetListChanged()
		if !l.GetOther() {
			t.Errorf("the node was sent %v, want a change of lists", l)
		}
		told[l.GetEmail()] = l.GetVersion()
	}
	if diff := gocmp.Diff(map[string]uint32{alice.Email: alice.Version, bob.Email: bob.Version}, told); diff != "" {
		t.Errorf("versions told (-want +got):\n%s", diff)
	}
	n.settled(d)
}
