package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/monarch-msn/monarch/msnp/client"
)

const (
	// maxPending bounds how many commands of one user wait for their answers.
	maxPending = 24
	// maxBurst bounds how many are sent in one write.
	maxBurst = 8
)

// An editor is a user who edits lists, over one connection after another, and
// remembers what the answers have promised.
type editor struct {
	email, password string
	others          []string // whom the user may put on lists

	client *client.Client
	// told is the highest list version that any client of the user was told.
	told uint64

	mu sync.Mutex
	// renamed is when the user was.
	renamed []time.Time
	// acknowledged is the book with all that was answered, sent that with all
	// that was sent.
	acknowledged, sent *book
	pending            []pending
	// room holds as many elements as there are pending commands.
	room chan struct{}
}

// pending is a command that was sent and not answered yet.
type pending struct {
	trid    string
	command []string
	want    string // see book.do
}

// login signs in through dispatch, reads the lists and goes online.
func (e *editor) login(ctx context.Context, dispatch string) (own *book, reverse map[string]string, err error) {
	e.client, err = client.Login(ctx, client.Options{Dispatch: dispatch, Email: e.email, Password: e.password})
	if err != nil {
		return nil, nil, err
	}
	block, err := e.client.Sync(ctx, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("SYN of %s: %w", e.email, err)
	}
	for _, m := range block {
		if err := e.hear(m); err != nil {
			return nil, nil, err
		}
	}
	if own, reverse, err = readLists(block); err != nil {
		return nil, nil, err
	}
	own.name = string(e.client.Name)
	if _, err := e.client.Do(ctx, "CHG", "NLN"); err != nil {
		return nil, nil, fmt.Errorf("CHG of %s: %w", e.email, err)
	}
	return own, reverse, nil
}

// hear notes the list version that a line tells. It never goes back, not even
// from one connection to the next.
func (e *editor) hear(m client.Message) error {
	v := toldVersion(m)
	if v != 0 && v < e.told {
		return fmt.Errorf("%s was told list version %d, and then %q", e.email, e.told, m.Text)
	}
	e.told = max(e.told, v)
	return nil
}

// edit makes edits at random, without waiting for the answers of one burst
// before the next, until the connection ends. It calls answered for every
// answer. The error tells of a wrong answer, or of an end that was not due.
func (e *editor) edit(ctx context.Context, rng *rand.Rand, answered func(), due func() bool) error {
	e.sent, e.pending = e.acknowledged.clone(), nil
	e.room = make(chan struct{}, maxPending)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return e.write(ctx, rng) })
	group.Go(func() error {
		err := e.read(ctx, answered)
		if errors.Is(err, errEnded) && due() {
			err = errOver // so that the writer ends too
		}
		return err
	})
	err := errors.Join(group.Wait(), e.client.Close())
	if errors.Is(err, errOver) {
		return nil
	}
	return err
}

var (
	// errEnded is the end of a connection, errOver one that was due.
	errEnded = errors.New("the connection ended")
	errOver  = errors.New("over")
)

// write sends bursts of commands.
func (e *editor) write(ctx context.Context, rng *rand.Rand) error {
	for {
		var burst strings.Builder
		for range 1 + rng.IntN(maxBurst) {
			select {
			case e.room <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
			burst.WriteString(e.next(rng))
		}
		if e.client.SendRaw([]byte(burst.String())) != nil {
			return nil // the reader finds out why
		}
	}
}

// next makes up a command, notes it as sent and returns its line.
func (e *editor) next(rng *rand.Rand) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := pending{
		trid:    fmt.Sprint(e.client.NextTrID()),
		command: e.sent.invent(rng, e.email, e.others, &e.renamed),
	}
	p.want = e.sent.do(p.command)
	e.pending = append(e.pending, p)
	return strings.Join(append([]string{p.command[0], p.trid}, p.command[1:]...), " ") + "\r\n"
}

// read takes in what the server says.
func (e *editor) read(ctx context.Context, answered func()) error {
	for {
		m, err := e.client.Next(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w: %w", e.email, errEnded, err)
		}
		if err := e.hear(m); err != nil {
			return err
		}
		if !isAnswer(m) {
			continue
		}
		if err := e.acknowledge(m); err != nil {
			return err
		}
		<-e.room
		answered()
	}
}

// isAnswer tells the answer to an edit from what it causes besides.
func isAnswer(m client.Message) bool {
	switch m.Verb {
	case "ADD", "REM", "ADG", "REG", "RMG", "REA", "BLP":
		return m.TrID() != "0"
	}
	_, isError := m.Code()
	return isError
}

// acknowledge compares an answer with what the oldest pending command must be
// answered, and keeps what it promises.
func (e *editor) acknowledge(m client.Message) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.pending) == 0 {
		return fmt.Errorf("%s was answered %q to nothing", e.email, m.Text)
	}
	p := e.pending[0]
	if got := withoutVersion(m); m.TrID() != p.trid || got != p.want {
		return fmt.Errorf("%s was answered %q to %v with transaction id %s, want %q\nwith these lists:\n%v",
			e.email, m.Text, p.command, p.trid, p.want, e.acknowledged)
	}
	e.acknowledged.do(p.command)
	e.pending = e.pending[1:]
	return nil
}

// withoutVersion is an answer as book.do gives it.
func withoutVersion(m client.Message) string {
	words := append([]string{m.Verb}, m.Args[1:]...)
	if at := versionAt(m); at > 0 {
		words[at] = "*" // the verb stands where the transaction id was
	}
	return strings.Join(words, " ")
}

// resume compares the lists that a login found with what was promised: all
// that was acknowledged, and of the pending commands the first few, or none.
// From there the next session goes on.
func (e *editor) resume(found *book) error {
	state, want := e.acknowledged.clone(), found.String()
	for i := 0; ; i++ {
		if state.String() == want {
			e.acknowledged = state
			return nil
		}
		if i == len(e.pending) {
			break
		}
		state.do(e.pending[i].command)
	}
	return fmt.Errorf("%s found lists that are neither what was acknowledged nor that with the first of %d commands under way\n"+
		"found:\n%v\nacknowledged:\n%v\nunder way:\n%v", e.email, len(e.pending), found, e.acknowledged, e.pending)
}
