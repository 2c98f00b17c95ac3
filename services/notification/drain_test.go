package notification

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/monarch-msn/monarch/msnp"
	"github.com/monarch-msn/monarch/msnp/client"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// drains begins a drain that ends with the test; the channel brings what comes
// of it.
func (n *node) drains() <-chan error {
	n.w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var drained errgroup.Group
	done := make(chan error, 1)
	drained.Go(func() error {
		done <- n.Drain(ctx)
		return nil
	})
	n.w.t.Cleanup(func() {
		cancel()
		_ = drained.Wait()
	})
	n.w.until("the node to say that it drains", n.draining)
	return done
}

// A client that comes back at once to the node that sent it away is referred to
// one that serves, by the form of its dialect.
func TestADrainingNodeRefers(t *testing.T) {
	w := newWorld(t)
	one, two := w.node(Config{}, nil), w.node(Config{}, nil)
	w.know(one, two)
	one.drains()
	for _, d := range msnp.Dialects() {
		want := "XFR 2 NS " + two.addr
		switch d {
		case msnp.MSNP2:
		case msnp.MSNP7:
			want += " 0 " + one.addr
		default:
			want += " 0"
		}
		if got := w.answer(one.addr, d).Text; got != want {
			t.Errorf("%v: want %q, got %q", d, want, got)
		}
	}
}

// As long as clients are still sent here and there is nobody to refer them to,
// they are taken; the node before this one may be on its way back. Later they
// are told that there is none.
func TestADrainingNodeThatIsTheOnlyOne(t *testing.T) {
	w := newWorld(t)
	n := w.node(Config{DrainTime: time.Hour}, nil)
	first := w.online(n.addr, bob)
	n.drain.Begin()
	if !n.drain.Alone() {
		// The moment may be over already on a busy machine.
		if m := w.answer(n.addr, msnp.MSNP7); m.Verb != "USR" && !n.drain.Alone() {
			t.Errorf("while clients are sent here: want a challenge, got %q", m.Text)
		}
	}
	w.until("nobody to be sent here", n.drain.Alone)
	for d, want := range map[*msnp.Dialect]string{msnp.MSNP5: "601 2", msnp.MSNP7: "600 2"} {
		if got := w.answer(n.addr, d).Text; got != want {
			t.Errorf("%v: want %q, got %q", d, want, got)
		}
	}
	// Who is in is served as ever.
	first.do("CHG", "AWY")
	if first.do("REA", bob, "Robert").Arg(3) != "Robert" {
		t.Error("a session on a draining node cannot be renamed")
	}
}

