package cluster

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"google.golang.org/protobuf/proto"
)

// decode reads a batch as its receiver does.
func decode(t *testing.T, b *batch) *clusterv1.Batch {
	t.Helper()
	got := new(clusterv1.Batch)
	if err := proto.Unmarshal(b.payload, got); err != nil {
		t.Fatal(err)
	}
	if got.From != b.from || got.Sequence != b.sequence || len(got.Messages) != len(b.items) {
		t.Fatalf("batch %d of %d messages reads %v", b.sequence, len(b.items), got)
	}
	return got
}

func mustPut(t *testing.T, o *outbox, to, text string) {
	t.Helper()
	if err := o.put(to, notice(text), nil); err != nil {
		t.Fatal(err)
	}
}

func TestOutboxGathersByDestination(t *testing.T) {
	o := newOutbox("me", 1<<20, time.Minute)
	for i := range 3 {
		mustPut(t, o, "a", fmt.Sprint("a", i))
		mustPut(t, o, "b", fmt.Sprint("b", i))
	}
	round, stale := o.take(o.waiting())
	if len(round) != 2 || len(stale) != 0 {
		t.Fatalf("%d batches, %d stale", len(round), len(stale))
	}
	for i, to := range []string{"a", "b"} {
		got := decode(t, round[i])
		if round[i].to != to || got.From != "me" || got.Sequence != 1 || got.Messages[2].GetNotice().GetText() != to+"2" {
			t.Errorf("batch %d to %s: %v", i, round[i].to, got)
		}
	}
	mustPut(t, o, "a", "next")
	mustPut(t, o, "c", "first")
	if got := o.waiting(); !slices.Equal(got, []string{"c"}) {
		t.Errorf("waiting while a and b have a batch under way: %v", got)
	}
	if sent := o.settled(); len(sent) != 0 {
		t.Errorf("settled before any answer: %v", sent)
	}
	for _, b := range round {
		o.settle(b)
	}
	next, _ := o.take(o.waiting())
	if len(next) != 2 || next[0].to != "a" || next[0].sequence != 2 || next[1].to != "c" {
		t.Errorf("next round: %v", next)
	}
	for _, b := range next {
		o.settle(b)
	}
	if sent := o.settled(); sent["a"] != 2 || sent["b"] != 1 {
		t.Errorf("settled: %v", sent)
	}
	if o.queued() != 0 || len(o.open) != 0 {
		t.Errorf("%d bytes queued, %v open", o.queued(), o.open)
	}
}

func TestOutboxBoundsBatchesAndRounds(t *testing.T) {
	o := newOutbox("me", outboxBytes, time.Minute)
	const size = 100 << 10
	text := string(slices.Repeat([]byte("x"), size))
	n := 2 * roundBytes / size
	for range n {
		mustPut(t, o, "a", text)
	}
	got, sequence := 0, uint64(0)
	for rounds := 0; got < n; rounds++ {
		round, _ := o.take(o.waiting())
		bytes := 0
		for _, b := range round {
			decode(t, b)
			sequence++
			if b.sequence != sequence || len(b.payload) > batchBytes+64 {
				t.Errorf("batch %d of %d bytes, want %d", b.sequence, len(b.payload), sequence)
			}
			bytes += len(b.payload)
			got += len(b.items)
			o.settle(b)
		}
		if bytes > roundBytes+batchBytes {
			t.Errorf("a round of %d bytes", bytes)
		}
		if len(round) == 0 {
			t.Fatalf("nothing to take after %d of %d messages", got, n)
		}
	}
}

// What is dropped leaves a hole in the numbers: before the next batch if there
// is one, and else in what the beat tells.
func TestOutboxDropsLeaveAHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox("me", 100, 10*time.Second)
		sixty := string(slices.Repeat([]byte("x"), 60))
		mustPut(t, o, "a", sixty)
		if err := o.put("a", notice(sixty), nil); !errors.Is(err, errFull) {
			t.Errorf("put over the bound: %v", err)
		}
		mustPut(t, o, "b", sixty) // another destination has its own
		round, _ := o.take(o.waiting())
		if round[0].sequence != 2 {
			t.Errorf("batch behind a drop has number %d", round[0].sequence)
		}
		for _, b := range round {
			o.settle(b)
		}

		mustPut(t, o, "a", "old")
		time.Sleep(11 * time.Second)
		round, stale := o.take(o.waiting())
		if len(round) != 0 || len(stale) != 1 {
			t.Fatalf("%d batches, %d stale", len(round), len(stale))
		}
		o.discard(stale)
		if sent := o.settled(); sent["a"] != 3 || sent["b"] != 1 {
			t.Errorf("settled: %v, want the dropped one counted", sent)
		}

		// One drop after another, with a batch under way.
		mustPut(t, o, "a", "under way")
		round, _ = o.take(o.waiting())
		mustPut(t, o, "a", "old")
		time.Sleep(11 * time.Second)
		_, stale = o.take([]string{"a"})
		o.discard(stale)
		if sent := o.settled(); sent["a"] != 3 {
			t.Errorf("settled: %v, but a batch is under way", sent)
		}
		o.settle(round[0])
		if sent := o.settled(); sent["a"] != 5 {
			t.Errorf("settled: %v, want 4 and the dropped one", sent)
		}
		if len(o.open) != 0 {
			t.Errorf("open: %v", o.open)
		}
	})
}

