package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/monarch-msn/monarch/msnp"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

func TestCreateAccounts(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		s := ready(t, url)
		signUp(t, s, "bob")
		taken, err := s.CreateAccounts(t.Context(), []NewAccount{
			{Email: address("alice"), Password: "1", Name: "Alice", Verified: true},
			{Email: address("bob"), Password: "2", Name: "Other", Verified: true},
			{Email: address("carol"), Password: "3", Name: "Carol"},
			{Email: address("alice"), Password: "4", Name: "Again", Verified: true},
		})
		if err != nil || !slices.Equal(taken, []int{1, 3}) {
			t.Fatalf("want rows 1 and 3 taken, got %v, %v", taken, err)
		}
		alice, lists, err := s.Account(t.Context(), address("alice"))
		if err != nil {
			t.Fatal(err)
		}
		if alice.GetName() != "Alice" || alice.GetVersion() != 1 || !alice.GetVerified() || alice.GetDisabled() || alice.GetCreated() == 0 {
			t.Errorf("alice is %v", alice)
		}
		if got := listsOf(lists); got != "0:Other%20Contacts | " {
			t.Errorf("alice begins with %s", got)
		}
		if !lists.GetGtcAsk() || !lists.GetBlpAllow() || lists.GetPhones() != nil || lists.GetMobileDevice() {
			t.Errorf("alice begins with %v", lists)
		}
		if bob := snapshotOf(t, s, "bob"); bob.GetName() != "BOB" {
			t.Errorf("an account that existed was changed: %v", bob)
		}
		if carol := snapshotOf(t, s, "carol"); carol.GetVerified() {
			t.Error("carol counts as verified")
		}
		for _, name := range []string{"alice", "bob"} {
			password := map[string]string{"alice": "1", "bob": "bob"}[name]
			if _, err := s.Login(t.Context(), address(name), "1.2", answerTo("1.2", password)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := s.CreateAccounts(t.Context(), nil); err != nil {
			t.Errorf("no accounts at all: %v", err)
		}
	})
}

func TestThousandsOfAccountsInPages(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		s := ready(t, url)
		const all = 10_000
		names := make([]string, all)
		for i := range names {
			names[i] = fmt.Sprintf("user-%d", i)
		}
		// The hyphen, the underscore and the digits sort by byte everywhere.
		names[1], names[2] = "user_1", "user1"
		signUp(t, s, names...)
		want := make([]string, all)
		for i, name := range names {
			want[i] = address(name)
		}
		slices.Sort(want)
		var got []string
		after := ""
		for {
			page, err := s.Accounts(t.Context(), after, 999)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range page {
				got = append(got, a.GetEmail())
			}
			if len(page) < 999 {
				break
			}
			after = page[len(page)-1].GetEmail()
		}
		if !slices.Equal(got, want) {
			t.Errorf("want %d accounts in order, got %d", len(want), len(got))
		}
		ids, err := column[int64](t.Context(), s.read, `SELECT COUNT(DISTINCT id) FROM users`)
		if err != nil || ids[0] != all {
			t.Errorf("ids: %v, %v", ids, err)
		}
	})
}

func TestDeletingAnAccount(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		s := ready(t, url)
		signUp(t, s, "alice", "bob", "carol", "dave", "erin", "fred")
		for _, step := range []error{
			second(person{t, s, "bob"}.add(fl, "alice", "")),
			second(person{t, s, "alice"}.add(fl, "carol", "")),
			second(person{t, s, "dave"}.add(bl, "alice", "")),
			second(person{t, s, "alice"}.add(al, "erin", "")),
			second(person{t, s, "alice"}.add(fl, "alice", "")),
		} {
			if step != nil {
				t.Fatal(step)
			}
		}
		before := map[string]uint32{}
		for _, name := range []string{"bob", "carol", "dave", "erin", "fred"} {
			before[name] = version(t, s, name)
		}
		touched, err := s.DeleteAccount(t.Context(), address("alice"))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, u := range touched {
			got = append(got, u.GetEmail())
		}
		if want := []string{address("bob"), address("carol"), address("dave")}; !slices.Equal(got, want) {
			t.Errorf("want %v touched in order of their ids, got %v", want, got)
		}
		for name, was := range before {
			want := was
			if slices.Contains(got, address(name)) {
				want++
			}
			if v := version(t, s, name); v != want {
				t.Errorf("%s: want version %d, got %d", name, want, v)
			}
			if lists := listsOf(snapshotOf(t, s, name)); strings.Contains(lists, "alice") {
				t.Errorf("%s still has %s", name, lists)
			}
		}
		for _, query := range []string{
			`SELECT COUNT(*) FROM members`, `SELECT COUNT(*) FROM contact_groups WHERE owner_id = 1`,
		} {
			if n, err := column[int](t.Context(), s.read, query); err != nil || n[0] != 0 {
				t.Errorf("%s: %v, %v", query, n, err)
			}
		}
		if _, err := s.DeleteAccount(t.Context(), address("alice")); reasonOf(t, err) != "NO_SUCH_USER" {
			t.Errorf("deleting twice: %v", err)
		}
		if _, err := s.Login(t.Context(), address("alice"), "1.2", answerTo("1.2", "alice")); reasonOf(t, err) != "AUTHENTICATION" {
			t.Errorf("login: %v", err)
		}
		signUp(t, s, "alice")
		if got := listsOf(snapshotOf(t, s, "alice")); got != "0:Other%20Contacts | " {
			t.Errorf("the next account of that name begins with %s", got)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestAccountsThatDoNotExist(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		s := ready(t, url)
		for name, err := range map[string]error{
			"SetPassword": s.SetPassword(t.Context(), address("nobody"), "x"),
			"SetDisabled": s.SetDisabled(t.Context(), address("nobody"), true),
			"Snapshot":    second(s.Snapshot(t.Context(), address("nobody"))),
		} {
			var refusal *Refusal
			if !errors.As(err, &refusal) || refusal.Reason != directoryv1.Reason_REASON_NO_SUCH_USER {
				t.Errorf("%s: want NO_SUCH_USER, got %v", name, err)
			}
		}
	})
}

