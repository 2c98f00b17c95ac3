package crowd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// Args are the flags that a network needs for its crowd, by role: people here
// rename themselves more often than the servers let others.
func Args() map[string][]string {
	return map[string][]string{
		"notification": {"--notification.rename-limit=100", "--notification.rename-window=1s"},
	}
}

// Options say how many there are and how busy.
type Options struct {
	// Users is how many there are, at least 8; default 200.
	Users int
	// Contacts is how many of the others each has on its list, and is on
	// theirs; an even number, default 10.
	Contacts int
	// Pace is the mean time between two things that a user does; default 3 s.
	Pace time.Duration
	// Domain is that of the users' emails; it tells crowds on one network
	// apart. Default crowd.example.com.
	Domain string
	// Dispatch are the addresses of the dispatch servers.
	Dispatch []string
	// Accounts creates the users, and tells what the directory holds.
	Accounts directoryv1.AccountsClient
	// Seed of everybody's choices.
	Seed uint64
}

// Crowd is the users. Its methods may be called from any goroutine, Converge
// and Rest by one at a time.
type Crowd struct {
	opt     Options
	members []*member
	byEmail map[string]*member
	count   counters

	// acting is held for reading by whoever does something, and for writing
	// while the crowd rests.
	acting  sync.RWMutex
	resting atomic.Bool
	end     context.CancelFunc
	living  sync.WaitGroup
	talking sync.WaitGroup

	mu      sync.Mutex
	wrong   []string
	lost    []string // who lost a session last, and how
	refused []string // likewise, whose logins were refused
	gone    []gone
	absence time.Duration    // the longest
	talks   map[string]*talk // by the caller's email
	talked  int
}

// maxWrong bounds what is kept of what went wrong.
const maxWrong = 20

// batch is how many rows one call to the directory has.
const batch = 500

// Start creates the users with their contacts, and lets them live until Stop.
// It returns once everybody is online.
func Start(ctx context.Context, opt Options) (*Crowd, error) {
	if opt.Users == 0 {
		opt.Users = 200
	}
	if opt.Contacts == 0 {
		opt.Contacts = 10
	}
	if opt.Pace == 0 {
		opt.Pace = 3 * time.Second
	}
	if opt.Domain == "" {
		opt.Domain = "crowd.example.com"
	}
	c := &Crowd{opt: opt, byEmail: map[string]*member{}, talks: map[string]*talk{}}
	for i := range opt.Users {
		m := newMember(c, i)
		c.members = append(c.members, m)
		c.byEmail[m.email] = m
	}
	if err := c.enrol(ctx); err != nil {
		return nil, err
	}
	life, end := context.WithCancel(context.Background())
	c.end = end
	for _, m := range c.members {
		c.living.Go(func() { m.live(life) })
	}
	if _, err := c.Converge(ctx); err != nil {
		c.Stop()
		return nil, fmt.Errorf("everybody comes online: %w", err)
	}
	return c, nil
}

// Stop ends all connections and returns when nobody is left.
func (c *Crowd) Stop() {
	c.end()
	c.living.Wait()
	c.talking.Wait()
}

// enrol creates the accounts, and puts everybody on the lists of those beside.
func (c *Crowd) enrol(ctx context.Context) error {
	var accounts []*directoryv1.NewAccount
	var contacts []*directoryv1.NewContact
	n := len(c.members)
	for i, m := range c.members {
		accounts = append(accounts, &directoryv1.NewAccount{Email: m.email, Password: m.password, Name: m.nick(0)})
		for d := 1; d <= c.opt.Contacts/2; d++ {
			for _, o := range []*member{c.members[(i+d)%n], c.members[(i+n-d)%n]} {
				m.contacts = append(m.contacts, o)
				m.book.set(onList("FL", o.email), on)
				m.book.set(onList("AL", o.email), on)
				contacts = append(contacts, &directoryv1.NewContact{Owner: m.email, Contact: o.email})
			}
		}
		for d := range strangers {
			m.strangers = append(m.strangers, c.members[(i+n/2+d)%n])
		}
	}
	for rows := range slices.Chunk(accounts, batch) {
		answer, err := c.opt.Accounts.CreateAccounts(ctx, &directoryv1.CreateAccountsRequest{Accounts: rows})
		if err != nil || len(answer.GetErrors()) > 0 {
			return fmt.Errorf("create accounts: %v %w", answer.GetErrors(), err)
		}
	}
	for rows := range slices.Chunk(contacts, batch) {
		answer, err := c.opt.Accounts.ImportContacts(ctx, &directoryv1.ImportContactsRequest{Contacts: rows})
		if err != nil || len(answer.GetErrors()) > 0 {
			return fmt.Errorf("import contacts: %v %w", answer.GetErrors(), err)
		}
	}
	return nil
}

// Figures returns what has happened so far.
func (c *Crowd) Figures() Figures { return c.count.figures() }

// Wrong returns what clients were told since it was last asked that no client
// should be told; nil in a good network.
func (c *Crowd) Wrong() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.wrong) == 0 {
		return nil
	}
	err := errors.New(strings.Join(c.wrong, "\n"))
	c.wrong = nil
	return err
}

// fail notes that something went wrong.
func (c *Crowd) fail(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.wrong) < maxWrong {
		c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
	}
}

// Absence returns the longest time since it was last asked that a user needed to
// be online again: from the first attempt to log in to the answer to CHG.
func (c *Crowd) Absence() (longest time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	longest, c.absence = c.absence, 0
	return longest
}

// Losses tells of the last sessions that were lost.
func (c *Crowd) Losses() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.lost, "\n")
}

