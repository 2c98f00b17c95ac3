package store

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// An edit whose answer was lost comes again, with the same id. It is made once,
// and answered twice the same, also when the second comes while the first is
// under way.
func TestAnEditThatComesAgainIsMadeOnce(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		s := ready(t, url)
		signUp(t, s, "bob")
		for name, do := range map[string]func(p person, e *directoryv1.Edit) (*directoryv1.EditResponse, error){
			"AddMember": func(p person, e *directoryv1.Edit) (*directoryv1.EditResponse, error) {
				return s.AddMember(p.ctx(), limits, &directoryv1.AddMemberRequest{Edit: e, List: fl, Member: address("bob"), Name: "Bob"})
			},
			"RemoveMember": func(p person, e *directoryv1.Edit) (*directoryv1.EditResponse, error) {
				return s.RemoveMember(p.ctx(), &directoryv1.RemoveMemberRequest{Edit: e, List: fl, Member: address("carolremovemember")})
			},
			"Rename": func(p person, e *directoryv1.Edit) (*directoryv1.EditResponse, error) {
				return s.Rename(p.ctx(), &directoryv1.RenameRequest{Edit: e, Member: address(p.name), Name: "New"})
			},
			"AddGroup": func(p person, e *directoryv1.Edit) (*directoryv1.EditResponse, error) {
				return s.AddGroup(p.ctx(), limits, &directoryv1.AddGroupRequest{Edit: e, Name: "Friends"})
			},
			"RemoveGroup": func(p person, e *directoryv1.Edit) (*directoryv1.EditResponse, error) {
				return s.RemoveGroup(p.ctx(), &directoryv1.RemoveGroupRequest{Edit: e, GroupId: 1})
			},
			"SetPrivacy": func(p person, e *directoryv1.Edit) (*directoryv1.EditResponse, error) {
				return s.SetPrivacy(p.ctx(), &directoryv1.SetPrivacyRequest{Edit: e, Setting: &directoryv1.SetPrivacyRequest_BlpAllow{BlpAllow: false}})
			},
		} {
			t.Run(name, func(t *testing.T) {
				p := person{t, s, "alice" + strings.ToLower(name)}
				signUp(t, s, p.name, "carol"+strings.ToLower(name))
				if _, err := p.add(fl, "carol"+strings.ToLower(name), "Carol"); err != nil {
					t.Fatal(err)
				}
				if _, err := p.addGroup("First"); err != nil {
					t.Fatal(err)
				}
				e := p.edit()
				e.Id = []byte(name)
				const times = 4
				var answers [times]*directoryv1.EditResponse
				var group sync.WaitGroup
				for i := range times {
					group.Go(func() {
						answer, err := do(p, proto.CloneOf(e))
						if err != nil {
							t.Errorf("the %d. time: %v", i+1, err)
						}
						answers[i] = answer
					})
				}
				group.Wait()
				for _, answer := range answers {
					if !proto.Equal(answer, answers[0]) {
						t.Errorf("answered %v and %v", answers[0], answer)
					}
				}
				if got := version(t, s, p.name); got != e.GetVersion()+1 {
					t.Errorf("version %d after %d", got, e.GetVersion())
				}
			})
		}
	})
}

// What refuses an edit may be the edit itself, made before. Where that cannot be
// found out its outcome is unknown, which is no refusal.
func TestAnEditIsNotRefusedWhereItMayHaveBeenMade(t *testing.T) {
	s := ready(t, sqliteURL(t))
	signUp(t, s, "alice", "bob")
	alice := person{t, s, "alice"}
	if _, err := alice.add(fl, "bob", "Bob"); err != nil {
		t.Fatal(err)
	}
	add := &directoryv1.AddMemberRequest{Edit: alice.edit(), List: fl, Member: address("bob"), Name: "Bob"}
	add.Edit.Id = []byte("another")
	var refusal *Refusal
	if _, err := s.AddMember(alice.ctx(), limits, add); !errors.As(err, &refusal) {
		t.Fatalf("a member who is on the list: %v, want a refusal", err)
	}
	if err := s.read.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddMember(alice.ctx(), limits, add); err == nil || errors.As(err, &refusal) {
		t.Errorf("while nothing can be read: %v, want a fault that is no refusal", err)
	}
}

// A first attempt that was asleep comes to after the user has gone on: what it
// would do now is not what the user wants.
func TestAnEditThatWasOvertakenIsNotMade(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		s := ready(t, url)
		signUp(t, s, "alice", "bob")
		p := person{t, s, "alice"}
		first := p.edit()
		first.Id = []byte("first")
		add := func() error {
			_, err := s.AddMember(p.ctx(), limits, &directoryv1.AddMemberRequest{Edit: proto.CloneOf(first), List: bl, Member: address("bob"), Name: "Bob"})
			return err
		}
		if err := add(); err != nil {
			t.Fatal(err)
		}
		second := p.edit()
		second.Id = []byte("second")
		if _, err := s.RemoveMember(p.ctx(), &directoryv1.RemoveMemberRequest{Edit: second, List: bl, Member: address("bob")}); err != nil {
			t.Fatal(err)
		}
		if err := add(); reasonOf(t, err) != "OVERTAKEN" {
			t.Errorf("the first edit once more: %v", err)
		}
		if got := version(t, s, "alice"); got != second.GetVersion()+1 {
			t.Errorf("version %d, want %d", got, second.GetVersion()+1)
		}
		// Of an edit whose outcome was unknown the session has the version still.
		third := p.edit()
		third.Id, third.Version = []byte("third"), second.GetVersion()
		if _, err := s.AddGroup(p.ctx(), limits, &directoryv1.AddGroupRequest{Edit: third, Name: "Friends"}); err != nil {
			t.Errorf("an edit by the same version: %v", err)
		}
	})
}
