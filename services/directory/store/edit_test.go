package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// An editCase is a story of alice's lists. Stories share a database, so the
// people of each have its number behind their name; what is wanted leaves it
// out.
type editCase struct {
	name string
	// given is done first and has to succeed; do is what the case is about.
	given []step
	do    step
	// reason is why do is refused, "" if it is not. A refused edit raises no
	// version and leaves the lists as they were.
	reason string
	// raised is by how much do raises each version, as "alice 1, bob 1".
	raised string
	// alice and bob are their lists afterwards, as listsOf has them; "" is not
	// looked at.
	alice, bob string
}

// A cast is the people of one story.
type cast struct {
	alice, bob, carol, dave, erin person
}

type step func(c *cast) (*directoryv1.EditResponse, error)

func adds(x directoryv1.List, member string, group ...uint32) step {
	return func(c *cast) (*directoryv1.EditResponse, error) {
		return c.alice.add(x, c.named(member), "", group...)
	}
}

func removes(x directoryv1.List, member string, group ...uint32) step {
	return func(c *cast) (*directoryv1.EditResponse, error) {
		return c.alice.remove(x, c.named(member), group...)
	}
}

// isAddedBy has somebody else put alice on a list.
func isAddedBy(name string, x directoryv1.List) step {
	return func(c *cast) (*directoryv1.EditResponse, error) {
		return c.of(name).add(x, c.alice.name, "")
	}
}

func makesGroup(name string) step {
	return func(c *cast) (*directoryv1.EditResponse, error) { return c.alice.addGroup(name) }
}

func dropsGroup(id uint32, keep bool) step {
	return func(c *cast) (*directoryv1.EditResponse, error) { return c.alice.removeGroup(id, keep) }
}

func phone(key, value string) step {
	return func(c *cast) (*directoryv1.EditResponse, error) { return c.alice.setPhone(key, value) }
}

func (c *cast) all() []person { return []person{c.alice, c.bob, c.carol, c.dave, c.erin} }

func (c *cast) of(name string) person {
	for _, p := range c.all() {
		if strings.TrimRight(p.name, "0123456789") == name {
			return p
		}
	}
	return person{name: name}
}

func (c *cast) named(name string) string { return c.of(name).name }

