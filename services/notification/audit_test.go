package notification

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/internal/cluster"
	"github.com/monarch-msn/monarch/msnp"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// testAuditor is an auditor that runs nothing.
func testAuditor() *auditor {
	return newAuditor(&Service{cfg: Config{AuditInterval: time.Hour, ResyncTime: time.Second}})
}

// due returns when the session's next audit is; false if it is not on the list.
func (a *auditor) due(s *session) (time.Time, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if d := a.place[s]; d != nil {
		return d.at, true
	}
	return time.Time{}, false
}

func TestAnAuditIsOnlyEverBroughtForward(t *testing.T) {
	a, s, now := testAuditor(), new(session), time.Now()
	for _, step := range []struct{ ask, want time.Duration }{
		{time.Minute, time.Minute}, {2 * time.Minute, time.Minute}, {time.Second, time.Second}, {time.Minute, time.Second},
	} {
		a.again(s, now.Add(step.ask))
		if at, ok := a.due(s); !ok || !at.Equal(now.Add(step.want)) {
			t.Errorf("asked for %s: due %s, want %s", step.ask, at.Sub(now), step.want)
		}
	}
}

func TestSessionsAreTakenInTurnAndPutBack(t *testing.T) {
	a, now := testAuditor(), time.Now()
	sessions := make([]*session, 10)
	for _, i := range rand.Perm(len(sessions)) {
		sessions[i] = new(session)
		a.again(sessions[i], now.Add(time.Duration(i)*time.Second))
	}
	a.forget(sessions[3])
	a.forget(sessions[3]) // once more does no harm
	a.forget(new(session))
	got := a.take(now.Add(6 * time.Second))
	want := []*session{sessions[0], sessions[1], sessions[2], sessions[4], sessions[5], sessions[6]}
	if len(got) != len(want) {
		t.Fatalf("%d sessions are due, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("session %d is taken out of turn", i)
		}
	}
	if again := a.take(now.Add(6 * time.Second)); len(again) != 0 {
		t.Errorf("%d sessions are due at once again", len(again))
	}
	if at, ok := a.due(sessions[0]); !ok || !at.Equal(now.Add(6*time.Second+time.Hour)) {
		t.Errorf("the next audit is due in %s, want %s", at.Sub(now), 6*time.Second+time.Hour)
	}
	if late := a.take(now.Add(2 * time.Hour)); len(late) != 9 {
		t.Errorf("%d sessions are on the list, want 9", len(late))
	}
}

func TestTheFirstAuditIsWithinTheInterval(t *testing.T) {
	a, now := testAuditor(), time.Now()
	for range 100 {
		s := new(session)
		a.first(s)
		if at, ok := a.due(s); !ok || at.Before(now) || at.After(time.Now().Add(time.Hour)) {
			t.Fatalf("due in %s", at.Sub(now))
		}
	}
}

func TestAResyncBringsAllForwardAndNobodyBack(t *testing.T) {
	a, now := testAuditor(), time.Now()
	soon := new(session)
	a.again(soon, now.Add(-time.Minute))
	for range 3 * auditBatch {
		a.again(new(session), now.Add(time.Hour))
	}
	a.all(false)
	if at, _ := a.due(soon); !at.Equal(now.Add(-time.Minute)) {
		t.Errorf("who was due already is due in %s", at.Sub(now))
	}
	end := time.Now().Add(time.Second)
	taken := 0
	for _, want := range []int{auditBatch, auditBatch, auditBatch, 1, 0} {
		got := a.take(end)
		if len(got) != want {
			t.Errorf("behind %d others %d sessions are due, want %d", taken, len(got), want)
		}
		if taken == 0 && len(got) > 0 && got[0] != soon {
			t.Error("who was due first is not taken first")
		}
		taken += len(got)
	}
}

