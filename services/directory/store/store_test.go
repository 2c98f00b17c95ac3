package store

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/monarch-msn/monarch/msnp"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// eachEngine runs a test against an empty SQLite database, and an empty schema
// of the PostgreSQL database that MONARCH_TEST_POSTGRES names.
func eachEngine(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, sqliteURL(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, postgresURL(t))
	})
}

func sqliteURL(t testing.TB) string {
	return "sqlite://" + filepath.Join(t.TempDir(), "monarch.db")
}

func postgresURL(t testing.TB) string {
	text := os.Getenv("MONARCH_TEST_POSTGRES")
	if text == "" {
		t.Skip("MONARCH_TEST_POSTGRES is not set")
	}
	db, err := sql.Open("pgx", text)
	if err != nil {
		t.Fatal(err)
	}
	schema := "test_" + strings.ToLower(rand.Text())
	if _, err := db.Exec("CREATE SCHEMA " + schema); err != nil {
		t.Fatalf("create a schema: %v", err)
	}
	t.Cleanup(func() {
		if _, err := db.Exec("DROP SCHEMA " + schema + " CASCADE"); err != nil {
			t.Errorf("drop the schema: %v", err)
		}
		db.Close()
	})
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

// open opens a database without looking at it.
func openAt(t testing.TB, url string) *Store {
	t.Helper()
	s, err := Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// ready returns a store that is ready for everything.
func ready(t testing.TB, url string) *Store {
	t.Helper()
	s := openAt(t, url)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Unlock(t.Context(), filepath.Join(t.TempDir(), "keys")); err != nil {
		t.Fatal(err)
	}
	return s
}

// limits are small enough to be reached.
var limits = Limits{Forward: 3, Allow: 3, Block: 2, Reverse: 4, Groups: 4}

// address makes a short name an email.
func address(name string) string { return name + "@example.com" }

// nickOf is the friendly name that signUp gives.
func nickOf(name string) string { return strings.ToUpper(name) }

// signUp creates accounts, whose password is their name.
func signUp(t testing.TB, s *Store, names ...string) {
	t.Helper()
	for chunk := range 1 + (len(names)-1)/1000 {
		var accounts []NewAccount
		for _, name := range names[chunk*1000 : min(len(names), chunk*1000+1000)] {
			accounts = append(accounts, NewAccount{Email: address(name), Password: name, Name: nickOf(name), Verified: true})
		}
		taken, err := s.CreateAccounts(t.Context(), accounts)
		if err != nil || len(taken) > 0 {
			t.Fatalf("create accounts: %v, taken %v", err, taken)
		}
	}
}

// answerTo is what a client sends to a challenge.
func answerTo(challenge, password string) []byte {
	sum := md5.Sum([]byte(challenge + password))
	return sum[:]
}

// reasonOf returns why err refused; any other error ends the test.
func reasonOf(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("want success or a refusal, got %v", err)
	}
	if refusal.Message == "" {
		t.Errorf("the refusal %v says nothing", refusal.Reason)
	}
	return strings.TrimPrefix(refusal.Reason.String(), "REASON_")
}

// version reads a list version.
func version(t testing.TB, s *Store, name string) uint32 {
	t.Helper()
	versions, err := s.Versions(t.Context(), []string{address(name)})
	if err != nil {
		t.Fatal(err)
	}
	return versions[address(name)]
}

func snapshotOf(t testing.TB, s *Store, name string) *directoryv1.Snapshot {
	t.Helper()
	snapshot, err := s.Snapshot(t.Context(), address(name))
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

// listsOf puts what a snapshot says of groups and members in a line, such as
// "0:Other%20Contacts | bob FL=Bob{0,2} RL=BOB; carol AL=C".
func listsOf(s *directoryv1.Snapshot) string {
	var groups, members []string
	for _, g := range s.GetGroups() {
		groups = append(groups, fmt.Sprintf("%d:%s", g.GetId(), g.GetName()))
	}
	for _, m := range s.GetMembers() {
		text := strings.TrimSuffix(m.GetEmail(), "@example.com")
		on := msnp.List(m.GetLists())
		if on.Has(msnp.FL) {
			text += " FL=" + m.GetForwardName() + "{" + groupIDs(m.GetGroups()) + "}"
		}
		if on.Has(msnp.AL) {
			text += " AL=" + m.GetAllowName()
		}
		if on.Has(msnp.BL) {
			text += " BL=" + m.GetBlockName()
		}
		if on.Has(msnp.RL) {
			text += " RL=" + m.GetFriendly()
		}
		if p := m.GetPhones(); p != nil {
			text += fmt.Sprintf(" phones=%s,%s,%s,%t", p.GetHome(), p.GetWork(), p.GetMobile(), p.GetPage())
		}
		members = append(members, text)
	}
	return strings.Join(groups, " ") + " | " + strings.Join(members, "; ")
}

func groupIDs(set uint32) string {
	var ids []string
	for id := range uint32(32) {
		if msnp.GroupSet(set).Has(id) {
			ids = append(ids, fmt.Sprint(id))
		}
	}
	return strings.Join(ids, ",")
}

// A person edits lists; each edit names the version that the person has.
type person struct {
	t    testing.TB
	s    *Store
	name string
}

func (p person) edit() *directoryv1.Edit {
	return &directoryv1.Edit{Email: address(p.name), Version: version(p.t, p.s, p.name)}
}

const (
	fl = directoryv1.List_LIST_FORWARD
	al = directoryv1.List_LIST_ALLOW
	bl = directoryv1.List_LIST_BLOCK
)

func (p person) add(x directoryv1.List, member, name string, group ...uint32) (*directoryv1.EditResponse, error) {
	r := &directoryv1.AddMemberRequest{Edit: p.edit(), List: x, Member: address(member), Name: name}
	if len(group) > 0 {
		r.Group = &group[0]
	}
	return p.s.AddMember(p.ctx(), limits, r)
}

func (p person) remove(x directoryv1.List, member string, group ...uint32) (*directoryv1.EditResponse, error) {
	r := &directoryv1.RemoveMemberRequest{Edit: p.edit(), List: x, Member: address(member)}
	if len(group) > 0 {
		r.Group = &group[0]
	}
	return p.s.RemoveMember(p.ctx(), r)
}

func (p person) rename(member, name string) (*directoryv1.EditResponse, error) {
	return p.s.Rename(p.ctx(), &directoryv1.RenameRequest{Edit: p.edit(), Member: address(member), Name: name})
}

func (p person) addGroup(name string) (*directoryv1.EditResponse, error) {
	return p.s.AddGroup(p.ctx(), limits, &directoryv1.AddGroupRequest{Edit: p.edit(), Name: name})
}

func (p person) renameGroup(id uint32, name string) (*directoryv1.EditResponse, error) {
	return p.s.RenameGroup(p.ctx(), &directoryv1.RenameGroupRequest{Edit: p.edit(), GroupId: id, Name: name})
}

func (p person) removeGroup(id uint32, keep bool) (*directoryv1.EditResponse, error) {
	return p.s.RemoveGroup(p.ctx(), &directoryv1.RemoveGroupRequest{Edit: p.edit(), GroupId: id, KeepMembers: keep})
}

func (p person) setGTC(ask bool) (*directoryv1.EditResponse, error) {
	return p.s.SetPrivacy(p.ctx(), &directoryv1.SetPrivacyRequest{Edit: p.edit(), Setting: &directoryv1.SetPrivacyRequest_GtcAsk{GtcAsk: ask}})
}

func (p person) setBLP(allow bool) (*directoryv1.EditResponse, error) {
	return p.s.SetPrivacy(p.ctx(), &directoryv1.SetPrivacyRequest{Edit: p.edit(), Setting: &directoryv1.SetPrivacyRequest_BlpAllow{BlpAllow: allow}})
}

func (p person) setPhone(key, value string) (*directoryv1.EditResponse, error) {
	return p.s.SetPhone(p.ctx(), &directoryv1.SetPhoneRequest{Edit: p.edit(), Key: key, Value: value})
}

func (p person) ctx() context.Context { return p.t.Context() }
