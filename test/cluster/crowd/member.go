package crowd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/monarch-msn/monarch/msnp"
)

const (
	// strangers is whom a user adds and removes.
	strangers = 2
	// answerTime is how long the answer to a command may take. Servers answer
	// within seconds whatever is broken behind them, but one that is stopped
	// and goes on later answers then.
	answerTime = time.Minute
	// loginTime bounds one attempt.
	loginTime = 30 * time.Second
	// Pauses between attempts to come back.
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second
	// kept is how many lines are remembered for a failure.
	kept = 40
)

// member is one user.
type member struct {
	crowd     *Crowd
	email     string
	password  string
	index     int
	contacts  []*member
	strangers []*member
	rng       *rand.Rand // of the goroutine that lives

	away atomic.Bool // stays offline

	// ends is how often the user went, in the eyes of anybody: a session
	// ended, or the user hid or blocked somebody.
	ends atomic.Int64

	public struct {
		sync.Mutex
		blocked map[string]int // email: number of the name when blocked
	}

	mu      sync.Mutex
	book    book
	number  int // of the last name that was tried
	version uint64
	line    *line // nil while offline
	at      string
	status  string
	told    told
	missing time.Time // since when the user tries to be online again
	log     []string
}

func newMember(c *Crowd, i int) *member {
	m := &member{
		crowd:    c,
		email:    fmt.Sprintf("user%d@%s", i, c.opt.Domain),
		password: fmt.Sprintf("secret-%d", i),
		index:    i,
		rng:      rand.New(rand.NewPCG(c.opt.Seed, uint64(i))),
		told:     newTold(),
	}
	m.book = book{facts{privacy: "AL", name: m.nick(0)}, map[fact]string{}}
	m.public.blocked = map[string]int{}
	return m
}

// nick is the user's name with a number.
func (m *member) nick(number int) string { return fmt.Sprintf("N%d.%d", m.index, number) }

// blockedSince returns the number of the user's name when a block of somebody
// was acknowledged that still stands.
func (m *member) blockedSince(email string) (number int, blocked bool) {
	m.public.Lock()
	defer m.public.Unlock()
	number, blocked = m.public.blocked[email]
	return number, blocked
}

func (m *member) setBlocked(email string, number int) {
	m.public.Lock()
	defer m.public.Unlock()
	m.public.blocked[email] = number
}

func (m *member) unsetBlocked(email string) {
	m.public.Lock()
	defer m.public.Unlock()
	delete(m.public.blocked, email)
}

// live is a user's life: log in, do things, come back.
func (m *member) live(ctx context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		if m.away.Load() {
			sleep(ctx, firstPause)
			continue
		}
		if err := m.login(ctx); err != nil {
			if ctx.Err() != nil {
				return
			}
			m.crowd.count.refused.Add(1)
			m.crowd.change(func() { m.crowd.refused = keep(m.crowd.refused, m.email+": "+err.Error()) })
			m.note("-- login: %v", err)
			if errors.Is(err, msnp.CodeAuthentication) {
				m.crowd.fail("%s: %v", m.email, err)
			}
			sleep(ctx, pause/2+time.Duration(m.rng.Int64N(int64(pause))))
			pause = min(2*pause, lastPause)
			continue
		}
		pause = firstPause
		m.session(ctx)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// note remembers a line for a failure; notes is the same with m.mu held.
func (m *member) note(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.notes(format, args...)
}

func (m *member) notes(format string, args ...any) {
	if len(m.log) >= 2*kept {
		m.log = append(m.log[:0], m.log[kept:]...)
	}
	m.log = append(m.log, time.Now().Format("05.000 ")+fmt.Sprintf(format, args...))
}

// tail is the last that the member's client said and heard, with m.mu held;
// recent takes it.
func (m *member) tail() string {
	return "  of " + m.email + " at " + m.at + ":\n    " + strings.Join(m.log[max(0, len(m.log)-kept):], "\n    ")
}

func (m *member) recent() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tail()
}
