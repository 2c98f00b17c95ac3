package notification

import (
	"testing"

	"github.com/monarch-msn/monarch/msnp"
)

func told(email string, epoch, count uint64) presenceEvent {
	return presenceEvent{presence: &presence{email: msnp.MakeEmail(email), at: place{epoch: epoch}, count: count}}
}

func TestAFullBoxDropsWhatANewerPresenceMakesSuperfluous(t *testing.T) {
	var b box
	probe := told("bob@example.com", 1, 2)
	probe.as.role = probed
	for _, e := range []event{told("bob@example.com", 1, 1), told("ann@example.com", 7, 1), probe, told("bob@example.com", 1, 3)} {
		if !b.put(e, 4) {
			t.Fatal("put in a box with room: refused")
		}
	}
	if !b.put(told("cat@example.com", 1, 1), 4) {
		t.Fatal("put in a full box with a superfluous event: refused")
	}
	want := []revision{{7, 1}, {1, 2}, {1, 3}, {1, 1}}
	for i, w := range want {
		p, ok := b.peek().(presenceEvent)
		if !ok {
			t.Fatalf("event %d: the box is empty", i)
		}
		if got := (revision{p.at.epoch, p.count}); got != w {
			t.Errorf("event %d: want revision %v, got %v of %s", i, w, got, p.email)
		}
		b.pop()
	}
	if !b.empty() {
		t.Error("the box holds more than what was put in")
	}
}

func TestABoxFullOfWhatMattersRefusesMore(t *testing.T) {
	var b box
	for i := range 3 {
		if !b.put(goneEvent{}, 3) {
			t.Fatalf("event %d of 3: refused", i+1)
		}
	}
	if b.put(goneEvent{}, 3) {
		t.Error("a fourth event fits into a box of three")
	}
}
