package notification

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// An edit is under way while its user logs in elsewhere: the new session has
// read the lists before it was made, and learns of it all the same.
func TestAnEditOfADisplacedSessionReachesItsSuccessor(t *testing.T) {
	w := newWorld(t)
	directory := w.slow()
	old, other := w.node(Config{}, directory), w.node(Config{}, nil)
	w.know(old, other)
	go func() {
		<-directory.asked
		directory.answer <- struct{}{}
	}()
	a, b := w.online(old.addr, ann), w.online(other.addr, bob)
	if err := a.Send("REA 100 " + ann + " Annie"); err != nil {
		t.Fatal(err)
	}
	<-directory.asked
	w.online(other.addr, ann)
	close(directory.answer)
	for {
		if m, err := b.next(); err != nil {
			t.Fatalf("bob hears nothing of the new name: %v", err)
		} else if m.Text == "NLN NLN "+ann+" Annie" {
			return
		}
	}
}

// A node was cut off for longer than its lease, or asleep, and its user has gone
// elsewhere meanwhile. What the user had still sent there is not done.
func TestACommandThatWasOvertakenIsNotDone(t *testing.T) {
	w := newWorld(t)
	wire := new(wire)
	asleep := w.node(Config{}, nil, wire.dial)
	// Alone what asks for a successor gets through: the node has woken up and
	// does not know yet that it slept.
	asleep.cluster = w.open()
	other := w.node(Config{}, nil)
	w.know(asleep, other)
	a := w.online(asleep.addr, ann)
	wire.cut()
	w.until("the lease to lapse", asleep.member.Lapsed)
	w.online(other.addr, ann)
	if err := a.Send("REA 100 " + ann + " Annie"); err != nil {
		t.Fatal(err)
	}
	a.closed("OUT OTH")
	account, err := directoryv1.NewDirectoryClient(w.directory).Snapshot(t.Context(), &directoryv1.SnapshotRequest{Email: ann})
	if err != nil {
		t.Fatal(err)
	}
	if name := account.GetSnapshot().GetName(); name == "Annie" {
		t.Error("the name was changed by a session that was over")
	}
}

// wire is the way to Redis. It can be cut.
type wire struct {
	mu    sync.Mutex
	down  bool
	conns []net.Conn
}

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return nil, errors.New("the wire is cut")
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil {
		w.conns = append(w.conns, conn)
	}
	return conn, err
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = true
	for _, conn := range w.conns {
		_ = conn.Close() // the client does so too
	}
}
