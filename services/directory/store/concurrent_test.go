package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/monarch-msn/monarch/msnp"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// A ledger has every version that an edit answered with. None may be missing at
// the end, and none be given out twice: else two edits did not see each other.
type ledger struct {
	mu    sync.Mutex
	given map[string]map[uint32]int
}

func (l *ledger) note(email string, version uint32, touched []*directoryv1.Touched) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.given == nil {
		l.given = make(map[string]map[uint32]int)
	}
	add := func(email string, version uint32) {
		if l.given[email] == nil {
			l.given[email] = make(map[uint32]int)
		}
		l.given[email][version]++
	}
	if email != "" {
		add(email, version)
	}
	for _, u := range touched {
		add(u.GetEmail(), u.GetVersion())
	}
}

// check compares the ledger with the versions that users have.
func (l *ledger) check(t *testing.T, s *Store, names []string) {
	t.Helper()
	for _, name := range names {
		last := version(t, s, name)
		given := l.given[address(name)]
		if uint32(len(given)) != last-1 {
			t.Errorf("%s: version %d after %d edits", name, last, len(given))
		}
		for v, times := range given {
			if v < 2 || v > last || times != 1 {
				t.Errorf("%s: version %d given out %d times, the last is %d", name, v, times, last)
			}
		}
	}
}

// checkReverse sees that everybody's RL is what the others' FL say.
func checkReverse(t *testing.T, s *Store, names []string) {
	t.Helper()
	forward, reverse := make(map[string]bool), make(map[string]bool)
	for _, name := range names {
		for _, m := range snapshotOf(t, s, name).GetMembers() {
			on := msnp.List(m.GetLists())
			if on.Has(msnp.FL) {
				forward[address(name)+" "+m.GetEmail()] = true
			}
			if on.Has(msnp.RL) {
				reverse[m.GetEmail()+" "+address(name)] = true
			}
			if on.Has(msnp.AL) && on.Has(msnp.BL) {
				t.Errorf("%s has %s on AL and BL", name, m.GetEmail())
			}
		}
	}
	for p := range forward {
		if !reverse[p] {
			t.Errorf("%s: on FL and not on RL", p)
		}
	}
	for p := range reverse {
		if !forward[p] {
			t.Errorf("%s: on RL and not on FL", p)
		}
	}
}

func people(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("user%c", 'a'+i)
	}
	return names
}

// refusedOnly reports any error that is no refusal.
func refusedOnly(t *testing.T, err error) (ok bool) {
	var refusal *Refusal
	if err != nil && !errors.As(err, &refusal) {
		t.Errorf("an edit failed: %v", err)
	}
	return err == nil
}

// randomEdit is one edit of p's lists that may or may not be refused.
func randomEdit(p person, names []string) (*directoryv1.EditResponse, error) {
	other := names[rand.N(len(names))]
	group := uint32(rand.N(3))
	switch rand.N(12) {
	case 0, 1, 2:
		return p.add(fl, other, "")
	case 3, 4:
		return p.remove(fl, other)
	case 5:
		return p.add(fl, other, "", group)
	case 6:
		return p.add(al, other, "")
	case 7:
		return p.remove(al, other)
	case 8:
		return p.addGroup("G")
	case 9:
		return p.removeGroup(1+group, rand.N(2) == 0)
	case 10:
		return p.setPhone("PHH", "1")
	}
	return p.rename(p.name, "N")
}

func TestManyEditsAtOnce(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		// Two stores over one database, as two directories would have.
		s := ready(t, url)
		other := openAt(t, url)
		names := people(8)
		signUp(t, s, names...)
		var l ledger
		var done sync.WaitGroup
		for worker := range 12 {
			st := s
			if worker%4 == 0 {
				st = other
			}
			done.Go(func() {
				for range 25 {
					p := person{t, st, names[rand.N(len(names))]}
					if rand.N(20) == 0 {
						var rows []*directoryv1.NewContact
						for range 5 {
							rows = append(rows, &directoryv1.NewContact{Owner: address(names[rand.N(len(names))]), Contact: address(names[rand.N(len(names))])})
						}
						if answer, err := st.ImportContacts(t.Context(), limits, rows); refusedOnly(t, err) {
							l.note("", 0, answer.GetTouched())
						}
						continue
					}
					answer, err := randomEdit(p, names)
					if !refusedOnly(t, err) {
						continue
					}
					l.note(address(p.name), answer.GetVersion(), answer.GetTouched())
				}
			})
		}
		done.Wait()
		l.check(t, s, names)
		checkReverse(t, s, names)
	})
}

func TestMutualAddsAtOnce(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		s := ready(t, url)
		names := people(2)
		signUp(t, s, names...)
		var l ledger
		for range 20 {
			var done sync.WaitGroup
			for i := range names {
				done.Go(func() {
					p, other := person{t, s, names[i]}, names[1-i]
					answer, err := p.add(fl, other, "")
					if err != nil {
						t.Errorf("add: %v", err)
						return
					}
					l.note(address(p.name), answer.GetVersion(), answer.GetTouched())
					if answer, err = p.remove(fl, other); err != nil {
						t.Errorf("remove: %v", err)
						return
					}
					l.note(address(p.name), answer.GetVersion(), answer.GetTouched())
				})
			}
			done.Wait()
		}
		l.check(t, s, names)
		for _, name := range names {
			if v := version(t, s, name); v != 1+20*4 {
				t.Errorf("%s: want version %d, got %d", name, 1+20*4, v)
			}
		}
	})
}

