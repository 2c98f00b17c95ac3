package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/monarch-msn/monarch/services/operator/api"
)

// importResult is what an import prints as JSON.
type importResult struct {
	Problems []problem `json:"problems"`
	tally
}

func TestTenThousandAccounts(t *testing.T) {
	n := startNetwork(t)
	const accounts = 10_000
	name := file(t, "email,password,name\n"+accountRows(0, accounts))
	r := n.done(n.ctl("user", "import", name))
	if want := "accounts: 10000 created, 0 already there, 0 rejected\n"; r.out != want {
		t.Errorf("printed %q, want %q and no progress, as this is no terminal", r.out, want)
	}
	list := asJSON[[]api.Account](t, n.done(n.ctl("user", "list", "--output", "json")))
	if len(list) != accounts {
		t.Fatalf("%d accounts, want %d", len(list), accounts)
	}
	for i, account := range list {
		email, friendly := fmt.Sprintf("user%05d@example.com", i), fmt.Sprintf("User %d", i)
		if account.Email != email || account.Name != friendly {
			t.Fatalf("account %d is %s %q, want %s %q", i, account.Email, account.Name, email, friendly)
		}
	}

	// Some of them once more: they are reported, in the order of the file, and
	// none is changed.
	const again = roundRows + 10
	r = n.ctl("user", "import", file(t, accountRows(0, again)), "--output", "json")
	second := asJSON[importResult](t, r)
	if r.status != exitFault || r.err != "" {
		t.Errorf("second import: status %d and %q, want 1 and nothing", r.status, r.err)
	}
	if want := (tally{Rows: again, Existing: again}); second.tally != want || len(second.Problems) != again {
		t.Errorf("second import: %+v and %d problems, want %+v and as many", second.tally, len(second.Problems), want)
	}
	for i, p := range second.Problems {
		if p.Line != i+1 || !p.Existing {
			t.Fatalf("problem %d is %+v, want line %d, there already", i, p, i+1)
		}
	}
}

func TestRejectedAccounts(t *testing.T) {
	n := startNetwork(t)
	n.create("alice@example.com")
	name := file(t, strings.Join([]string{
		"\uFEFFEmail,Password,Name",
		"bob@example.com,secret,Bob",
		"alice@example.com,other,Not Alice",
		"",
		`carol@example.com,"pass,""word""","Carol, the ""third"""`,
		`dave@example.com,"secret`,
		"eve,secret,Eve",
		"frank@example.com",
		"grace@example.com,,Grace",
		",secret,Nobody",
		"heidi@example.com,secret,Heidi,Holm",
		"bob@EXAMPLE.com,again,Second Bob",
		"ivan@example.com,secret",
	}, "\r\n"))
	r := n.ctl("user", "import", name)
	if r.status != exitFault {
		t.Errorf("status %d, want 1", r.status)
	}
	if want := "accounts: 3 created, 2 already there, 6 rejected\n"; r.out != want {
		t.Errorf("printed %q, want %q", r.out, want)
	}
	wantErr := strings.Join([]string{
		"line 3: the account alice@example.com exists already",
		"line 6: a quoted field has no end",
		`line 7: email "eve" is not an address like name@example.com`,
		"line 8: frank@example.com: there is one field where email,password,name is wanted",
		"line 9: grace@example.com: the password is empty",
		"line 10: the email is empty",
		"line 11: heidi@example.com: there are 4 fields where email,password,name is wanted (put a field that holds a comma in quotes)",
		"line 12: the account bob@example.com exists already",
		"",
	}, "\n")
	if diff := gocmp.Diff(wantErr, r.err); diff != "" {
		t.Errorf("standard error (-want +got):\n%s", diff)
	}
	names := map[string]string{}
	for _, a := range asJSON[[]api.Account](t, n.done(n.ctl("user", "list", "--output", "json"))) {
		names[a.Email] = a.Name
	}
	if diff := gocmp.Diff(map[string]string{
		"alice@example.com": "alice@example.com",
		"bob@example.com":   "Bob",
		"carol@example.com": `Carol, the "third"`,
		"ivan@example.com":  "ivan@example.com",
	}, names); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
}

func TestImportFromStandardInput(t *testing.T) {
	n := startNetwork(t)
	if r := n.done(n.ctlWith("alice@example.com,secret,Alice\n", "user", "import", "-")); r.out != "accounts: 1 created, 0 already there, 0 rejected\n" {
		t.Errorf("printed %q", r.out)
	}
	r := n.done(n.ctlWith("", "user", "import", "-", "--output", "json"))
	if want := `{"problems":[],"rows":0,"done":0,"existing":0,"rejected":0}` + "\n"; r.out != want {
		t.Errorf("nothing imported printed %q, want %q", r.out, want)
	}
}