// Refusals tells of the last logins that were refused.
func (c *Crowd) Refusals() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.refused, "\n")
}

// maxLost is how many of them are told.
const maxLost = 3

// keep appends to what is told in the end.
func keep(kept []string, text string) []string {
	return append(kept[max(0, len(kept)+1-maxLost):], text)
}

// At returns the emails of those whose session is at that address of a
// notification node.
func (c *Crowd) At(address string) []string {
	var emails []string
	for _, m := range c.members {
		m.mu.Lock()
		if m.line != nil && m.at == address {
			emails = append(emails, m.email)
		}
		m.mu.Unlock()
	}
	return emails
}

// Excuse says that each of the users may be seen going offline once more than
// it went: their node was silent for longer than others wait.
func (c *Crowd) Excuse(emails ...string) {
	for _, e := range emails {
		c.byEmail[e].ends.Add(1)
	}
}

// Move has the users hang up without a word and come back by dispatch, as
// somebody does who switches the machine off and on again.
func (c *Crowd) Move(emails ...string) {
	for _, e := range emails {
		m := c.byEmail[e]
		m.mu.Lock()
		l := m.line
		m.line, m.at, m.status = nil, "", ""
		m.mu.Unlock()
		if l != nil {
			_ = l.Close() // its reader sees the end
		}
	}
}

// Leave has the users hang up without a word and stay away until Return.
func (c *Crowd) Leave(emails ...string) {
	for _, e := range emails {
		c.byEmail[e].away.Store(true)
	}
	c.Move(emails...)
}

// Return lets users who have left come back.
func (c *Crowd) Return(emails ...string) {
	for _, e := range emails {
		c.byEmail[e].away.Store(false)
	}
}

// Rest has everybody finish what is under way and do nothing more, but come
// back where a connection ends, until Work.
func (c *Crowd) Rest() {
	c.resting.Store(true)
	c.acting.Lock()
}

// Work lets a resting crowd go on.
func (c *Crowd) Work() {
	c.resting.Store(false)
	c.acting.Unlock()
}

// pollFirst and pollLast are the times between two comparisons.
const (
	pollFirst = 50 * time.Millisecond
	pollLast  = 500 * time.Millisecond
)

// Converge has the crowd rest and waits until everybody is online and was told
// the truth, and then that this stays so. It returns how long the truth took.
// The error says what is wrong when ctx ends, or what was wrong on the way.
func (c *Crowd) Converge(ctx context.Context) (took time.Duration, err error) {
	begun := time.Now()
	c.Rest()
	defer c.Work()
	var found error
	for wait := pollFirst; ; wait = min(2*wait, pollLast) {
		err := c.Compare(ctx)
		if err == nil {
			break
		}
		if found == nil || ctx.Err() == nil {
			found = err // and not that there was no time for one more look
		}
		select {
		case <-ctx.Done():
			return time.Since(begun), errors.Join(c.Wrong(), found)
		case <-time.After(wait):
		}
	}
	took = time.Since(begun)
	if err := c.settleGone(); err != nil {
		return took, err
	}
	return took, c.Wrong()
}

// Hold has the crowd rest for a while in which nobody may be told anything:
// whatever comes late would come in it.
func (c *Crowd) Hold(ctx context.Context, d time.Duration) error {
	c.Rest()
	defer c.Work()
	if err := c.Compare(ctx); err != nil {
		return err
	}
	before := c.Figures()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
	}
	if err := c.Compare(ctx); err != nil {
		return fmt.Errorf("after %v at rest: %w", d, err)
	}
	if f := c.Figures().Since(before); f.Presence > 0 || f.Lost > 0 {
		return fmt.Errorf("told something though nobody did anything: %v", f)
	}
	return c.Wrong()
}

// comparisons is how many members are compared at a time.
const comparisons = 32

// maxDifferences is how many differences are told.
const maxDifferences = 5

// Compare holds what each client of a resting crowd was told against the truth.
func (c *Crowd) Compare(ctx context.Context) error {
	var group errgroup.Group
	group.SetLimit(comparisons)
	for _, m := range c.members {
		group.Go(func() error { return m.prepare(ctx, c.opt.Accounts) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var wrong []string
	for _, m := range c.members {
		wrong = append(wrong, m.compare()...)
	}
	if len(wrong) == 0 {
		return nil
	}
	if n := len(wrong) - maxDifferences; n > 0 {
		wrong = append(wrong[:maxDifferences], fmt.Sprintf("and %d differences more", n))
	}
	return errors.New(strings.Join(wrong, "\n"))
}

// gone is a session that has ended, with how often each other was seen going.
type gone struct {
	email       string
	falls, base map[string]int64
	tail        string
}

// settleGone checks, once nothing is under way, that nobody was seen going
// offline more often than that user went.
func (c *Crowd) settleGone() error {
	c.mu.Lock()
	sessions := c.gone
	c.gone = nil
	c.mu.Unlock()
	for _, m := range c.members {
		m.mu.Lock()
		sessions = append(sessions, gone{m.email, maps.Clone(m.told.falls), m.told.base, m.tail()})
		m.mu.Unlock()
	}
	for _, s := range sessions {
		for email, falls := range s.falls {
			if went := c.byEmail[email].ends.Load() - s.base[email]; falls > went {
				return fmt.Errorf("%s saw %s go offline %d times, who went %d times\n%s\n%s",
					s.email, email, falls, went, s.tail, c.byEmail[email].recent())
			}
		}
	}
	return nil
}

// someone draws one of several.
func someone[T any](rng *rand.Rand, all []T) T { return all[rng.IntN(len(all))] }
