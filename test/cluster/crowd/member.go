package crowd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/monarch-msn/monarch/msnp"
	"github.com/monarch-msn/monarch/msnp/client"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
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

// line is a connection to a notification server with a goroutine that reads.
type line struct {
	*client.Client
	ended chan struct{}
	// leaving says that the user has said OUT. A line of presence may still
	// come behind the server's OUT, which is of no consequence.
	leaving atomic.Bool

	mu      sync.Mutex
	replies map[string]chan client.Message
}

var (
	errEnded  = errors.New("the connection has ended")
	errSilent = errors.New("no answer came")
)

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

// login signs in: by dispatch, or now and then at the notification server of
// last time, which real clients remember, and by dispatch if that one does not
// answer. It reads the lists and goes online.
func (m *member) login(ctx context.Context) error {
	m.mu.Lock()
	if m.missing.IsZero() {
		m.missing = time.Now()
	}
	dispatch := someone(m.rng, m.crowd.opt.Dispatch)
	address := dispatch
	if m.at != "" && m.rng.IntN(3) == 0 {
		address = m.at
	}
	m.mu.Unlock()
	base := map[string]int64{}
	for _, o := range m.crowd.members {
		base[o.email] = o.ends.Load()
	}
	attempt, cancel := context.WithTimeout(ctx, loginTime)
	defer cancel()
	c, err := client.Login(attempt, client.Options{Dispatch: address, Email: m.email, Password: m.password})
	var code msnp.Code
	if err != nil && !errors.As(err, &code) && address != dispatch {
		// The server of last time is gone, or is just going.
		m.note("-- login at %s: %v", address, err)
		address = dispatch
		c, err = client.Login(attempt, client.Options{Dispatch: address, Email: m.email, Password: m.password})
	}
	if err != nil {
		m.mu.Lock()
		m.at = ""
		m.mu.Unlock()
		return err
	}
	block, err := c.Sync(attempt, 0)
	if err != nil {
		c.Close()
		return fmt.Errorf("SYN: %w", err)
	}
	l := &line{Client: c, ended: make(chan struct{}), replies: map[string]chan client.Message{}}
	if err := m.open(l, address, block, base); err != nil {
		c.Close()
		m.crowd.fail("%s: %v\n%s", m.email, err, m.recent())
		return err
	}
	m.crowd.living.Go(func() { m.read(l) })
	if err := m.change(ctx, l, "NLN"); err != nil {
		m.hangUp(l)
		return fmt.Errorf("CHG: %w", err)
	}
	m.crowd.count.logins.Add(1)
	m.back()
	return nil
}

// back notes how long that took.
func (m *member) back() {
	m.mu.Lock()
	took := time.Since(m.missing)
	m.missing = time.Time{}
	m.mu.Unlock()
	m.crowd.change(func() { m.crowd.absence = max(m.crowd.absence, took) })
}

// open takes in what a login has found.
func (m *member) open(l *line, address string, block []client.Message, base map[string]int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(l.Referrals); n > 0 {
		address = l.Referrals[n-1]
	}
	m.notes("-- login at %s", address)
	for _, b := range block {
		if err := m.hearVersion(b); err != nil {
			return fmt.Errorf("%q: %w", b.Text, err)
		}
	}
	found, reverse := readBlock(block)
	if err := m.book.adopt(found); err != nil {
		return err
	}
	m.told = newTold()
	m.told.lists, m.told.reverse, m.told.base = maps.Clone(found), reverse, base
	m.line, m.at, m.status = l, address, ""
	return nil
}

// read takes in what the server says until the connection ends.
func (m *member) read(l *line) {
	var last string
	for {
		msg, err := l.Next(context.Background()) // ends with the connection
		if err != nil {
			m.over(l, last, err)
			return
		}
		last = msg.Text
		m.mu.Lock()
		m.notes("< %s", msg.Text)
		wrong := m.hear(msg)
		m.mu.Unlock()
		if wrong != nil {
			m.crowd.fail("%s was told %q: %v\n%s%s", m.email, msg.Text, wrong, m.recent(), m.about(msg))
		}
		l.answer(msg)
		if ring, ok := client.ParseRing(msg); ok {
			m.crowd.talking.Go(func() { m.enter(l, ring) })
		}
	}
}

// about is the log of whom a line of presence is about.
func (m *member) about(msg client.Message) string {
	for _, a := range msg.Args {
		if o := m.crowd.byEmail[a]; o != nil && o != m {
			return o.recent()
		}
	}
	return ""
}

// answer hands a line to who waits for it.
func (l *line) answer(msg client.Message) {
	key := msg.TrID()
	if msg.Verb == "QNG" {
		key = msg.Verb
	}
	l.mu.Lock()
	reply := l.replies[key]
	delete(l.replies, key)
	l.mu.Unlock()
	if reply != nil {
		reply <- msg
	}
}

