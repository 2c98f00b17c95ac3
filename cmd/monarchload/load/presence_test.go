package load

import (
	"testing"

	"github.com/monarch-msn/monarch/msnp"
)

// changes lets a client change its status, and answers.
func (s *stage) changes(name string) {
	s.t.Helper()
	c := s.client(name)
	c.statuses.mu.Lock()
	c.statuses.running++
	c.statuses.mu.Unlock()
	if !(*statusJob)(c).begin(s.now()) {
		s.t.Fatalf("%s cannot change its status", name)
	}
}

func TestPresenceIsComparedWithTheModel(t *testing.T) {
	for _, tt := range []struct {
		name string
		play func(s *stage)
		want counts
	}{
		{"everybody is told once", func(s *stage) {
			s.changes("ann")
			s.hears("bob", "NLN BSY ann@ Name")
			s.hears("ann", "CHG 4 BSY")
			s.hears("cat", "NLN BSY ann@ Name")
		}, counts{done: 1}},
		{"all statuses, and around", func(s *stage) {
			for seq := uint32(2); seq < 9; seq++ {
				s.changes("ann")
				s.hears("ann", "CHG %d %s", seq<<1, statusOf(seq))
				s.hears("bob", "NLN %s ann@ Name", statusOf(seq))
				s.hears("cat", "NLN %s ann@ Name", statusOf(seq))
			}
		}, counts{done: 7}},
		{"a line comes twice", func(s *stage) {
			s.changes("ann")
			s.hears("bob", "NLN BSY ann@ Name")
			s.hears("bob", "NLN BSY ann@ Name")
		}, counts{doubled: 1}},
		{"the login's line comes twice", func(s *stage) {
			s.hears("bob", "ILN 7 NLN ann@ Name")
		}, counts{doubled: 1}},
		{"an older status behind a newer one", func(s *stage) {
			for _, status := range []msnp.Status{msnp.BSY, msnp.IDL} {
				s.changes("ann")
				s.hears("bob", "NLN %s ann@ Name", status)
				s.hears("cat", "NLN %s ann@ Name", status)
				s.hears("ann", "CHG %d %s", s.client("ann").seq.Load()<<1, status)
			}
			s.hears("bob", "NLN BSY ann@ Name")
		}, counts{outOfOrder: 1, done: 2}},
		{"a status that was never set", func(s *stage) {
			s.hears("bob", "NLN LUN ann@ Name")
			s.hears("bob", "NLN PHN ann@ Name")
			s.hears("bob", "NLN XYZ ann@ Name")
		}, counts{changed: 3}},
		{"another name", func(s *stage) {
			s.changes("ann")
			s.hears("bob", "NLN BSY ann@ Nom")
		}, counts{changed: 1}},
		{"somebody online is said to be offline", func(s *stage) {
			s.hears("bob", "FLN ann@")
			s.sweep(0)
			s.farewells.check(s.now())
		}, counts{changed: 1}},
		{"somebody is said to be offline before they know it", func(s *stage) {
			s.hears("bob", "FLN ann@")
			s.client("ann").gone()
			s.settleUp()
		}, counts{}},
		{"somebody who is not on the list", func(s *stage) {
			s.client("bob").contacts = s.client("bob").contacts[1:]
			s.hears("bob", "NLN BSY ann@ Name")
		}, counts{changed: 1}},
		{"somebody whose lists forbid it", func(s *stage) {
			s.client("bob").contacts[0].visible = false
			s.changes("ann")
			s.hears("bob", "NLN BSY ann@ Name")
		}, counts{changed: 1}},
		{"nobody answers and one is not told", func(s *stage) {
			s.changes("ann")
			s.hears("cat", "NLN BSY ann@ Name")
			s.settleUp()
		}, counts{lost: 2}},
		{"what was lost is late", func(s *stage) {
			s.changes("ann")
			s.hears("cat", "NLN BSY ann@ Name")
			s.settleUp()
			s.hears("bob", "NLN BSY ann@ Name")
			s.hears("ann", "CHG 4 BSY")
			s.changes("ann")
			s.hears("ann", "CHG 6 IDL")
			s.hears("bob", "NLN IDL ann@ Name")
			s.hears("cat", "NLN IDL ann@ Name")
		}, counts{lost: 2, late: 2, done: 1}},
		{"what was lost comes behind what followed", func(s *stage) {
			s.changes("ann")
			s.hears("ann", "CHG 4 BSY")
			s.hears("cat", "NLN BSY ann@ Name")
			s.settleUp()
			s.changes("ann")
			s.hears("bob", "NLN IDL ann@ Name")
			s.hears("bob", "NLN BSY ann@ Name")
		}, counts{lost: 1, outOfOrder: 1}},
		{"a change is answered twice", func(s *stage) {
			s.changes("ann")
			s.hears("ann", "CHG 4 BSY")
			s.hears("ann", "CHG 4 BSY")
		}, counts{doubled: 1}},
		{"a change is answered with something else", func(s *stage) {
			s.changes("ann")
			s.hears("ann", "CHG 4 AWY")
			s.hears("ann", "CHG 6 IDL")
		}, counts{changed: 2}},
		{"a change is refused", func(s *stage) {
			s.changes("ann")
			s.hears("ann", "500 4")
		}, counts{errors: 1}},
		{"a watcher goes amid a change", func(s *stage) {
			s.changes("ann")
			s.hears("ann", "CHG 4 BSY")
			s.hears("bob", "NLN BSY ann@ Name")
			s.client("cat").gone()
			s.hears("bob", "FLN cat@")
			s.changes("ann")
			s.hears("ann", "CHG 6 IDL")
			s.hears("bob", "NLN IDL ann@ Name")
		}, counts{done: 2}},
		{"somebody goes amid a change", func(s *stage) {
			s.changes("ann")
			s.client("ann").gone()
			s.settleUp()
		}, counts{errors: 1}},
		{"somebody comes and goes", func(s *stage) {
			s.client("ann").steady.Store(false)
			s.hears("bob", "FLN ann@")
			s.hears("bob", "NLN NLN ann@ Name")
			s.hears("bob", "FLN ann@")
		}, counts{}},
		{"somebody comes and goes, and goes", func(s *stage) {
			s.client("ann").steady.Store(false)
			s.hears("bob", "FLN ann@")
			s.hears("bob", "FLN ann@")
		}, counts{doubled: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, Config{}, "ann", "bob", "cat")
			tt.play(s)
			s.want(tt.want)
		})
	}
}

// Who is not told of somebody online has lost something before anything else
// is done.
func TestWhoIsOnlineHasToBeSeen(t *testing.T) {
	s := newStage(t, Config{}, "ann", "bob")
	s.client("bob").contacts[0].seq = 0
	if s.client("bob").seesAll(false) {
		t.Error("bob sees all, and was told nothing")
	}
	s.client("bob").seesAll(true)
	s.want(counts{lost: 1})
}

func TestListsSayWhoSeesWhom(t *testing.T) {
	s := newStage(t, Config{}, "ann", "bob")
	ann, bob := s.client("ann"), s.client("bob")
	for _, tt := range []struct {
		lists lists
		want  bool
	}{
		{lists{allowRest: true}, true},
		{lists{}, false},
		{lists{allow: []int32{bob.id}}, true},
		{lists{allowRest: true, ban: []int32{bob.id}}, false},
	} {
		ann.lists = &tt.lists
		if got := ann.admits(bob); got != tt.want {
			t.Errorf("want %v of %+v, got %v", tt.want, tt.lists, got)
		}
	}
}
