package front

import (
	"testing"
	"time"

	"github.com/monarch-msn/monarch/msnp"
)

func TestRate(t *testing.T) {
	r := Rate{Limit: 5, Window: time.Minute}
	a, b := msnp.MakeEmail("ann@example.com"), msnp.MakeEmail("bob@example.com")
	start := time.Now()
	for i := range r.Limit {
		at := start.Add(time.Duration(i) * time.Second)
		if r.Full(a, at) {
			t.Fatalf("full after %d", i)
		}
		r.Add(a, at)
	}
	if !r.Full(a, start.Add(5*time.Second)) {
		t.Error("after five: want full")
	}
	if r.Full(b, start.Add(5*time.Second)) {
		t.Error("somebody else: want not full")
	}
	if r.Full(a, start.Add(r.Window)) {
		t.Error("once the first is past: want not full")
	}
	r.Add(b, start.Add(3*r.Window))
	if len(r.byUser) != 1 {
		t.Errorf("%d users are remembered, want one", len(r.byUser))
	}
}