// Which sessions have to be claimed again when the node has another id.
func TestSessionsAreUnsettledUntilTheyAreClaimed(t *testing.T) {
	client, err := cluster.Open("redis://unused", cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	a := testAuditor()
	a.svc.member = client.Member(cluster.MemberConfig{}, nil)
	id := a.svc.member.ID()
	sessions := []*session{new(session), new(session), new(session)}
	for _, s := range sessions {
		a.first(s)
	}
	check := func(when string, want bool) {
		t.Helper()
		if a.unsettled() != want {
			t.Errorf("%s: want unsettled %v", when, want)
		}
	}
	a.all(false)
	check("a resync under the same id", false)
	a.all(true)
	a.all(true) // another id, before the first one has all sessions
	a.claimed(sessions[0], id)
	a.claimed(sessions[0], id)
	a.claimed(sessions[1], "a former id")
	check("one is claimed, one under a former id", true)
	a.claimed(sessions[1], id)
	a.claimed(new(session), id) // that has ended
	check("two are claimed", true)
	a.forget(sessions[2])
	check("the third has ended", false)
	a.first(sessions[2])
	check("and somebody has come", false)
}

// The queue against a plain map, through a long life at random.
func TestTheQueueOfAuditsHoldsWhatItWasGiven(t *testing.T) {
	a, now := testAuditor(), time.Now()
	model := make(map[*session]time.Time)
	sessions := make([]*session, 50)
	for i := range sessions {
		sessions[i] = new(session)
	}
	for range 20_000 {
		s := sessions[rand.IntN(len(sessions))]
		switch rand.IntN(4) {
		case 0:
			a.forget(s)
			delete(model, s)
		case 1:
			now = now.Add(rand.N(10 * time.Second))
			got := a.take(now)
			for _, s := range got {
				if at, ok := model[s]; !ok || at.After(now) {
					t.Fatal("a session was taken that is not due")
				}
				model[s] = now.Add(time.Hour)
			}
			for _, at := range model {
				if !at.After(now) {
					t.Fatal("a session that is due was not taken")
				}
			}
		default:
			at := now.Add(rand.N(time.Minute))
			a.again(s, at)
			if before, ok := model[s]; !ok || at.Before(before) {
				model[s] = at
			}
		}
	}
	if len(a.queue) != len(model) || len(a.place) != len(model) {
		t.Errorf("queue of %d, index of %d, want %d", len(a.queue), len(a.place), len(model))
	}
}

// The operator's message that ends the session of a disabled user may be lost.
func TestAnAuditEndsTheSessionOfADisabledUser(t *testing.T) {
	w := newWorld(t)
	n := w.node(Config{AuditInterval: 50 * time.Millisecond}, nil)
	a, b := w.online(n.addr, ann), w.online(n.addr, bob)
	accounts := directoryv1.NewAccountsClient(w.directory)
	if _, err := accounts.SetDisabled(t.Context(), &directoryv1.SetDisabledRequest{Email: bob, Disabled: true}); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := b.next(); err != nil {
			break
		}
	}
	for {
		m, err := a.next()
		if err != nil {
			t.Fatal(err)
		}
		if m.Verb == "FLN" && m.Arg(0) == bob {
			break
		}
	}
}

// A later release may have changes that this one does not know.
func TestAnUnknownChangeOfTheListsIsReadAnew(t *testing.T) {
	s := &session{phase: msnp.Present}
	s.lists.version = 4
	known := &clusterv1.ListChanged{Version: 5, Change: &clusterv1.ListChanged_ReverseRemoved{ReverseRemoved: true}}
	if (listChangedEvent{known}).mayBlock(s) {
		t.Error("a change that is known and next: want it made at once")
	}
	if !(listChangedEvent{&clusterv1.ListChanged{Version: 5}}).mayBlock(s) {
		t.Error("a change that is not known: want the lists read anew")
	}
}

func BenchmarkATickWithNobodyDue(b *testing.B) {
	a, now := testAuditor(), time.Now()
	for range 50_000 {
		a.again(new(session), now.Add(time.Minute+rand.N(time.Hour)))
	}
	for b.Loop() {
		a.take(now)
	}
}
