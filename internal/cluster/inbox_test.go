package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

func TestMessagesArriveInOrder(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a, b := e.start(t), e.start(t)
		const n = 2000
		for i := range n {
			a.Send(b.ID(), notice(fmt.Sprint(i)))
		}
		for i, got := range b.await(t, "deliver", n) {
			if got.text != fmt.Sprint(i) || got.peer != a.ID() {
				t.Fatalf("message %d is %v", i, got)
			}
		}
		if batches := a.out.settled()[b.ID()]; batches >= n {
			t.Errorf("%d messages sent at once left in %d batches", n, batches)
		}
		if got := b.noted("resync"); len(got) > 0 {
			t.Errorf("resyncs without a loss: %v", got)
		}
	})
}

func TestFlushWaitsForEverythingSent(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a, b := e.start(t), e.start(t)
		for i := range 500 {
			a.Send(b.ID(), notice(fmt.Sprint(i)))
			a.Send(a.ID(), notice(fmt.Sprint(i)))
		}
		if err := a.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		if queued := a.out.queued(); queued != 0 {
			t.Errorf("%d bytes are queued after Flush", queued)
		}
		if got := len(a.noted("deliver")); got != 500 {
			t.Errorf("%d of 500 messages to the node itself are delivered after Flush", got)
		}
		b.await(t, "deliver", 500)
		// What one has sent the other has handled.
		aSent, aHandled := a.Traffic()
		bSent, bHandled := b.Traffic()
		if aSent+bSent != 1000 || aHandled+bHandled != 1000 {
			t.Errorf("sent %d+%d, handled %d+%d; want 1000 each", aSent, bSent, aHandled, bHandled)
		}

		a.wire.cut()
		a.Send(b.ID(), notice("stuck"))
		ctx, cancel := context.WithTimeout(context.Background(), e.timing.Beat)
		defer cancel()
		if err := a.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush without Redis: %v", err)
		}
		// What was stuck is given up in the end, which the next one tells, and
		// only that.
		if err := a.Flush(context.Background()); !errors.Is(err, ErrUnavailable) {
			t.Errorf("Flush of what was given up: want %v, got %v", ErrUnavailable, err)
		}
		if err := a.Flush(context.Background()); err != nil {
			t.Errorf("Flush behind a loss that was told: %v", err)
		}
	})
}

func TestUndelivered(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a := e.start(t)
		a.Send("nobody", notice("one"))
		a.Send("nobody", notice("two"))
		got := a.await(t, "undelivered", 2)
		if got[0] != (event{"undelivered", "nobody", "one"}) || got[1] != (event{"undelivered", "nobody", "two"}) {
			t.Errorf("undelivered: %v", got)
		}
		if sent, _ := a.Traffic(); sent != 0 {
			t.Errorf("%d messages count as sent", sent)
		}
	})
}

func TestAsk(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a := e.start(t)
		b := e.prepare(t)
		a.answer = func(m *clusterv1.Message) *clusterv1.Message { return notice("a: " + m.GetNotice().GetText()) }
		b.answer = func(m *clusterv1.Message) *clusterv1.Message { return notice("b: " + m.GetNotice().GetText()) }
		b.run(t)
		b.awaitClosed(t, b.Ready(), "the node to join")

		ctx := context.Background()
		for _, test := range []struct{ to, want string }{
			{b.ID(), "b: hello"},
			{a.ID(), "a: hello"}, // itself, without Redis
		} {
			reply, err := a.Ask(ctx, test.to, notice("hello"))
			if err != nil || reply.GetNotice().GetText() != test.want {
				t.Errorf("Ask: %v, %v; want %q", reply, err, test.want)
			}
		}

		b.answer = nil // hears, and says nothing
		short, cancel := context.WithTimeout(ctx, e.timing.Beat)
		defer cancel()
		if _, err := a.Ask(short, b.ID(), notice("hello")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Ask of one who does not answer: %v", err)
		}

		b.kill()
		if _, err := a.Ask(ctx, b.ID(), notice("hello")); !errors.Is(err, ErrNobody) {
			t.Errorf("Ask of a dead node: %v", err)
		}
		if got := a.noted("undelivered"); len(got) > 0 {
			t.Errorf("an ask came back: %v", got)
		}

		a.stop()
		if _, err := a.Ask(ctx, "anybody", notice("hello")); !errors.Is(err, ErrUnavailable) {
			t.Errorf("Ask after the end: %v", err)
		}
		if open := len(a.asks.waiting); open > 0 {
			t.Errorf("%d asks are still open", open)
		}
	})
}