var editCases = []editCase{
	// ADD
	{
		name: "adding to FL puts the member in group 0, and the owner on the other's RL", do: adds(fl, "bob"),
		raised: "alice 1, bob 1",
		alice:  "0:Other%20Contacts | bob FL=bob@example.com{0}",
		bob:    "0:Other%20Contacts | alice RL=ALICE",
	},
	{
		name: "adding to FL stores the name that was given",
		do: func(c *cast) (*directoryv1.EditResponse, error) {
			return c.alice.add(fl, c.bob.name, "My%20Bob")
		},
		raised: "alice 1, bob 1", alice: "0:Other%20Contacts | bob FL=My%20Bob{0}",
	},
	{
		name: "adding to FL with a group leaves out group 0", given: []step{makesGroup("Friends")}, do: adds(fl, "bob", 1),
		raised: "alice 1, bob 1", alice: "0:Other%20Contacts 1:Friends | bob FL=bob@example.com{1}",
	},
	{
		name: "adding an FL member to one more group touches nobody else", given: []step{makesGroup("Friends"), adds(fl, "bob")}, do: adds(fl, "bob", 1),
		raised: "alice 1", alice: "0:Other%20Contacts 1:Friends | bob FL=bob@example.com{0,1}",
	},
	{name: "an account that does not exist cannot be added", do: adds(fl, "nobody"), reason: "NO_SUCH_USER"},
	{name: "an account that does not exist cannot be blocked", do: adds(bl, "nobody"), reason: "NO_SUCH_USER"},
	{name: "no such account comes before a full list", given: []step{adds(bl, "bob"), adds(bl, "carol")}, do: adds(bl, "nobody"), reason: "NO_SUCH_USER"},
	{name: "no such account comes before no such group", do: adds(fl, "nobody", 3), reason: "NO_SUCH_USER"},
	{name: "a full FL takes nobody more", given: []step{adds(fl, "bob"), adds(fl, "carol"), adds(fl, "dave")}, do: adds(fl, "erin"), reason: "LIST_FULL"},
	{name: "a full AL takes nobody more", given: []step{adds(al, "bob"), adds(al, "carol"), adds(al, "dave")}, do: adds(al, "erin"), reason: "LIST_FULL"},
	{name: "a full BL takes nobody more", given: []step{adds(bl, "bob"), adds(bl, "carol")}, do: adds(bl, "erin"), reason: "LIST_FULL"},
	{name: "a full list comes before already there", given: []step{adds(bl, "bob"), adds(bl, "carol")}, do: adds(bl, "bob"), reason: "LIST_FULL"},
	{name: "a full list comes before the opposite list", given: []step{adds(bl, "bob"), adds(bl, "carol"), adds(al, "dave")}, do: adds(bl, "dave"), reason: "LIST_FULL"},
	{
		name: "a full FL still lets members change groups", given: []step{makesGroup("Friends"), adds(fl, "bob"), adds(fl, "carol"), adds(fl, "dave")},
		do: adds(fl, "bob", 1), raised: "alice 1",
	},
	{
		name:  "a full RL of the other takes nobody more",
		given: []step{isAddedBy("bob", fl), isAddedBy("carol", fl), isAddedBy("dave", fl), isAddedBy("erin", fl)},
		do: func(c *cast) (*directoryv1.EditResponse, error) {
			return c.alice.add(fl, c.alice.name, "")
		},
		reason: "LIST_FULL",
	},
	{name: "who is on FL cannot be added again", given: []step{adds(fl, "bob")}, do: adds(fl, "bob"), reason: "ALREADY_THERE"},
	{name: "who is on AL cannot be added again", given: []step{adds(al, "bob")}, do: adds(al, "bob"), reason: "ALREADY_THERE"},
	{name: "who is in the group cannot be added to it again", given: []step{adds(fl, "bob")}, do: adds(fl, "bob", 0), reason: "ALREADY_THERE"},
	{name: "who is on BL cannot be put on AL", given: []step{adds(bl, "bob")}, do: adds(al, "bob"), reason: "OPPOSITE_LIST"},
	{name: "who is on AL cannot be put on BL", given: []step{adds(al, "bob")}, do: adds(bl, "bob"), reason: "OPPOSITE_LIST"},
	{name: "a group that does not exist takes no new member", do: adds(fl, "bob", 2), reason: "NO_SUCH_GROUP"},
	{name: "a group that does not exist takes no FL member", given: []step{adds(fl, "bob")}, do: adds(fl, "bob", 2), reason: "NO_SUCH_GROUP"},
	{name: "a group number beyond all bounds does not exist", given: []step{adds(fl, "bob")}, do: adds(fl, "bob", 4294967295), reason: "NO_SUCH_GROUP"},
	{
		name: "AL and BL raise the owner alone", given: []step{adds(fl, "bob")}, do: adds(al, "bob"), raised: "alice 1",
		alice: "0:Other%20Contacts | bob FL=bob@example.com{0} AL=bob@example.com",
		bob:   "0:Other%20Contacts | alice RL=ALICE",
	},
	{
		name: "blocking somebody on FL leaves FL as it is", given: []step{adds(fl, "bob")}, do: adds(bl, "bob"), raised: "alice 1",
		alice: "0:Other%20Contacts | bob FL=bob@example.com{0} BL=bob@example.com",
	},
	{
		name: "adding oneself is allowed, shows on RL, and raises once", do: adds(fl, "alice"), raised: "alice 1",
		alice: "0:Other%20Contacts | alice FL=alice@example.com{0} RL=ALICE",
	},

	// REM
	{
		name: "removing from FL leaves AL, and takes the owner off the other's RL", given: []step{adds(fl, "bob"), adds(al, "bob")}, do: removes(fl, "bob"),
		raised: "alice 1, bob 1", alice: "0:Other%20Contacts | bob AL=bob@example.com", bob: "0:Other%20Contacts | ",
	},
	{name: "removing from AL leaves nothing behind", given: []step{adds(al, "bob")}, do: removes(al, "bob"), raised: "alice 1", alice: "0:Other%20Contacts | "},
	{name: "removing from BL raises the owner alone", given: []step{adds(bl, "bob")}, do: removes(bl, "bob"), raised: "alice 1"},
	{name: "removing oneself raises once", given: []step{adds(fl, "alice")}, do: removes(fl, "alice"), raised: "alice 1", alice: "0:Other%20Contacts | "},
	{name: "who is not on the list cannot be removed", given: []step{adds(al, "bob")}, do: removes(fl, "bob"), reason: "NOT_ON_LIST"},
	{name: "an account that does not exist is on no list", do: removes(al, "nobody"), reason: "NOT_ON_LIST"},
	{name: "not on the list comes before no such group", do: removes(fl, "bob", 3), reason: "NOT_ON_LIST"},
	{
		name: "removing from a group keeps the member on FL", given: []step{makesGroup("Friends"), adds(fl, "bob"), adds(fl, "bob", 1)}, do: removes(fl, "bob", 1),
		raised: "alice 1", alice: "0:Other%20Contacts 1:Friends | bob FL=bob@example.com{0}",
	},
	{name: "removing from a group that does not exist is refused", given: []step{adds(fl, "bob")}, do: removes(fl, "bob", 2), reason: "NO_SUCH_GROUP"},
	{name: "who is not in the group cannot be removed from it", given: []step{makesGroup("Friends"), adds(fl, "bob")}, do: removes(fl, "bob", 1), reason: "NOT_IN_GROUP"},
	{
		name: "the last group leaves an empty set", given: []step{adds(fl, "bob")}, do: removes(fl, "bob", 0),
		raised: "alice 1", alice: "0:Other%20Contacts | bob FL=bob@example.com{}",
	},
	{
		name: "an empty set is replaced by the next group", given: []step{makesGroup("Friends"), adds(fl, "bob"), removes(fl, "bob", 0)}, do: adds(fl, "bob", 1),
		raised: "alice 1", alice: "0:Other%20Contacts 1:Friends | bob FL=bob@example.com{1}",
	},
	{
		name: "an empty set is replaced by group 0 too", given: []step{adds(fl, "bob"), removes(fl, "bob", 0)}, do: adds(fl, "bob", 0),
		raised: "alice 1", alice: "0:Other%20Contacts | bob FL=bob@example.com{0}",
	},
	{
		name: "an empty set counts as group 0 for removal", given: []step{adds(fl, "bob"), removes(fl, "bob", 0)}, do: removes(fl, "bob", 0),
		raised: "alice 1", alice: "0:Other%20Contacts | bob FL=bob@example.com{}",
	},
	{name: "an empty set counts as no other group", given: []step{makesGroup("Friends"), adds(fl, "bob"), removes(fl, "bob", 0)}, do: removes(fl, "bob", 1), reason: "NOT_IN_GROUP"},
	{name: "an empty set does not let the member be added without a group", given: []step{adds(fl, "bob"), removes(fl, "bob", 0)}, do: adds(fl, "bob"), reason: "ALREADY_THERE"},

	// REA
	{
		name: "renaming oneself shows on the RL of others", given: []step{adds(fl, "bob")},
		do: func(c *cast) (*directoryv1.EditResponse, error) {
			return c.alice.rename(c.alice.name, "Al")
		},
		raised: "alice 1", bob: "0:Other%20Contacts | alice RL=Al",
	},
	{
		name: "renaming a member does so on every list", given: []step{adds(fl, "bob"), adds(al, "bob"), isAddedBy("bob", fl)},
		do: func(c *cast) (*directoryv1.EditResponse, error) {
			return c.alice.rename(c.bob.name, "Bobby")
		},
		raised: "alice 1", alice: "0:Other%20Contacts | bob FL=Bobby{0} AL=Bobby RL=BOB",
	},
	{
		name: "renaming somebody who is blocked", given: []step{adds(bl, "bob")},
		do: func(c *cast) (*directoryv1.EditResponse, error) {
			return c.alice.rename(c.bob.name, "Bobby")
		},
		raised: "alice 1", alice: "0:Other%20Contacts | bob BL=Bobby",
	},
	{
		name: "renaming somebody on RL alone succeeds, and shows that one's own name", given: []step{isAddedBy("bob", fl)},
		do: func(c *cast) (*directoryv1.EditResponse, error) {
			return c.alice.rename(c.bob.name, "Bobby")
		},
		raised: "alice 1", alice: "0:Other%20Contacts | bob RL=BOB",
	},
	{
		name: "a stranger cannot be renamed", given: []step{isAddedBy("bob", al)},
		do: func(c *cast) (*directoryv1.EditResponse, error) {
			return c.alice.rename(c.bob.name, "Bobby")
		},
		reason: "NOT_ON_LIST",
	},
	{
		name: "an account that does not exist cannot be renamed",
		do: func(c *cast) (*directoryv1.EditResponse, error) {
			return c.alice.rename("nobody", "No")
		},
		reason: "NOT_ON_LIST",
	},

	// ADG, REG, RMG
	{name: "a group gets the lowest free id", given: []step{makesGroup("A"), makesGroup("B"), dropsGroup(1, false)}, do: makesGroup("C"), raised: "alice 1", alice: "0:Other%20Contacts 1:C 2:B | "},
	{name: "two groups may have one name", given: []step{makesGroup("A")}, do: makesGroup("A"), raised: "alice 1", alice: "0:Other%20Contacts 1:A 2:A | "},
	{name: "there are only so many groups", given: []step{makesGroup("A"), makesGroup("B"), makesGroup("C")}, do: makesGroup("D"), reason: "TOO_MANY_GROUPS"},
	{
		name: "group 0 may be renamed",
		do: func(c *cast) (*directoryv1.EditResponse, error) {
			return c.alice.renameGroup(0, "Rest")
		},
		raised: "alice 1", alice: "0:Rest | ",
	},
	{
		name: "a group that does not exist cannot be renamed",
		do: func(c *cast) (*directoryv1.EditResponse, error) {
			return c.alice.renameGroup(2, "Rest")
		},
		reason: "NO_SUCH_GROUP",
	},
	{name: "group 0 cannot be removed", given: []step{adds(fl, "bob")}, do: dropsGroup(0, false), reason: "GROUP_ZERO"},
	{name: "group 0 cannot be removed, keeping its members", do: dropsGroup(0, true), reason: "GROUP_ZERO"},
	{name: "a group that does not exist cannot be removed", do: dropsGroup(2, false), reason: "NO_SUCH_GROUP"},
	{name: "a group beyond all bounds cannot be removed", do: dropsGroup(4294967295, false), reason: "NO_SUCH_GROUP"},
	{
		name:  "removing a group drops who is in no other, and raises the owner once",
		given: []step{makesGroup("A"), adds(fl, "bob", 1), adds(fl, "carol", 1), adds(al, "carol"), adds(fl, "dave", 1), adds(fl, "dave", 0)},
		do:    dropsGroup(1, false), raised: "alice 1, bob 1, carol 1",
		alice: "0:Other%20Contacts | carol AL=carol@example.com; dave FL=dave@example.com{0}",
		bob:   "0:Other%20Contacts | ",
	},
	{
		name:  "removing a group may move its members to group 0",
		given: []step{makesGroup("A"), makesGroup("B"), adds(fl, "bob", 1), adds(fl, "carol", 1), adds(fl, "carol", 2)},
		do:    dropsGroup(1, true), raised: "alice 1",
		alice: "0:Other%20Contacts 2:B | bob FL=bob@example.com{0}; carol FL=carol@example.com{2}",
	},
	{
		name:  "removing a group leaves who is in none",
		given: []step{makesGroup("A"), adds(fl, "bob"), removes(fl, "bob", 0)},
		do:    dropsGroup(1, false), raised: "alice 1",
		alice: "0:Other%20Contacts | bob FL=bob@example.com{}",
	},
	{
		name: "removing a group drops oneself as anybody else", given: []step{makesGroup("A"), adds(fl, "alice", 1)},
		do: dropsGroup(1, false), raised: "alice 1", alice: "0:Other%20Contacts | ",
	},

	// GTC, BLP
	{
		name: "another value of GTC is stored",
		do: func(c *cast) (*directoryv1.EditResponse, error) {
			return c.alice.setGTC(false)
		},
		raised: "alice 1",
	},
	{
		name: "the present value of GTC is refused",
		do: func(c *cast) (*directoryv1.EditResponse, error) {
			return c.alice.setGTC(true)
		},
		reason: "ALREADY_IN_MODE",
	},
	{
		name: "the present value of BLP is refused",
		given: []step{func(c *cast) (*directoryv1.EditResponse, error) {
			return c.alice.setBLP(false)
		}},
		do: func(c *cast) (*directoryv1.EditResponse, error) {
			return c.alice.setBLP(false)
		},
		reason: "ALREADY_IN_MODE",
	},

	// PRP
	{
		name:  "a phone number raises those who see it: on whose FL, and on AL",
		given: []step{isAddedBy("bob", fl), adds(al, "bob"), isAddedBy("carol", fl), adds(al, "dave")},
		do:    phone("PHH", "555%201"), raised: "alice 1, bob 1",
		bob: "0:Other%20Contacts | alice FL=alice@example.com{0} phones=555%201,,,false",
	},
	{
		name:  "BLP does not show a phone number to anybody",
		given: []step{isAddedBy("bob", fl)},
		do:    phone("PHW", "555"), raised: "alice 1",
		bob: "0:Other%20Contacts | alice FL=alice@example.com{0}",
	},
	{name: "a phone number is cleared", given: []step{phone("PHM", "555")}, do: phone("PHM", ""), raised: "alice 1"},
	{name: "a phone number is stored again", given: []step{phone("PHM", "555")}, do: phone("PHM", "555"), raised: "alice 1"},
	{name: "MBE is shown to nobody", given: []step{isAddedBy("bob", fl), adds(al, "bob")}, do: phone("MBE", "Y"), raised: "alice 1"},
	{name: "MOB is not stored while MBE is N", given: []step{isAddedBy("bob", fl), adds(al, "bob")}, do: phone("MOB", "Y"), raised: ""},
	{name: "MOB N while MBE is N changes nothing", do: phone("MOB", "N"), raised: ""},
	{
		name:  "MOB is stored while MBE is Y",
		given: []step{isAddedBy("bob", fl), adds(al, "bob"), phone("MBE", "Y")},
		do:    phone("MOB", "Y"), raised: "alice 1, bob 1",
		bob: "0:Other%20Contacts | alice FL=alice@example.com{0} phones=,,,true",
	},
	{
		name:  "MOB is turned off, whatever is asked for, once MBE is N",
		given: []step{isAddedBy("bob", fl), adds(al, "bob"), phone("MBE", "Y"), phone("MOB", "Y"), phone("MBE", "N")},
		do:    phone("MOB", "Y"), raised: "alice 1, bob 1",
		bob: "0:Other%20Contacts | alice FL=alice@example.com{0}",
	},
	{name: "an unknown key is refused", do: phone("PHX", "1"), reason: "INVALID"},
	{
		name:  "who watches oneself is raised once",
		given: []step{adds(fl, "alice"), adds(al, "alice")},
		do:    phone("PHH", "1"), raised: "alice 1",
	},
}