func TestVersions(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		s := ready(t, url)
		var names, emails []string
		for i := range 1000 {
			names = append(names, fmt.Sprintf("user%d", i))
			emails = append(emails, address(names[i]))
		}
		signUp(t, s, names...)
		if err := second((person{t, s, names[3]}).addGroup("A")); err != nil {
			t.Fatal(err)
		}
		versions, err := s.Versions(t.Context(), append(emails[:999], address("nobody")))
		if err != nil {
			t.Fatal(err)
		}
		if len(versions) != 999 || versions[address(names[3])] != 2 || versions[address(names[4])] != 1 {
			t.Errorf("got %d versions, %d and %d", len(versions), versions[address(names[3])], versions[address(names[4])])
		}
		if err := s.SetDisabled(t.Context(), address(names[3]), true); err != nil {
			t.Fatal(err)
		}
		if versions, err := s.Versions(t.Context(), emails[3:5]); err != nil || len(versions) != 1 || versions[address(names[4])] != 1 {
			t.Errorf("with one disabled: %v, %v", versions, err)
		}
		if versions, err := s.Versions(t.Context(), nil); err != nil || len(versions) != 0 {
			t.Errorf("of nobody: %v, %v", versions, err)
		}
	})
}

func TestImportContacts(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		s := ready(t, url)
		signUp(t, s, "alice", "bob", "carol", "dave", "erin")
		alice, carol := person{t, s, "alice"}, person{t, s, "carol"}
		for _, err := range []error{
			second(alice.add(fl, "dave", "Dave")),
			second(carol.add(bl, "bob", "")),
			second(alice.addGroup("Old%20friends")),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		row := func(owner, contact, group string) *directoryv1.NewContact {
			return &directoryv1.NewContact{Owner: address(owner), Contact: address(contact), Group: group}
		}
		before := map[string]uint32{}
		for _, name := range []string{"alice", "bob", "carol", "dave", "erin"} {
			before[name] = version(t, s, name)
		}
		answer, err := s.ImportContacts(t.Context(), limits, []*directoryv1.NewContact{
			0:  row("alice", "bob", "Old friends"), // a group there is
			1:  row("alice", "carol", "Zoo"),       // a group there is not
			2:  row("alice", "nobody", ""),
			3:  row("nobody", "alice", ""),
			4:  row("alice", "dave", ""),   // FL is there, AL is not
			5:  row("alice", "dave", ""),   // now both are
			6:  row("carol", "bob", "New"), // blocked: no group either
			7:  row("alice", "erin", ""),   // a fourth on FL
			8:  row("alice", "dave", "Zoo"),
			9:  row("bob", "bob", ""),
			10: row("bob", "alice", "Other Contacts"),
			11: row("erin", "alice", "A"),
			12: row("erin", "bob", "B"),
			13: row("erin", "carol", "C"),
			14: row("erin", "carol", "D"), // a fifth group
		})
		if err != nil {
			t.Fatal(err)
		}
		var refused []string
		for _, e := range answer.GetErrors() {
			refused = append(refused, fmt.Sprintf("%d %s", e.GetRow(), strings.TrimPrefix(e.GetReason().String(), "REASON_")))
			if e.GetMessage() == "" {
				t.Errorf("row %d: no message", e.GetRow())
			}
		}
		want := []string{"2 NO_SUCH_USER", "3 NO_SUCH_USER", "5 ALREADY_THERE", "6 OPPOSITE_LIST", "7 LIST_FULL", "14 TOO_MANY_GROUPS"}
		if !slices.Equal(refused, want) || answer.GetImported() != 15-6 {
			t.Errorf("want %v refused, got %v; imported %d", want, refused, answer.GetImported())
		}
		for name, want := range map[string]string{
			"alice": "0:Other%20Contacts 1:Old%20friends 2:Zoo | bob FL=BOB{1} AL=BOB RL=BOB; carol FL=CAROL{2} AL=CAROL; dave FL=Dave{0,2} AL=DAVE; erin RL=ERIN",
			"bob":   "0:Other%20Contacts | alice FL=ALICE{0} AL=ALICE RL=ALICE; bob FL=BOB{0} AL=BOB RL=BOB; erin RL=ERIN",
			"carol": "0:Other%20Contacts | alice RL=ALICE; bob BL=bob@example.com; erin RL=ERIN",
			"dave":  "0:Other%20Contacts | alice RL=ALICE",
			"erin":  "0:Other%20Contacts 1:A 2:B 3:C | alice FL=ALICE{1} AL=ALICE; bob FL=BOB{2} AL=BOB; carol FL=CAROL{3} AL=CAROL",
		} {
			if got := listsOf(snapshotOf(t, s, name)); got != want {
				t.Errorf("%s has\n%s, want\n%s", name, got, want)
			}
		}
		touched := map[string]uint32{}
		for _, u := range answer.GetTouched() {
			touched[strings.TrimSuffix(u.GetEmail(), "@example.com")] = u.GetVersion()
		}
		for name, was := range before {
			want := was + 1
			if name == "dave" { // was on alice's FL before
				want = was
			}
			if got := version(t, s, name); got != want || want != was && touched[name] != want {
				t.Errorf("%s: want version %d, got %d, told %d", name, want, got, touched[name])
			}
		}
		if _, told := touched["dave"]; told {
			t.Error("dave counts as touched")
		}
	})
}