// over notes that the connection has ended.
func (m *member) over(l *line, last string, err error) {
	m.ends.Add(1)
	m.mu.Lock()
	m.notes("-- ended: %v", err)
	ours := m.line == l
	if ours {
		m.line, m.status = nil, ""
	}
	ended := gone{m.email, m.told.falls, m.told.base, m.tail()}
	m.mu.Unlock()
	m.crowd.mu.Lock()
	m.crowd.gone = append(m.crowd.gone, ended)
	m.crowd.mu.Unlock()
	switch {
	case !ours: // the user has hung up
	case last == "OUT SSD":
		m.crowd.count.away.Add(1)
	case !l.leaving.Load() || !errors.Is(err, io.EOF):
		m.crowd.count.lost.Add(1)
		m.crowd.change(func() { m.crowd.lost = keep(m.crowd.lost, ended.tail) })
	}
	close(l.ended)
	l.Close()
}

// hangUp ends the connection, and waits until its reader has ended.
func (m *member) hangUp(l *line) {
	m.mu.Lock()
	if m.line == l {
		m.line, m.status = nil, ""
	}
	m.mu.Unlock()
	l.Close()
	<-l.ended
}

// session does things until the connection ends.
func (m *member) session(ctx context.Context) {
	m.mu.Lock()
	l := m.line
	m.mu.Unlock()
	if l == nil {
		return // over already
	}
	for {
		pace := int64(m.crowd.opt.Pace)
		select {
		case <-ctx.Done():
			m.hangUp(l)
			return
		case <-l.ended:
			return
		case <-time.After(time.Duration(pace/2 + m.rng.Int64N(pace))):
		}
		if !m.crowd.acting.TryRLock() {
			continue // the crowd rests; to wait for its end here would be deaf to that of the connection
		}
		err := m.act(ctx, l)
		m.crowd.acting.RUnlock()
		if err == nil {
			continue
		}
		if !errors.Is(err, errEnded) && ctx.Err() == nil {
			m.crowd.fail("%s: %v\n%s", m.email, err, m.recent())
		}
		m.hangUp(l)
		return
	}
}

// do sends a command and returns the first line of its answer. An error line
// is an error that is its code.
func (m *member) do(ctx context.Context, l *line, verb string, args ...string) (client.Message, error) {
	if verb == "PNG" {
		return m.await(ctx, l, "QNG", "PNG")
	}
	trid := strconv.FormatUint(uint64(l.NextTrID()), 10)
	return m.await(ctx, l, trid, strings.Join(append([]string{verb, trid}, args...), " "))
}

func (m *member) await(ctx context.Context, l *line, key, command string) (client.Message, error) {
	reply := make(chan client.Message, 1)
	l.mu.Lock()
	l.replies[key] = reply
	l.mu.Unlock()
	m.note("> %s", command)
	if err := l.Send(command); err != nil {
		return client.Message{}, fmt.Errorf("%s: %w: %w", command, errEnded, err)
	}
	select {
	case msg := <-reply:
		if code, ok := msg.Code(); ok {
			return msg, code
		}
		return msg, nil
	case <-l.ended:
		return client.Message{}, fmt.Errorf("%s: %w", command, errEnded)
	case <-ctx.Done():
		return client.Message{}, ctx.Err()
	case <-time.After(answerTime):
		return client.Message{}, fmt.Errorf("%s: %w", command, errSilent)
	}
}

var states = []string{"NLN", "BSY", "IDL", "BRB", "AWY", "PHN", "LUN"}

// act does one thing at random.
func (m *member) act(ctx context.Context, l *line) error {
	switch n := m.rng.IntN(100); {
	case n < 3:
		m.ends.Add(1)
		defer m.ends.Add(1) // it may take a while to take effect
		return m.change(ctx, l, "HDN")
	case n < 45:
		return m.change(ctx, l, someone(m.rng, states))
	case n < 60:
		return m.rename(ctx, l)
	case n < 75:
		return m.block(ctx, l, someone(m.rng, m.contacts))
	case n < 85:
		return m.befriend(ctx, l, someone(m.rng, m.strangers))
	case n < 97:
		return m.talk(ctx, l)
	default:
		m.note("> OUT")
		l.leaving.Store(true)
		if err := l.Send("OUT"); err != nil {
			return err
		}
		select {
		case <-l.ended:
		case <-time.After(answerTime):
		}
		return errEnded
	}
}

func (m *member) change(ctx context.Context, l *line, status string) error {
	m.mu.Lock()
	if m.line == l {
		// What is told of others comes behind the echo.
		m.status = status
	}
	m.mu.Unlock()
	_, err := m.do(ctx, l, "CHG", status)
	return err
}

// edit makes one edit. The error is nil where the session goes on: also after
// an error of the server, which leaves the outcome open.
func (m *member) edit(ctx context.Context, l *line, k fact, value, verb string, args ...string) (done bool, err error) {
	if m.doubts(k) {
		return false, nil // until it is known what holds
	}
	_, err = m.do(ctx, l, verb, args...)
	m.mu.Lock()
	defer m.mu.Unlock()
	var code msnp.Code
	switch {
	case err == nil:
		m.book.set(k, value)
		m.crowd.count.edits.Add(1)
		return true, nil
	case errors.As(err, &code) && code >= 500:
		m.book.maybe[k] = value
		m.crowd.count.failed.Add(1)
		return false, nil
	case errors.As(err, &code):
		return false, fmt.Errorf("%s %v was refused: %w", verb, args, err)
	}
	m.book.maybe[k] = value
	m.crowd.count.unknown.Add(1)
	return false, err
}