// Whoever waits for what was put learns of its loss, and of no other.
func TestFlushTellsWhatWasDropped(t *testing.T) {
	publish := func(o *outbox) {
		for round, _ := o.take(o.waiting()); len(round) > 0; round, _ = o.take(o.waiting()) {
			for _, b := range round {
				o.settle(b)
			}
		}
	}
	lose := func(o *outbox) {
		round, _ := o.take(o.waiting())
		for _, b := range round {
			o.drop(b.items, errStale)
			o.settle(b)
		}
	}
	large := notice(string(make([]byte, maxMessage)))
	for _, tt := range []struct {
		name string
		do   func(o *outbox)
		want error
	}{
		{"all is published", func(o *outbox) { mustPut(t, o, "a", "one"); publish(o) }, nil},
		{"one is given up", func(o *outbox) { mustPut(t, o, "a", "one"); lose(o) }, errStale},
		{"one of two is given up", func(o *outbox) {
			mustPut(t, o, "a", "one")
			lose(o)
			mustPut(t, o, "a", "two")
			publish(o)
		}, errStale},
		{"one is too large", func(o *outbox) { _ = o.put("a", large, nil) }, errLarge},
		{"one that is asked is told its asker", func(o *outbox) { _ = o.put("a", large, new(asked)) }, nil},
		{"one is left at the end", func(o *outbox) { mustPut(t, o, "a", "one"); o.end() }, errEnded},
	} {
		o := newOutbox("me", outboxBytes, time.Minute)
		tt.do(o)
		if err := o.flush(t.Context()); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: want %v, got %v", tt.name, tt.want, err)
		}
		if err := o.flush(t.Context()); err != nil || len(o.missed) > 0 {
			t.Errorf("%s: want nothing of it the second time, got %v, %v", tt.name, err, o.missed)
		}
	}

	// Two wait for the same message, the one since before the other has sent.
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox("me", outboxBytes, time.Minute)
		told := make(chan error, 2)
		mustPut(t, o, "a", "one")
		for range 2 {
			go func() { told <- o.flush(t.Context()) }()
			synctest.Wait()
		}
		lose(o)
		for range 2 {
			if err := <-told; !errors.Is(err, errStale) {
				t.Errorf("want both told %v, got %v", errStale, err)
			}
		}
	})
}

func TestOutboxLeavesOutWhatNobodyWaitsFor(t *testing.T) {
	o := newOutbox("me", 1<<20, time.Minute)
	var q asks
	left, waits := q.open(), q.open()
	for _, a := range []*asked{left, waits} {
		if err := o.put("a", notice("ask"), a); err != nil {
			t.Fatal(err)
		}
	}
	q.close(left)
	round, stale := o.take(o.waiting())
	if len(round) != 1 || len(round[0].items) != 1 || len(stale) != 1 || round[0].sequence != 1 {
		t.Errorf("took %v, stale %v", round, stale)
	}
}

// Under a new id the numbers begin at 1 again, and what was under way under the
// old one does not count.
func TestOutboxRestarts(t *testing.T) {
	o := newOutbox("old", 1<<20, time.Minute)
	mustPut(t, o, "a", "one")
	underWay, _ := o.take(o.waiting())
	mustPut(t, o, "a", "two")
	mustPut(t, o, "b", "two")
	o.restart("new")
	o.settle(underWay[0])
	if sent := o.settled(); len(sent) != 0 {
		t.Errorf("settled: %v", sent)
	}
	round, _ := o.take(o.waiting())
	for _, b := range round {
		if got := decode(t, b); got.From != "new" || got.Sequence != 1 {
			t.Errorf("batch to %s: %v", b.to, got)
		}
	}
	if len(round) != 2 {
		t.Errorf("%d batches", len(round))
	}
	o.forget("a")
	if got := o.destinations(); !slices.Equal(got, []string{"b"}) {
		t.Errorf("destinations: %v", got)
	}
}

func TestOutboxEnds(t *testing.T) {
	o := newOutbox("me", 1<<20, time.Minute)
	mustPut(t, o, "a", "left")
	if left := o.end(); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
	if err := o.put("a", notice("late"), nil); !errors.Is(err, errEnded) {
		t.Errorf("put after the end: %v", err)
	}
	if o.queued() != 0 || len(o.open) != 0 {
		t.Errorf("%d bytes queued, %v open", o.queued(), o.open)
	}
}

func BenchmarkSend(b *testing.B) {
	o := newOutbox("me", outboxBytes, time.Hour)
	msg := &clusterv1.Message{Kind: &clusterv1.Message_Presence{Presence: &clusterv1.Presence{
		Email: "alice@example.com", Node: newID(), Epoch: 1 << 50, Count: 3, Status: "AWY", Name: "Alice",
		Probes: []*clusterv1.Probe{{Email: "bob@example.com"}, {Email: "carol@example.com"}, {Email: "dave@example.com"}},
	}}}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := o.put("a", msg, nil); err != nil {
			b.Fatal(err)
		}
		if i%100 == 99 {
			round, _ := o.take(o.waiting())
			for _, batch := range round {
				o.settle(batch)
			}
		}
	}
}