func TestEdits(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		s := ready(t, url)
		for i, tc := range editCases {
			t.Run(tc.name, func(t *testing.T) { tc.run(t, s, i) })
		}
	})
}

func (tc *editCase) run(t *testing.T, s *Store, number int) {
	as := func(name string) person { return person{t, s, fmt.Sprintf("%s%d", name, number)} }
	c := &cast{as("alice"), as("bob"), as("carol"), as("dave"), as("erin")}
	signUp(t, s, c.alice.name, c.bob.name, c.carol.name, c.dave.name, c.erin.name)
	for i, given := range tc.given {
		if _, err := given(c); err != nil {
			t.Fatalf("given %d: %v", i, err)
		}
	}
	before := c.versions(t)
	listsBefore := listsOf(snapshotOf(t, s, c.alice.name))
	answer, err := tc.do(c)
	if got := reasonOf(t, err); got != tc.reason {
		t.Fatalf("reason: want %q, got %q (%v)", tc.reason, got, err)
	}
	after := c.versions(t)
	if got := raised(before, after); got != tc.raised {
		t.Errorf("raised: want %q, got %q", tc.raised, got)
	}
	unnumbered := strings.NewReplacer(fmt.Sprintf("%d ", number), " ", fmt.Sprintf("%d@", number), "@", fmt.Sprintf("ALICE%d", number), "ALICE", fmt.Sprintf("BOB%d", number), "BOB")
	lists := listsOf(snapshotOf(t, s, c.alice.name))
	if tc.alice != "" {
		if got := unnumbered.Replace(lists); got != tc.alice {
			t.Errorf("alice has\n%s, want\n%s", got, tc.alice)
		}
	}
	if tc.bob != "" {
		if got := unnumbered.Replace(listsOf(snapshotOf(t, s, c.bob.name))); got != tc.bob {
			t.Errorf("bob has\n%s, want\n%s", got, tc.bob)
		}
	}
	if tc.reason != "" {
		if lists != listsBefore {
			t.Errorf("a refused edit changed the lists from\n%s to\n%s", listsBefore, lists)
		}
		return
	}
	if answer.GetVersion() != after["alice"] {
		t.Errorf("the answer has version %d, alice has %d", answer.GetVersion(), after["alice"])
	}
	if answer.GetBefore() != nil {
		t.Error("the answer brings lists although the version was right")
	}
	var told []string
	for _, touched := range answer.GetTouched() {
		name := strings.TrimRight(strings.TrimSuffix(touched.GetEmail(), "@example.com"), "0123456789")
		if touched.GetVersion() != after[name] {
			t.Errorf("the answer has version %d for %s, who has %d", touched.GetVersion(), name, after[name])
		}
		told = append(told, name+" 1")
	}
	if own := after["alice"] - before["alice"]; own > 0 {
		told = append([]string{"alice 1"}, told...)
	}
	if got := strings.Join(told, ", "); got != tc.raised {
		t.Errorf("the answer tells of %q, want %q", got, tc.raised)
	}
}