func TestImportKeepsToTheReverseLimit(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		s := ready(t, url)
		signUp(t, s, "star", "a", "b", "c", "d", "e")
		var rows []*directoryv1.NewContact
		for _, owner := range []string{"a", "b", "c", "d", "e"} {
			rows = append(rows, &directoryv1.NewContact{Owner: address(owner), Contact: address("star")})
		}
		answer, err := s.ImportContacts(t.Context(), limits, rows)
		if err != nil {
			t.Fatal(err)
		}
		if got := answer.GetErrors(); len(got) != 1 || got[0].GetRow() != 4 || got[0].GetReason() != directoryv1.Reason_REASON_LIST_FULL {
			t.Errorf("want the fifth row refused, got %v", got)
		}
		if v := version(t, s, "star"); v != 2 {
			t.Errorf("one import raised the version to %d", v)
		}
		if n := len(snapshotOf(t, s, "star").GetMembers()); n != limits.Reverse {
			t.Errorf("want %d on RL, got %d", limits.Reverse, n)
		}
	})
}

func TestASnapshotShowsEverythingOnceAtOneVersion(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		s := ready(t, url)
		signUp(t, s, "alice", "bob")
		alice := person{t, s, "alice"}
		for _, err := range []error{
			second(alice.setPhone("PHH", "1")), second(alice.setPhone("PHW", "2")), second(alice.setPhone("PHM", "3")),
			second(alice.setPhone("MBE", "Y")), second(alice.setPhone("MOB", "Y")),
			second(alice.setGTC(false)), second(alice.setBLP(false)),
			second(alice.add(fl, "bob", "")), second(alice.add(al, "bob", "Bob")),
			second(person{t, s, "bob"}.add(fl, "alice", "")),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		got := snapshotOf(t, s, "alice")
		if got.GetVersion() != 11 || got.GetName() != "ALICE" || got.GetUserId() == 0 || !got.GetVerified() {
			t.Errorf("user: %v", got)
		}
		if got.GetGtcAsk() || got.GetBlpAllow() || !got.GetMobileDevice() {
			t.Errorf("settings: %v", got)
		}
		if p := got.GetPhones(); p.GetHome() != "1" || p.GetWork() != "2" || p.GetMobile() != "3" || !p.GetPage() {
			t.Errorf("phones: %v", p)
		}
		if m := got.GetMembers(); len(m) != 1 || msnp.List(m[0].GetLists()) != msnp.FL|msnp.AL|msnp.RL {
			t.Errorf("members: %v", m)
		}
	})
}
