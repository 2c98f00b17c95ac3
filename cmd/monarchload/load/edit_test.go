package load

import "testing"

// Edits: ann puts zoe on her list and takes her off.
func TestEditsAreComparedWithWhatWasAsked(t *testing.T) {
	begin := func(s *stage) {
		e := s.client("ann").edit.Load()
		e.pacer.running++
		if !e.begin(s.now()) {
			s.t.Fatal("ann cannot edit her list")
		}
	}
	for _, tt := range []struct {
		name string
		play func(s *stage)
		want counts
	}{
		{"all is told", func(s *stage) {
			begin(s)
			s.hears("ann", "ADD 3 FL 7 zoe@ zoe@")
			s.hears("ann", "ILN 3 NLN zoe@ Name")
			s.hears("zoe", "ADD 0 RL 7 ann@ Name")
			s.hears("ann", "REM 5 FL 8 zoe@")
			s.hears("zoe", "REM 0 RL 8 ann@")
		}, counts{done: 1}},
		{"presence of a stranger", func(s *stage) {
			s.hears("ann", "ILN 3 NLN zoe@ Name")
		}, counts{changed: 1}},
		{"the other is told nothing", func(s *stage) {
			begin(s)
			s.hears("ann", "ADD 3 FL 7 zoe@ zoe@")
			s.hears("ann", "REM 5 FL 8 zoe@")
			s.settleUp()
		}, counts{lost: 2}},
		{"nothing is answered", func(s *stage) {
			begin(s)
			s.settleUp()
		}, counts{lost: 2}},
		{"the other is told twice", func(s *stage) {
			begin(s)
			s.hears("zoe", "ADD 0 RL 7 ann@ Name")
			s.hears("zoe", "ADD 0 RL 7 ann@ Name")
		}, counts{doubled: 1}},
		{"the other is told the wrong way round", func(s *stage) {
			begin(s)
			s.hears("ann", "ADD 3 FL 7 zoe@ zoe@")
			s.hears("zoe", "REM 0 RL 8 ann@")
		}, counts{outOfOrder: 1}},
		{"somebody else is told", func(s *stage) {
			begin(s)
			s.hears("bob", "ADD 0 RL 7 ann@ Name")
			s.hears("ann", "ADD 3 FL 7 bob@ bob@")
		}, counts{changed: 2}},
		{"it is refused", func(s *stage) {
			begin(s)
			s.hears("ann", "210 3")
		}, counts{errors: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, Config{}, "ann", "bob", "zoe")
			ann := s.client("ann")
			ann.contacts = ann.contacts[:1]
			if _, err := s.editPacer([]*client{ann}, 0, 0); err != nil {
				t.Fatal(err)
			}
			tt.play(s)
			s.want(tt.want)
		})
	}
}