// doubts reports whether it is not known if a fact holds, after an edit that may
// have been made.
func (m *member) doubts(k fact) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, open := m.book.maybe[k]
	return open
}

// holds returns a fact as far as the user knows.
func (m *member) holds(k fact) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.book.facts[k] != ""
}

func (m *member) rename(ctx context.Context, l *line) error {
	m.mu.Lock()
	m.number++
	nick := m.nick(m.number)
	m.mu.Unlock()
	_, err := m.edit(ctx, l, name, nick, "REA", m.email, nick)
	return err
}

// block moves a contact from AL to BL or back, as clients do.
func (m *member) block(ctx context.Context, l *line, o *member) error {
	m.ends.Add(1)
	defer m.ends.Add(1) // it may take a while to take effect
	allow, block := onList("AL", o.email), onList("BL", o.email)
	if m.doubts(allow) || m.doubts(block) {
		return nil // nobody can be on both, so both have to be known
	}
	if m.holds(block) {
		m.unsetBlocked(o.email)
		if done, err := m.edit(ctx, l, block, "", "REM", "BL", o.email); !done {
			return err
		}
		_, err := m.edit(ctx, l, allow, on, "ADD", "AL", o.email, o.email)
		return err
	}
	if m.holds(allow) {
		if done, err := m.edit(ctx, l, allow, "", "REM", "AL", o.email); !done {
			return err
		}
	}
	done, err := m.edit(ctx, l, block, on, "ADD", "BL", o.email, o.email)
	if done {
		m.mu.Lock()
		number := m.number
		m.mu.Unlock()
		m.setBlocked(o.email, number)
	}
	return err
}

// befriend puts somebody on FL, or takes that one off.
func (m *member) befriend(ctx context.Context, l *line, o *member) error {
	forward := onList("FL", o.email)
	if m.holds(forward) {
		_, err := m.edit(ctx, l, forward, "", "REM", "FL", o.email)
		return err
	}
	_, err := m.edit(ctx, l, forward, on, "ADD", "FL", o.email, o.email)
	return err
}

// prepare makes sure that the member is online and has taken in what was sent,
// and compares the book with what the directory holds.
func (m *member) prepare(ctx context.Context, accounts directoryv1.AccountsClient) error {
	m.mu.Lock()
	l, status := m.line, m.status
	m.mu.Unlock()
	if m.away.Load() && l == nil {
		return nil
	}
	if l == nil || status == "" {
		return fmt.Errorf("%s is not online", m.email)
	}
	if _, err := m.do(ctx, l, "PNG"); err != nil {
		return fmt.Errorf("%s: %w", m.email, err)
	}
	answer, err := accounts.GetAccount(ctx, &directoryv1.GetAccountRequest{Email: m.email})
	if err != nil {
		return fmt.Errorf("ask the directory: %w", err)
	}
	held, reverse := readAccount(answer.GetSnapshot())
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.book.adopt(held); err != nil {
		return fmt.Errorf("%s in the directory: %w\n%s", m.email, err, m.tail())
	}
	m.book.maybe = map[fact]string{}
	for _, o := range m.crowd.members {
		if got := m.told.reverse[o.email]; got != reverse[o.email] {
			return fmt.Errorf("%s has %s on RL: the directory says %t, the client was told %t\n%s", m.email, o.email, reverse[o.email], got, m.tail())
		}
	}
	return nil
}

// compare says what the member was told that is not the truth.
func (m *member) compare() (wrong []string) {
	m.mu.Lock()
	if m.line == nil {
		m.mu.Unlock()
		return nil // nobody is told anything
	}
	own, told, present := maps.Clone(m.book.facts), m.told, m.status != ""
	shown, lists := maps.Clone(told.shown), maps.Clone(told.lists)
	m.mu.Unlock()
	if d := differ(own, lists); d != "" {
		wrong = append(wrong, fmt.Sprintf("%s was told of its own lists: %s\n%s", m.email, d, m.recent()))
	}
	for _, o := range m.crowd.members {
		want := ""
		if present && own[onList("FL", o.email)] != "" {
			want = o.sees(m.email)
		}
		if got := shown[o.email]; got != want {
			wrong = append(wrong, fmt.Sprintf("%s was told of %s: want %q, got %q\n%s\n%s",
				m.email, o.email, want, got, m.recent(), o.recent()))
		}
	}
	return wrong
}

// sees is what the observer has to be told of the member: state and name, or
// nothing.
func (m *member) sees(observer string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.status == "" || m.status == "HDN" || m.book.facts[onList("BL", observer)] != "" {
		return ""
	}
	return m.status + " " + m.book.facts[name]
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