func TestContactsAreImported(t *testing.T) {
	n := startNetwork(t)
	n.create("alice@example.com", "bob@example.com", "carol@example.com")
	name := file(t, strings.Join([]string{
		"owner,contact,group",
		"alice@example.com,bob@example.com",
		`alice@example.com,carol@example.com,"Friends, old"`,
		"alice@example.com,nobody@example.com",
		"alice@example.com,bob@example.com",
		"alice@example.com",
		",bob@example.com",
		"bob@example.com,alice@example.com,Work",
	}, "\n"))
	r := n.ctl("contact", "import", name, "--output", "json")
	got := asJSON[importResult](t, r)
	if want := (tally{Rows: 7, Done: 3, Existing: 1, Rejected: 3}); r.status != exitFault || got.tally != want {
		t.Errorf("status %d and %+v, want 1 and %+v", r.status, got.tally, want)
	}
	var lines []int
	for _, p := range got.Problems {
		if p.Error == "" {
			t.Errorf("line %d has no reason", p.Line)
		}
		lines = append(lines, p.Line)
	}
	if diff := gocmp.Diff([]int{4, 5, 6, 7}, lines); diff != "" {
		t.Errorf("lines with problems (-want +got):\n%s", diff)
	}
	alice := asJSON[api.AccountDetail](t, n.done(n.ctl("user", "show", "alice@example.com", "--output", "json")))
	want := []api.Contact{
		{Email: "bob@example.com", Name: "bob@example.com", Lists: []string{"FL", "AL", "RL"}, Groups: []uint32{0}},
		{Email: "carol@example.com", Name: "carol@example.com", Lists: []string{"FL", "AL"}, Groups: []uint32{1}},
	}
	if diff := gocmp.Diff(want, alice.Contacts); diff != "" {
		t.Errorf("contacts of alice (-want +got):\n%s", diff)
	}
}

// TestOneOwnersRowsStayInOrder imports rows of one owner among those of many:
// groups get their ids in the order of the file.
func TestOneOwnersRowsStayInOrder(t *testing.T) {
	n := startNetwork(t)
	const users = 20
	n.done(n.ctl("user", "import", file(t, accountRows(0, users))))
	var rows strings.Builder
	for i := 1; i < 30; i++ {
		for owner := range users {
			fmt.Fprintf(&rows, "user%05d@example.com,user%05d@example.com,Group %d\n", owner, (owner+i)%users, i)
		}
	}
	n.done(n.ctl("contact", "import", file(t, rows.String())))
	for _, owner := range []string{"user00000@example.com", "user00019@example.com"} {
		detail := asJSON[api.AccountDetail](t, n.done(n.ctl("user", "show", owner, "--output", "json")))
		if len(detail.Groups) != 30 {
			t.Fatalf("%s has %d groups, want 30", owner, len(detail.Groups))
		}
		for i, g := range detail.Groups[1:] {
			if want := (api.Group{ID: uint32(i + 1), Name: fmt.Sprintf("Group %d", i+1)}); g != want {
				t.Errorf("group of %s is %+v, want %+v", owner, g, want)
			}
		}
	}
}

// TestImportBreaksOff loses the operator in the midst of an import.
func TestImportBreaksOff(t *testing.T) {
	n := startNetwork(t)
	var requests atomic.Int32
	flaky := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) > importers {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"error":"the directory cannot be reached"}`))
			return
		}
		n.operator.ServeHTTP(w, r)
	}))
	defer flaky.Close()
	r := ctl("", "--server", flaky.URL, "--token-file", n.tokenFile, "user", "import", file(t, accountRows(0, 2*roundRows)))
	if r.status != exitFault {
		t.Errorf("status %d, want 1", r.status)
	}
	wantErr := "monarchctl: import accounts: the directory cannot be reached; every line up to 2000 has been seen to, " +
		"later ones may have been: import the file again, what is there already will not be changed\n"
	if r.err != wantErr {
		t.Errorf("standard error %q, want %q", r.err, wantErr)
	}
	if want := "accounts: 2000 created, 0 already there, 0 rejected\n"; r.out != want {
		t.Errorf("printed %q, want %q", r.out, want)
	}
}

// TestBatchesAreBounded watches what goes over the wire.
func TestBatchesAreBounded(t *testing.T) {
	n := startNetwork(t)
	var mu sync.Mutex
	underWay, most, largest := 0, 0, 0
	watched := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		underWay++
		most = max(most, underWay)
		mu.Unlock()
		defer func() {
			mu.Lock()
			underWay--
			mu.Unlock()
		}()
		var batch api.ContactBatch
		if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
			t.Error(err)
		}
		mu.Lock()
		largest = max(largest, len(batch.Contacts))
		mu.Unlock()
		_ = json.NewEncoder(w).Encode(api.BatchResult{Done: len(batch.Contacts)})
	}))
	defer watched.Close()
	// All rows are of one owner, and so all are for one sender.
	r := ctl("", "--server", watched.URL, "--token-file", n.tokenFile, "contact", "import",
		file(t, strings.Repeat("alice@example.com,bob@example.com\n", 2*roundRows+1)))
	if want := fmt.Sprintf("contacts: %d added, 0 already there, 0 rejected\n", 2*roundRows+1); r.out != want {
		t.Errorf("printed %q, want %q", r.out, want)
	}
	if largest > api.MaxRows || most > importers {
		t.Errorf("batches of up to %d rows, %d at once, want at most %d and %d", largest, most, api.MaxRows, importers)
	}
}