// Those who were challenged before the drain began get in, and are ended like
// all others; the drain waits for them.
func TestALoginUnderWayFinishesAndIsShed(t *testing.T) {
	w := newWorld(t)
	directory := w.slow()
	n := w.node(Config{DrainTime: time.Second}, directory)
	c, err := client.Dial(t.Context(), n.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	hear := func() client.Message {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		m, err := c.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	say := func(line string) {
		t.Helper()
		if err := c.Send(line); err != nil {
			t.Fatal(err)
		}
	}
	say("VER 1 MSNP7")
	hear()
	say("USR 2 MD5 I " + ann)
	challenge := hear().Arg(3)
	drained := n.drains()
	w.until("nobody to be sent here", n.drain.Alone)
	sum := msnp.Respond(challenge, "secret")
	say("USR 3 MD5 S " + hex.EncodeToString(sum[:]))
	<-directory.asked
	select {
	case err := <-drained:
		t.Fatalf("drained while somebody was logging in: %v", err)
	default:
	}
	close(directory.answer)
	for _, want := range []string{"USR 3 OK " + ann, "MSG Hotmail Hotmail", "OUT SSD"} {
		if m := hear(); !strings.HasPrefix(m.Text, want) {
			t.Errorf("want %q, got %q", want, m.Text)
		}
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// A command under way is answered before its session ends.
func TestTheAnswerComesAheadOfTheEnd(t *testing.T) {
	w := newWorld(t)
	directory := w.slow()
	n := w.node(Config{DrainTime: time.Millisecond}, directory)
	go func() {
		<-directory.asked
		directory.answer <- struct{}{}
	}()
	a := w.online(n.addr, ann)
	if err := a.Send("REA 100 " + ann + " Annie"); err != nil {
		t.Fatal(err)
	}
	<-directory.asked
	// All are told, this session as soon as it is done.
	if err := <-n.drains(); err != nil {
		t.Error(err)
	}
	close(directory.answer)
	if m, err := a.next(); err != nil || m.Verb != "REA" || m.Arg(3) != "Annie" {
		t.Errorf("want the answer to REA, got %q, %v", m.Text, err)
	}
	a.closed("OUT SSD")
}

// A resume ends the shedding: who is still here stays, new clients are taken.
func TestADrainIsResumed(t *testing.T) {
	w := newWorld(t)
	n := w.node(Config{DrainTime: time.Hour}, nil)
	other := w.node(Config{}, nil)
	w.know(n, other)
	a := w.online(n.addr, ann)
	n.drain.Begin()
	w.until("nobody to be sent here", n.drain.Alone)
	if n.Ready() == nil {
		t.Error("a draining node is ready")
	}
	if !n.drain.Resume() {
		t.Fatal("the node does not resume")
	}
	if err := n.Ready(); err != nil {
		t.Errorf("a node that has resumed: %v", err)
	}
	b := w.online(n.addr, bob)
	if len(b.Referrals) != 0 {
		t.Errorf("sent on to %v", b.Referrals)
	}
	a.hears("NLN NLN " + bob + " " + bob)
	other.quiet(a)
	if got := n.Sessions(); got != 2 {
		t.Errorf("%d sessions, want 2", got)
	}
}

// Watchers on every node hear one FLN and one NLN of each who is moved, in
// this order.
func TestWhoIsMovedIsSeenToLeaveAndComeOnce(t *testing.T) {
	w := newWorld(t)
	one, two, three := w.node(Config{DrainTime: time.Millisecond}, nil), w.node(Config{}, nil), w.node(Config{}, nil)
	w.know(one, two, three)
	a, b, c := w.online(one.addr, ann), w.online(two.addr, bob), w.online(three.addr, cat)
	three.quiet() // whatever came so far
	for _, u := range []*user{b, c} {
		for u.do("CHG", "BSY").Verb != "CHG" {
		}
	}
	one.drain.Begin()
	for {
		m, err := a.next()
		if err != nil {
			t.Fatalf("want OUT SSD, got %v", err)
		}
		if m.Text == "OUT SSD" {
			break
		}
	}
	// Back to the address that it remembers.
	again := w.online(one.addr, ann)
	if len(again.Referrals) != 1 {
		t.Errorf("sent on to %v, want one other node", again.Referrals)
	}
	three.quiet()
	for _, u := range []*user{b, c} {
		if err := u.Send("PNG"); err != nil {
			t.Fatal(err)
		}
		var heard []string
		for {
			m, err := u.next()
			if err != nil {
				t.Fatal(err)
			}
			if m.Verb == "QNG" {
				break
			}
			if strings.Contains(m.Text, ann) {
				heard = append(heard, m.Text)
			}
		}
		want := []string{"FLN " + ann, "NLN NLN " + ann + " " + ann}
		if n := len(heard); n < 2 || heard[n-2] != want[0] || heard[n-1] != want[1] || strings.Count(strings.Join(heard, "\n"), "FLN") != 1 {
			t.Errorf("%s heard of ann %q, want %q at the end and no other FLN", u.Email, heard, want)
		}
	}
}

// With Redis away a node that ends does so all the same, and soon.
func TestANodeEndsWithRedisAway(t *testing.T) {
	w := newWorld(t)
	n := w.node(Config{}, nil)
	n.Service.cfg.FlushTimeout = 100 * time.Millisecond
	a := w.online(n.addr, ann)
	w.redis.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.stop()
	}()
	a.closed("OUT SSD")
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the node does not end")
	}
	if left := n.releases.left.Load(); left != 1 {
		t.Errorf("%d records are said to be left, want 1", left)
	}
}

// A node that ends gives all records up.
func TestANodeThatEndsLeavesNoRecord(t *testing.T) {
	w := newWorld(t)
	n := w.node(Config{}, nil)
	var emails []string
	var users []*user
	for i := range 300 {
		emails = append(emails, fmt.Sprintf("user%d@example.org", i))
	}
	w.strangers(emails)
	for _, email := range emails {
		users = append(users, w.login(n.addr, email))
	}
	n.stop()
	for _, u := range users {
		u.closed("OUT SSD")
	}
	found, err := w.open().Lookup(t.Context(), emails)
	if err != nil || len(found) > 0 {
		t.Errorf("%d of %d records are left, %v", len(found), len(emails), err)
	}
}

// A record that names a node without a lease outlives that node's sweep if it
// was written behind it. Whoever meets it has it go.
func TestARecordOfADeadNodeIsForgotten(t *testing.T) {
	w := newWorld(t)
	d := w.dead()
	record := &clusterv1.Session{Id: "late", Email: bob, Dialect: "MSNP7"}
	if _, err := d.Claim(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	n := w.node(Config{}, nil)
	w.until("the node to be seen", func() bool { return n.View().Node(d.ID()) != nil })
	// It loses its lease, and Redis the list that a sweep would go by.
	value, err := w.redis.Get("monarch:session:{" + bob + "}")
	if err != nil {
		t.Fatal(err)
	}
	d.stop()
	if err := w.redis.Set("monarch:session:{"+bob+"}", value); err != nil {
		t.Fatal(err)
	}
	w.until("the node to be gone", func() bool { return n.View().Node(d.ID()) == nil })
	a := w.online(n.addr, ann)
	redis := w.open()
	w.until("the record to go", func() bool {
		found, err := redis.Lookup(t.Context(), []string{bob})
		return err == nil && len(found) == 0
	})
	n.quiet(a)
}

// Somebody whose node was killed logs in elsewhere before its lease is over:
// watchers hear at once that the old session is over, once, and then what the
// new one says. The dead one cannot tell them.
func TestTheSuccessorBuriesASessionOfADeadNode(t *testing.T) {
	w := newWorld(t)
	d := w.dead()
	one, two := w.node(Config{}, nil), w.node(Config{}, nil)
	w.know(one, two)
	watchers := []*user{w.online(one.addr, bob), w.online(two.addr, cat)}
	watchers[0].hears("NLN NLN " + cat + " " + cat)
	if m, err := watchers[1].next(); err != nil || m.Verb != "ILN" {
		t.Fatalf("cat: want bob to be there, got %q, %v", m.Text, err)
	}
	places, err := w.open().Lookup(t.Context(), []string{bob, cat})
	if err != nil {
		t.Fatal(err)
	}
	session := &clusterv1.Session{Id: "first", Email: ann, Dialect: "MSNP7"}
	if _, err := d.Claim(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	for _, u := range watchers {
		d.Send(places[u.Email].GetNode(), &clusterv1.Message{Kind: &clusterv1.Message_Presence{Presence: &clusterv1.Presence{
			Email: ann, Node: session.GetNode(), Epoch: session.GetEpoch(), Count: 1, Status: "NLN", Name: "Ann",
			VisibleTo: []*clusterv1.Watcher{{Email: u.Email, Epoch: places[u.Email].GetEpoch()}},
		}}})
	}
	for _, u := range watchers {
		if m, err := u.next(); err != nil || m.Text != "NLN NLN "+ann+" Ann" {
			t.Fatalf("%s: want ann to be there, got %q, %v", u.Email, m.Text, err)
		}
	}
	again := w.login(two.addr, ann)
	for _, u := range watchers {
		u.hears("FLN " + ann)
	}
	one.quiet(watchers...)
	again.do("CHG", "NLN")
	for _, u := range watchers {
		u.hears("NLN NLN " + ann + " " + ann)
	}
	// The lease of the dead one ends, which is news to nobody.
	d.stop()
	w.until("the node to be gone", func() bool { return one.View().Node(d.ID()) == nil && two.View().Node(d.ID()) == nil })
	one.quiet(watchers...)
}