func (c *cast) versions(t *testing.T) map[string]uint32 {
	all := make(map[string]uint32)
	for _, p := range c.all() {
		all[strings.TrimRight(p.name, "0123456789")] = version(t, p.s, p.name)
	}
	return all
}

func raised(before, after map[string]uint32) string {
	var all []string
	for name, v := range after {
		if v != before[name] {
			all = append(all, fmt.Sprintf("%s %d", name, v-before[name]))
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func TestAnswersOfEdits(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		s := ready(t, url)
		signUp(t, s, "alice", "bob", "carol")
		alice, bob := person{t, s, "alice"}, person{t, s, "bob"}
		must := func(answer *directoryv1.EditResponse, err error) *directoryv1.EditResponse {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			return answer
		}
		must(bob.setPhone("PHH", "555"))
		must(bob.add(al, "alice", ""))

		t.Run("a new FL member comes with name, groups, phones and whether RL has it", func(t *testing.T) {
			must(bob.add(fl, "alice", ""))
			m := must(alice.add(fl, "bob", "Bob")).GetMember()
			got := listsOf(&directoryv1.Snapshot{Members: []*directoryv1.Member{m}})
			if want := " | bob FL=Bob{0} RL=BOB phones=555,,,false"; got != want {
				t.Errorf("want %s, got %s", want, got)
			}
		})
		t.Run("other additions bring no member", func(t *testing.T) {
			if m := must(alice.add(al, "bob", "")).GetMember(); m != nil {
				t.Errorf("AL brought %v", m)
			}
			must(alice.addGroup("Friends"))
			if m := must(alice.add(fl, "bob", "", 1)).GetMember(); m != nil {
				t.Errorf("a group brought %v", m)
			}
		})
		t.Run("a new group comes with its id, a removed one with who left FL", func(t *testing.T) {
			id := must(alice.addGroup("Old")).GetGroupId()
			if id != 2 {
				t.Errorf("want group 2, got %d", id)
			}
			must(alice.add(fl, "carol", "", id))
			answer := must(alice.removeGroup(id, false))
			if got := answer.GetDropped(); !slices.Equal(got, []string{address("carol")}) {
				t.Errorf("want carol dropped, got %v", got)
			}
		})
		t.Run("the value of a phone number is that which was stored", func(t *testing.T) {
			if got := must(alice.setPhone("PHW", "1%202")).GetValue(); got != "1%202" {
				t.Errorf("want 1%%202, got %s", got)
			}
			if got := must(alice.setPhone("MOB", "Y")).GetValue(); got != "N" {
				t.Errorf("want N for a refused MOB, got %s", got)
			}
		})
		t.Run("an edit at an older version brings the lists from just before", func(t *testing.T) {
			stale := alice.edit()
			must(bob.remove(fl, "alice"))
			now := snapshotOf(t, s, "alice")
			answer := must(s.RenameGroup(t.Context(), &directoryv1.RenameGroupRequest{Edit: stale, GroupId: 1, Name: "New"}))
			before := answer.GetBefore()
			if before == nil {
				t.Fatal("no lists")
			}
			if before.GetVersion() != now.GetVersion() || answer.GetVersion() != now.GetVersion()+1 {
				t.Errorf("want lists at %d and an edit to %d, got %d and %d", now.GetVersion(), now.GetVersion()+1, before.GetVersion(), answer.GetVersion())
			}
			if got, want := listsOf(before), listsOf(now); got != want {
				t.Errorf("want %s, got %s", want, got)
			}
		})
		t.Run("an edit that changes nothing brings the lists at the present version", func(t *testing.T) {
			answer := must(s.SetPhone(t.Context(), &directoryv1.SetPhoneRequest{
				Edit: &directoryv1.Edit{Email: address("alice"), Version: 1}, Key: "MOB", Value: "Y",
			}))
			now := version(t, s, "alice")
			if answer.GetVersion() != now || answer.GetBefore().GetVersion() != now || answer.GetTouched() != nil {
				t.Errorf("want version %d for answer and lists, got %v", now, answer)
			}
		})
		t.Run("a user who does not exist cannot edit", func(t *testing.T) {
			_, err := s.AddGroup(t.Context(), limits, &directoryv1.AddGroupRequest{Edit: &directoryv1.Edit{Email: address("nobody"), Version: 1}, Name: "A"})
			if got := reasonOf(t, err); got != "NO_SUCH_USER" {
				t.Errorf("want NO_SUCH_USER, got %s", got)
			}
		})
		t.Run("an unverified user may not change the own name, but that of members", func(t *testing.T) {
			if _, err := s.CreateAccounts(t.Context(), []NewAccount{{Email: address("newt"), Password: "x", Name: "Newt"}}); err != nil {
				t.Fatal(err)
			}
			newt := person{t, s, "newt"}
			_, err := newt.rename("newt", "Other")
			if got := reasonOf(t, err); got != "UNVERIFIED" {
				t.Errorf("want UNVERIFIED, got %s", got)
			}
			must(newt.add(fl, "bob", ""))
			must(newt.rename("bob", "Bobby"))
		})
	})
}