// One person is added by everybody at once, and goes on editing meanwhile: who
// waits long for a lock must not find its plan overtaken again and again.
func TestEditsOfSomebodyWhomEverybodyAdds(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		s := ready(t, url)
		const fans = 40
		names := []string{"star"}
		for i := range fans {
			names = append(names, fmt.Sprintf("fan%d", i))
		}
		signUp(t, s, names...)
		star := person{t, s, "star"}
		wide := limits
		wide.Reverse = fans
		var l ledger
		var done sync.WaitGroup
		for _, name := range names[1:] {
			done.Go(func() {
				r := &directoryv1.AddMemberRequest{Edit: &directoryv1.Edit{Email: address(name), Version: 1}, List: fl, Member: address("star")}
				answer, err := s.AddMember(t.Context(), wide, r)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				l.note(address(name), answer.GetVersion(), answer.GetTouched())
			})
		}
		done.Go(func() {
			for i := range 10 {
				answer, err := star.setPhone("PHH", fmt.Sprint(i))
				if err != nil {
					t.Errorf("star: %v", err)
					return
				}
				l.note(address("star"), answer.GetVersion(), answer.GetTouched())
			}
		})
		done.Wait()
		l.check(t, s, names)
		checkReverse(t, s, names)
	})
}

// Somebody is deleted while others put that person on their lists: no list may
// change without its version.
func TestDeletingAmidEdits(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		s := ready(t, url)
		stay, leave := []string{"stay1", "stay2", "stay3"}, []string{"go1", "go2"}
		signUp(t, s, append(stay, leave...)...)
		var l ledger
		var edits, deletes sync.WaitGroup
		stop := make(chan struct{})
		for _, name := range stay {
			edits.Go(func() {
				p := person{t, s, name}
				for {
					select {
					case <-stop:
						return
					default:
					}
					x := []directoryv1.List{fl, al, bl}[rand.N(3)]
					other := leave[rand.N(len(leave))]
					answer, err := p.add(x, other, "")
					if err != nil && reasonWas(err, directoryv1.Reason_REASON_ALREADY_THERE) {
						answer, err = p.remove(x, other)
					}
					if refusedOnly(t, err) {
						l.note(address(name), answer.GetVersion(), survivors(answer.GetTouched()))
					}
				}
			})
		}
		for _, name := range leave {
			deletes.Go(func() {
				for range 15 {
					touched, err := s.DeleteAccount(t.Context(), address(name))
					if !refusedOnly(t, err) {
						return
					}
					l.note("", 0, survivors(touched))
					if _, err := s.CreateAccounts(t.Context(), []NewAccount{{Email: address(name), Password: "x", Name: "X", Verified: true}}); err != nil {
						t.Errorf("create: %v", err)
						return
					}
				}
			})
		}
		deletes.Wait()
		close(stop)
		edits.Wait()
		l.check(t, s, stay)
		checkReverse(t, s, append(stay, leave...))
	})
}

func reasonWas(err error, reason directoryv1.Reason) bool {
	var refusal *Refusal
	return errors.As(err, &refusal) && refusal.Reason == reason
}

// survivors leaves out those whose versions begin anew.
func survivors(touched []*directoryv1.Touched) []*directoryv1.Touched {
	var all []*directoryv1.Touched
	for _, u := range touched {
		if strings.HasPrefix(u.GetEmail(), "stay") {
			all = append(all, u)
		}
	}
	return all
}

// A snapshot that is read amid edits is one moment: its lists are those of its
// version.
func TestSnapshotsAmidEdits(t *testing.T) {
	eachEngine(t, func(t *testing.T, url string) {
		s := ready(t, url)
		signUp(t, s, "alice", "bob")
		alice := person{t, s, "alice"}
		var lists sync.Map // version to lists
		var readers sync.WaitGroup
		for range 3 {
			readers.Go(func() {
				for range 25 {
					snapshot, err := s.Snapshot(t.Context(), address("alice"))
					if err != nil {
						t.Errorf("snapshot: %v", err)
						return
					}
					got := listsOf(snapshot)
					if was, seen := lists.LoadOrStore(snapshot.GetVersion(), got); seen && was != got {
						t.Errorf("version %d was %s, and is %s", snapshot.GetVersion(), was, got)
					}
				}
			})
		}
		defer readers.Wait()
		done := make(chan struct{})
		go func() {
			readers.Wait()
			close(done)
		}()
		for {
			for _, err := range []error{second(alice.add(fl, "bob", "")), second(alice.addGroup("A")), second(alice.removeGroup(1, false)), second(alice.remove(fl, "bob"))} {
				if err != nil {
					t.Fatal(err)
				}
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
}