// A subscription that breaks loses what is published until it is back. Nothing
// but the second confirmation tells, and it must bring one resync, not one for
// each peer that had something to say.
func TestLostSubscriptionResyncsOnce(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a, b := e.start(t), e.start(t)
		a.Send(b.ID(), notice("before"))
		b.await(t, "deliver", 1)

		b.wire.refuseSubscriptions(true)
		b.wire.cutSubscriptions()
		// Sent until one is certainly lost.
		for len(a.noted("undelivered")) == 0 {
			a.Send(b.ID(), notice("lost"))
			if err := a.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		b.wire.refuseSubscriptions(false)

		got := b.await(t, "resync", 1)
		if got[0] != (event{"resync", "", ResyncSubscribed}) {
			t.Errorf("resync: %v", got[0])
		}
		a.Send(b.ID(), notice("after"))
		b.until(t, "the message sent after", func() bool {
			got := b.noted("deliver")
			return got[len(got)-1].text == "after"
		})
		time.Sleep(10 * e.timing.Refresh) // what a gap would take to be found
		if got := b.noted("resync"); len(got) != 1 {
			t.Errorf("resyncs: %v, want one", got)
		}
	})
}

// A connection may look alive and bring nothing any more.
func TestDeafSubscriptionIsOpenedAnew(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a := e.start(t)
		a.wire.deafen()
		got := a.await(t, "resync", 1)
		if got[0] != (event{"resync", "", ResyncSubscribed}) {
			t.Errorf("resync: %v", got[0])
		}
		if got := a.noted("gone"); len(got) > 0 {
			t.Errorf("gone: %v", got)
		}
	})
}

// put publishes raw bytes to a node's inbox.
func put(t *testing.T, c *Client, to string, payload []byte) {
	t.Helper()
	pipe := c.rdb.Pipeline()
	n := c.publish(context.Background(), pipe, c.keys.inbox(to), payload)
	if _, err := pipe.Exec(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n.Val() != 1 {
		t.Fatalf("publish reached %d subscribers", n.Val())
	}
}

func encoded(t *testing.T, from string, sequence uint64, texts ...string) []byte {
	t.Helper()
	b := &clusterv1.Batch{From: from, Sequence: sequence}
	for _, text := range texts {
		b.Messages = append(b.Messages, notice(text))
	}
	payload, err := proto.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func TestBatchesFromOutside(t *testing.T) {
	// A message of a kind that this release does not know.
	unknown := protowire.AppendTag(nil, 200, protowire.BytesType)
	unknown = protowire.AppendString(unknown, "from the future")
	future := protowire.AppendTag(encoded(t, "peer", 5), batchMessages, protowire.BytesType)
	future = protowire.AppendBytes(future, unknown)
	future = append(future, encoded(t, "peer", 5, "five")...)

	suite(t, func(t *testing.T, e *engine) {
		a, c := e.start(t), e.client(t)
		for _, payload := range [][]byte{
			[]byte("\xff\xff nonsense"),
			encoded(t, "", 1, "no sender"),
			encoded(t, "peer", 0, "no sequence"),
			encoded(t, string(bytes.Repeat([]byte("x"), maxID+1)), 1, "sender too long"),
			encoded(t, "giant", 1, string(bytes.Repeat([]byte("x"), maxBatch))),
			encoded(t, "peer", 1, "one"),
			encoded(t, "peer", 1, "one, repeated"),
			encoded(t, "peer", 2, "two"),
			encoded(t, "peer", 4, "four"), // the third is missing
			encoded(t, "peer", 3, "three, too late"),
			future,
			encoded(t, "other", 1, "other"),
		} {
			put(t, c, a.ID(), payload)
		}
		a.await(t, "deliver", 5)
		want := []event{
			{"deliver", "peer", "one"},
			{"deliver", "peer", "two"},
			{"resync", "peer", ResyncGap},
			{"deliver", "peer", "four"},
			{"deliver", "peer", "five"},
			{"deliver", "other", "other"},
		}
		if got := a.noted(""); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("events: %v\nwant:   %v", got, want)
		}
	})
}

// The last batch of a peer may be the one that is missing: no later one tells,
// but the peer's beat does.
func TestBeatTellsOfMissingBatches(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a, b := e.start(t), e.start(t)
		meet(t, a, b)
		a.Send(b.ID(), notice("one"))
		b.await(t, "deliver", 1)
		time.Sleep(5 * e.timing.Refresh)
		if got := b.noted("resync"); len(got) > 0 {
			t.Fatalf("resync without a loss: %v", got)
		}

		// The node believes that it has sent one more.
		a.out.mu.Lock()
		q := a.out.queues[b.ID()]
		q.sequence++
		q.settled++
		a.out.mu.Unlock()
		got := b.await(t, "resync", 1)
		if got[0] != (event{"resync", a.ID(), ResyncGap}) {
			t.Errorf("resync: %v", got[0])
		}
		a.Send(b.ID(), notice("three"))
		b.await(t, "deliver", 2)
		time.Sleep(5 * e.timing.Refresh)
		if got := b.noted("resync"); len(got) != 1 {
			t.Errorf("the same loss was found again: %v", got)
		}
	})
}

