package cluster

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestGaps(t *testing.T) {
	var g gaps
	receive := func(sequence uint64, wantDuplicate, wantGap bool) {
		t.Helper()
		if duplicate, gap := g.receive("p", sequence); duplicate != wantDuplicate || gap != wantGap {
			t.Errorf("batch %d: duplicate %t, gap %t", sequence, duplicate, gap)
		}
	}
	report := func(sent uint64, want bool) {
		t.Helper()
		if gap := g.report("p", sent, time.Now()); gap != want {
			t.Errorf("beat says %d: gap %t", sent, gap)
		}
	}
	report(0, false)
	if len(g.heard()) != 0 {
		t.Errorf("a peer that sent nothing is known: %v", g.heard())
	}
	receive(1, false, false)
	receive(1, true, false)
	receive(2, false, false)
	receive(5, false, true)
	receive(3, true, false)
	receive(6, false, false)

	report(6, false)
	report(8, false) // may be on its way
	receive(7, false, false)
	receive(8, false, false)
	report(9, false)
	report(9, true) // is not
	report(9, false)
	receive(10, false, false) // only 9 is missing, which is known
	report(12, false)
	receive(12, false, true) // 11 is missing, found before the beat tells
	report(12, false)
	report(12, false)

	g.forget("p")
	receive(4, false, true) // the first three are missing
}

// What was lost until a resubscription is repaired by one resync.
func TestGapsAfterResubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gaps
		g.receive("old", 1)
		g.receive("quiet", 1)
		g.resubscribed()
		read := time.Now() // begun before, it says nothing of what came after
		time.Sleep(time.Second)

		if duplicate, gap := g.receive("old", 7); duplicate || gap {
			t.Errorf("first batch after: duplicate %t, gap %t", duplicate, gap)
		}
		if _, gap := g.receive("old", 9); !gap {
			t.Error("a batch missing after the resubscription is no gap")
		}
		if _, gap := g.receive("new", 5); gap {
			t.Error("a peer first heard after: gap")
		}
		for range 2 {
			if g.report("quiet", 4, read) {
				t.Error("a reading begun before counts")
			}
		}
		g.read(read)
		later := time.Now()
		for range 3 {
			if g.report("quiet", 4, later) || g.report("unheard", 3, later) {
				t.Error("what was lost before counts")
			}
		}
		g.read(later)
		if _, gap := g.receive("quiet", 5); gap {
			t.Error("next batch of a peer that was quiet: gap")
		}
		g.report("quiet", 6, later)
		if !g.report("quiet", 6, later) {
			t.Error("a batch missing after the resubscription is not found by the beat")
		}
		if _, gap := g.receive("late", 2); !gap {
			t.Error("a peer first heard after the next reading: no gap")
		}
	})
}
