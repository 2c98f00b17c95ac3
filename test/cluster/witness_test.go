package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/monarch-msn/monarch/msnp"
	"github.com/monarch-msn/monarch/msnp/client"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/test/cluster/network"
)

// A witness is a user who stays at one node and knows at any time what the
// client was told of the other witnesses. Its methods may be called from any
// goroutine.
type witness struct {
	email string
	c     *client.Client
	read  sync.WaitGroup

	mu     sync.Mutex
	status string
	guest  bool              // on the witness's FL
	shown  map[string]string // email: status; who is offline is not in it
	falls  map[string]int    // email: lines FLN
	wrong  error             // the first line that should not have come
	over   error             // why the connection has ended
	answer map[string]client.Message
	news   chan struct{} // closed, and replaced, with every line
}

// hireWitnesses makes accounts that have each other on FL and AL, and brings
// each online at a node. It returns once all of them see each other.
func hireWitnesses(ctx context.Context, t *testing.T, n *network.Network, nodes map[string]int) map[string]*witness {
	t.Helper()
	names := slices.Sorted(maps.Keys(nodes))
	var accounts []*directoryv1.NewAccount
	var contacts []*directoryv1.NewContact
	for _, name := range names {
		email := name + "@witness.example.com"
		accounts = append(accounts, &directoryv1.NewAccount{Email: email, Password: password(email)})
		for _, other := range names {
			if other != name {
				contacts = append(contacts, &directoryv1.NewContact{Owner: email, Contact: other + "@witness.example.com"})
			}
		}
	}
	created, err := n.Accounts().CreateAccounts(ctx, &directoryv1.CreateAccountsRequest{Accounts: accounts})
	if err != nil || len(created.GetErrors()) > 0 {
		t.Fatalf("create accounts: %v, %v", created.GetErrors(), err)
	}
	imported, err := n.Accounts().ImportContacts(ctx, &directoryv1.ImportContactsRequest{Contacts: contacts})
	if err != nil || len(imported.GetErrors()) > 0 {
		t.Fatalf("import contacts: %v, %v", imported.GetErrors(), err)
	}
	all := map[string]*witness{}
	for _, name := range names {
		all[name] = newWitness(ctx, t, n.Notification(nodes[name]), accounts[len(all)].GetEmail())
	}
	for _, w := range all {
		for _, other := range all {
			if err := w.sees(ctx, other); err != nil {
				t.Fatal(err)
			}
		}
	}
	return all
}

func newWitness(ctx context.Context, t *testing.T, node, email string) *witness {
	t.Helper()
	c, err := client.Login(ctx, client.Options{Dispatch: node, Email: email, Password: password(email)})
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{
		email: email, c: c, shown: map[string]string{}, falls: map[string]int{},
		answer: map[string]client.Message{}, news: make(chan struct{}),
	}
	t.Cleanup(func() {
		_ = c.Close() // it ends the reading
		w.read.Wait()
	})
	if _, err := c.Sync(ctx, 0); err != nil {
		t.Fatal(err)
	}
	w.read.Go(w.listen)
	if err := w.change(ctx, "NLN"); err != nil {
		t.Fatal(err)
	}
	return w
}

// listen takes in what comes until the connection ends.
func (w *witness) listen() {
	for {
		m, err := w.c.Next(context.Background()) // ends with the connection
		w.mu.Lock()
		if w.over = err; err == nil {
			w.hear(m)
		}
		close(w.news)
		w.news = make(chan struct{})
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (w *witness) hear(m client.Message) {
	at := 0
	switch m.Verb {
	case "ILN":
		at = 1
	case "NLN":
	case "FLN":
		email := m.Arg(0)
		if w.shown[email] == "" && w.wrong == nil {
			w.wrong = fmt.Errorf("%s was told %q of somebody who was offline already", w.email, m.Text)
		}
		delete(w.shown, email)
		w.falls[email]++
		return
	default:
		w.answer[m.TrID()] = m
		return
	}
	status, email := m.Arg(at), m.Arg(at+1)
	if w.shown[email] == status && w.wrong == nil {
		w.wrong = fmt.Errorf("%s was told %q once more", w.email, m.Text)
	}
	w.shown[email] = status
}

// await waits until something holds of the witness, which is asked with w.mu
// held, and says what does not come about otherwise.
func (w *witness) await(ctx context.Context, what string, holds func() bool) error {
	for {
		w.mu.Lock()
		held, over, news := holds(), w.over, w.news
		w.mu.Unlock()
		switch {
		case held:
			return nil
		case over != nil:
			return fmt.Errorf("%s waits for %s: the connection has ended: %w", w.email, what, over)
		}
		select {
		case <-news:
		case <-ctx.Done():
			return fmt.Errorf("%s waits for %s: %w", w.email, what, ctx.Err())
		}
	}
}

// do sends a command and returns its answer; an error line is an error that is
// its code.
func (w *witness) do(ctx context.Context, verb string, args ...string) (m client.Message, err error) {
	trid, err := w.c.Start(verb, args...)
	if err != nil {
		return client.Message{}, err
	}
	key := strconv.FormatUint(uint64(trid), 10)
	if err := w.await(ctx, "an answer to "+verb+" "+strings.Join(args, " "), func() (there bool) {
		m, there = w.answer[key]
		delete(w.answer, key)
		return there
	}); err != nil {
		return client.Message{}, err
	}
	if code, ok := m.Code(); ok {
		return m, code
	}
	return m, nil
}

// change changes the status.
func (w *witness) change(ctx context.Context, status string) error {
	w.mu.Lock()
	w.status = status
	w.mu.Unlock()
	_, err := w.do(ctx, "CHG", status)
	return err
}

// flip changes the status to another one and waits until others see that.
func (w *witness) flip(ctx context.Context, others ...*witness) error {
	next := "AWY"
	if w.now() == next {
		next = "BSY"
	}
	if err := w.change(ctx, next); err != nil {
		return err
	}
	for _, o := range others {
		if err := o.sees(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

func (w *witness) now() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status
}

// sees waits until the other one is shown as it is.
func (w *witness) sees(ctx context.Context, other *witness) error {
	if w == other {
		return nil
	}
	status := other.now()
	return w.await(ctx, fmt.Sprintf("%s to be %s", other.email, status), func() bool { return w.shown[other.email] == status })
}

// misses waits until the other one is offline.
func (w *witness) misses(ctx context.Context, other *witness) error {
	return w.await(ctx, other.email+" to go", func() bool { return w.shown[other.email] == "" })
}

// fallen returns how often the other one was seen going, since the last time
// that this was asked.
func (w *witness) fallen(other *witness) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	falls := w.falls[other.email]
	delete(w.falls, other.email)
	return falls
}

// mistaken returns the first line that should not have come.
func (w *witness) mistaken() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wrong
}

// refused reports whether an error is the protocol's answer that the server
// cannot do now what it is asked.
func refused(err error) bool {
	code, ok := errors.AsType[msnp.Code](err)
	return ok && code >= 500
}