// While Redis is away nobody is held up, memory is bounded, and what had to be
// dropped is found out when it is back.
func TestRedisAwayForTheSender(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a := e.start(t, func(c *MemberConfig) { c.QueueBytes = 10_000 })
		b := e.start(t)
		meet(t, a, b)
		a.Send(b.ID(), notice("first"))
		b.await(t, "deliver", 1)

		a.wire.cut()
		for i := range 1000 {
			a.Send(b.ID(), notice(fmt.Sprintf("%0100d", i)))
		}
		if queued := a.out.queued(); queued > 10_000 {
			t.Errorf("%d bytes are queued, bound is 10000", queued)
		}
		a.wire.mend()
		// The first messages may be kept; those that are missing are behind them.
		got := b.await(t, "resync", 1)
		if got[0] != (event{"resync", a.ID(), ResyncGap}) {
			t.Errorf("resync: %v", got[0])
		}
		delivered := b.noted("deliver")
		for i, got := range delivered[1:] {
			if got.text != fmt.Sprintf("%0100d", i) {
				t.Fatalf("message %d is %q", i, got.text)
			}
		}
		if n := len(delivered); n < 2 || n > 100 {
			t.Errorf("%d messages arrived", n)
		}
	})
}

func TestMessagesThatCannotBeSent(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		a, b := e.start(t), e.start(t)
		ctx := context.Background()
		for name, text := range map[string]string{
			"too large": string(bytes.Repeat([]byte("x"), maxMessage)),
			"not UTF-8": "\xff",
		} {
			if _, err := a.Ask(ctx, b.ID(), notice(text)); !errors.Is(err, ErrUnavailable) {
				t.Errorf("Ask with a message that is %s: %v", name, err)
			}
		}
		a.Send(b.ID(), notice("fine"))
		if got := b.await(t, "deliver", 1); got[0].text != "fine" {
			t.Errorf("delivered: %v", got)
		}
	})
}

// A subscription is given up when two pulses in a row have reached nobody, and
// nothing was subscribed between them.
func TestPulsesThatReachNobody(t *testing.T) {
	suite(t, func(t *testing.T, e *engine) {
		n := e.start(t, func(c *MemberConfig) {
			c.Timing.Lease, c.Timing.Beat = 48*time.Hour, 24*time.Hour // only the test sends pulses
		})
		in := n.inbox()
		for _, pulse := range []struct {
			confirmed uint64
			reached   int64
		}{{1, 0}, {1, 1}, {1, 0}, {2, 0}, {1, 0}, {0, 0}, {0, 0}, {1, 0}} {
			in.pulsed(pulse.confirmed, pulse.reached)
		}
		if got := in.confirmed.Load(); got != 1 || len(n.noted("resync")) > 0 {
			t.Errorf("confirmed %d times, %v", got, n.noted("resync"))
		}
		in.pulsed(1, 0)
		n.await(t, "resync", 1)
		if got := in.confirmed.Load(); got != 2 {
			t.Errorf("confirmed %d times, want once more", got)
		}
	})
}
