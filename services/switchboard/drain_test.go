package switchboard

import (
	"context"
	"testing"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// drain begins a drain; the channel brings what comes of it.
func (b *board) drain(ctx context.Context) <-chan error {
	b.t.Helper()
	drained := make(chan error, 1)
	go func() { drained <- b.Drain(ctx) }()
	b.until("the node to say that it drains", func() bool { return b.Ready() != nil })
	return drained
}

func TestMembersOfANodeThatEndsHearTheOthersLeave(t *testing.T) {
	b := newBoard(t, Config{})
	n := b.node()
	a := b.found(ann)
	q := b.join(a, n, bob)
	lone := b.found(cat)
	b.stop()
	a.hears("BYE " + bob)
	a.closed()
	q.hears("BYE " + ann)
	q.closed()
	lone.closed()
	if b.Rooms() != 0 || b.Members() != 0 {
		t.Errorf("%d rooms with %d members are left", b.Rooms(), b.Members())
	}
}

func TestDrainWaitsForRooms(t *testing.T) {
	b := newBoard(t, Config{ArrivalTime: time.Millisecond})
	n := b.node()
	a := b.found(ann)
	ticket := b.ticket(bob, b.ID(), time.Minute)
	drained := b.drain(t.Context())
	b.until("nobody to be sent here", b.Service.drain.Alone)
	// Who has a ticket is let in, and so is who is called.
	q := b.dial()
	q.says("USR 1 " + bob + " " + ticket)
	q.hears("USR 1 OK " + bob + " Bob")
	c := b.join(q, n, cat)
	a.says("OUT")
	a.closed()
	q.message(2, "A", []byte("still here"))
	c.gets([]byte("still here"))
	q.hears("ACK 2")
	select {
	case err := <-drained:
		t.Fatalf("drained with a room left: %v", err)
	default:
	}
	q.says("OUT")
	q.closed()
	c.hears("BYE " + bob)
	c.says("OUT")
	c.closed()
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if n := b.Rooms(); n != 0 {
		t.Errorf("drained with %d rooms left", n)
	}
}

// A client that was sent here before anybody knew of the drain arrives when no
// room is left.
func TestDrainWaitsForThoseOnTheirWay(t *testing.T) {
	b := newBoard(t, Config{ArrivalTime: patience, DrainTime: 2 * patience})
	drained := b.drain(t.Context())
	b.until("nobody to be sent here", b.Service.drain.Alone)
	a := b.found(ann)
	a.says("PNG")
	a.hears("QNG")
	select {
	case err := <-drained:
		t.Fatalf("drained while somebody was to come: %v", err)
	default:
	}
}

func TestDrainHasABudget(t *testing.T) {
	b := newBoard(t, Config{DrainTime: time.Millisecond})
	n := b.node()
	a := b.found(ann)
	q := b.join(a, n, bob)
	if err := b.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	a.hears("BYE " + bob)
	a.closed()
	q.hears("BYE " + ann)
	q.closed()
	hurried := newBoard(t, Config{})
	a = hurried.found(ann)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := hurried.Drain(ctx); err == nil {
		t.Error("a drain that was cut short: want an error")
	}
	a.says("PNG")
	a.hears("QNG")
}

// tell has another node send this one a word on draining, and returns the
// answer.
func (n *node) tell(b *board, resume bool) clusterv1.State {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	answer, err := n.Ask(ctx, b.ID(), &clusterv1.Message{Kind: &clusterv1.Message_Drain{Drain: &clusterv1.Drain{Resume: resume}}})
	if err != nil {
		n.t.Fatal(err)
	}
	return answer.GetDrain().GetState()
}

func TestTheOperatorDrainsAndResumes(t *testing.T) {
	b := newBoard(t, Config{ArrivalTime: time.Millisecond})
	n := b.node()
	serving, draining := clusterv1.State_STATE_SERVING, clusterv1.State_STATE_DRAINING
	a := b.found(ann)
	seen := func(want clusterv1.State) func() bool {
		return func() bool { return n.View().Node(b.ID()).GetState() == want }
	}
	for i, step := range []struct {
		resume bool
		want   clusterv1.State
	}{
		{true, serving}, {false, draining}, {false, draining}, {true, serving}, {true, serving}, {false, draining},
	} {
		if got := n.tell(b, step.resume); got != step.want {
			t.Errorf("word %d: want %v, got %v", i+1, step.want, got)
		}
		b.until("the others to see it", seen(step.want))
		if ready := b.Ready() == nil; ready != (step.want == serving) {
			t.Errorf("word %d: ready is %t", i+1, ready)
		}
	}
	if _, err := n.View().Pick(clusterv1.Role_ROLE_SWITCHBOARD); err == nil {
		t.Error("a draining switchboard is picked for a new room")
	}
	// The process is told to end: no word of the operator brings it back.
	drained := b.drain(t.Context())
	if got := n.tell(b, true); got != draining {
		t.Errorf("resume of a process that ends: want %v, got %v", draining, got)
	}
	a.says("OUT")
	a.closed()
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// Two drains with a resume in between are each as long as they must be: what is
// left of the first does not end the second.
func TestADrainBeginsAnewAfterAResume(t *testing.T) {
	b := newBoard(t, Config{DrainTime: time.Millisecond})
	b.Service.drain.Begin()
	b.until("the first to be over", func() bool { return b.Service.drain.Alone() })
	b.Service.drain.Resume()
	a := b.found(ann)
	b.Service.drain.Begin()
	a.closed()
}
