// Package load puts a network under load with many simulated clients, and
// checks each line that they are sent: nothing may be lost, come twice, come
// changed or come out of order.
//
// A run has three parts. First its clients log in, through dispatch and the
// referral to a notification server, until each is synced and online; where
// they chat, they also open their rooms. Then they work, for Warmup and for
// Duration; the latter is the window in which everything is measured. In the
// end what is under way is waited for, and everybody logs out.
//
// What a client may be told follows from a model. The lists that SYN sends say
// who sees whom, by the rule of msnp.Admits. A status carries no number, so a
// client's statuses go round in a fixed order, one at a time: whoever sees one
// knows of which change it is. A message carries its room, sender, number and
// checksum.
package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A Mode is what the clients do.
type Mode string

// The modes.
const (
	Login    Mode = "login"    // an operation is a login until online; the client then logs out
	Idle     Mode = "idle"     // clients are there, and nothing else
	Presence Mode = "presence" // an operation is a change of status, done when every watcher was told
	Chat     Mode = "chat"     // an operation is a message, done when everybody else in the room has it
	Mixed    Mode = "mixed"    // all of it, and edits of lists
)

// An Account is one that may log in.
type Account struct{ Email, Password string }

// Config says what to do. Times and rates that are zero mean what is said with
// them; the command line has the defaults.
type Config struct {
	Mode     Mode
	Dispatch string // host:port
	Accounts []Account
	Clients  int // how many of the accounts are used; 0 is all
	Dialect  string
	Sources  []netip.Addr // local addresses in turn; none lets the system choose

	// Operations are begun at Rate a second (open loop), with latency counted
	// from when each was due, or else UnderWay at a time (closed loop).
	Rate     float64
	UnderWay int
	// The same for the logins ahead of the work.
	LoginRate      float64
	LoginsUnderWay int
	// Retry is how often a login that was refused, or did not get through, is
	// tried again, a second later each time.
	Retry int

	// The window ends after Duration, or as soon as so many Operations are done,
	// unless that is 0; of Mixed, as soon as each kind has had its share.
	Warmup, Duration time.Duration
	Operations       int64
	// Settle is waited for before the clients of Idle are measured.
	Settle time.Duration
	// Deadline is when what has not arrived counts as lost, LoginDeadline the
	// most that one login may take.
	Deadline, LoginDeadline time.Duration
	// Stay is how long a client of Login is online before it logs out.
	Stay time.Duration

	RoomSize     int    // 2 to MaxRoom
	MessageBytes int    // of the payload, MinMessage to MaxMessage
	Ack          string // U, N or A
	Pipeline     int    // messages of one member under way at a time, 1 to MaxPipeline

	// Weights of what Mixed does.
	Logins, Statuses, Edits, Messages int

	Measure []int // processes whose CPU time and memory are measured
	Targets Targets

	// Progress, unless nil, is called each second, Measuring as the window
	// begins.
	Progress  func(Second)
	Measuring func()
}

// accounts are those that are used.
func (c *Config) accounts() []Account {
	if c.Clients > 0 && c.Clients < len(c.Accounts) {
		return c.Accounts[:c.Clients]
	}
	return c.Accounts
}

// run is one run.
type run struct {
	cfg    Config
	base   time.Time
	dialer *dialer

	clients []*client
	byEmail map[string]*client
	rooms   []*room
	talk    atomic.Pointer[[]*room] // rooms, once all are there

	faults   faults
	logins   *tally // all logins
	statuses *tally
	edits    *tally
	messages *tally
	// worked are those of the tallies that the mode is about.
	worked []*tally

	// What is due within [from, until) counts. Nanoseconds since base.
	from, until atomic.Int64

	stays     stays
	farewells farewells
	online    atomic.Int64
	leaving   atomic.Bool // everybody logs out

	// connections are the goroutines of all connections.
	connections sync.WaitGroup
	series      series
}

// now is the time since the run began, in nanoseconds.
func (r *run) now() int64 { return int64(time.Since(r.base)) }

// within reports whether what was due then counts.
func (r *run) within(due int64) bool { return due >= r.from.Load() && due < r.until.Load() }

// ErrNobody is a run in which no client got as far as to do anything.
var ErrNobody = errors.New("no client could be brought to work")

// Run does what cfg says and returns what was seen. The error is of what kept
// the run from being one, with the result if there is one nevertheless; what
// went wrong within it stands in the result.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	r := newRun(cfg)
	var err error
	if r.dialer, err = newDialer(ctx, cfg.Dispatch, cfg.Sources); err != nil {
		return nil, err
	}
	before, err := measure(cfg.Measure)
	if err != nil {
		return nil, err
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var ticking sync.WaitGroup
	ticking.Go(func() { r.tick(ctx) })
	ticking.Go(func() { r.stays.run(ctx) })
	result, err := r.work(ctx, before)
	r.leave()
	cancel()
	ticking.Wait()
	return result, err
}

// newRun returns a run whose clients have done nothing yet. Its window is open
// never.
func newRun(cfg Config) *run {
	r := &run{cfg: cfg, base: time.Now(), byEmail: make(map[string]*client)}
	r.from.Store(math.MaxInt64)
	r.until.Store(math.MaxInt64)
	for i, a := range cfg.accounts() {
		c := &client{run: r, id: int32(i), email: a.Email, password: a.Password}
		r.clients = append(r.clients, c)
		r.byEmail[a.Email] = c
	}
	r.logins, r.statuses = newTally(r, "login"), newTally(r, "status")
	r.edits, r.messages = newTally(r, "edit"), newTally(r, "message")
	return r
}

// work is all that lies between the start and the logging out.
func (r *run) work(ctx context.Context, before []Process) (*Result, error) {
	res := &Result{Mode: r.cfg.Mode, Started: time.Now().UTC()}
	var pacers []*pacer
	var err error
	switch r.cfg.Mode {
	case Login:
		pacers = r.prepareLogin()
	case Idle:
		err = r.bringUp(ctx, r.clients)
	case Presence:
		pacers, err = r.preparePresence(ctx)
	case Chat:
		pacers, err = r.prepareChat(ctx)
	case Mixed:
		pacers, err = r.prepareMixed(ctx)
	default:
		err = fmt.Errorf("unknown mode %q", r.cfg.Mode)
	}
	if err != nil {
		return nil, err
	}
	if r.cfg.Mode == Idle {
		if err := sleep(ctx, r.cfg.Settle); err != nil {
			return nil, err
		}
	}

	var driving sync.WaitGroup
	drive := func() {
		begin := r.now()
		for _, p := range pacers {
			p.fill()
			driving.Go(func() { p.run(ctx, begin) })
		}
	}
	// An end ahead of time makes the window shorter; what was seen is reported.
	var interrupted error
	if r.cfg.Warmup > 0 {
		drive()
		interrupted = sleep(ctx, r.cfg.Warmup)
	}
	start, err := r.open(pacers)
	if r.cfg.Measuring != nil {
		r.cfg.Measuring()
	}
	if r.cfg.Warmup == 0 {
		drive()
	}
	if err == nil {
		if interrupted == nil {
			interrupted = r.awaitEnd(ctx, pacers)
		}
		err = r.shut(res, before, start)
	}
	until := r.now()
	for _, p := range pacers {
		p.stop(until, r.cfg.Deadline)
	}
	driving.Wait()
	if err != nil {
		return nil, err
	}
	r.settleUp()
	r.report(res)
	if interrupted == nil && res.Logins == 0 {
		return res, fmt.Errorf("%w: %s", ErrNobody, r.faults.most())
	}
	return res, interrupted
}

// awaitEnd returns when the window is over.
func (r *run) awaitEnd(ctx context.Context, pacers []*pacer) error {
	t := time.NewTimer(r.cfg.Duration)
	defer t.Stop()
	for _, p := range pacers {
		select {
		case <-p.tally.enough:
		case <-t.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if len(pacers) > 0 {
		return nil
	}
	return sleep(ctx, r.cfg.Duration)
}

// sleep waits for d, or until ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Validate returns all faults of the configuration, joined.
func (c *Config) Validate() error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	host, port, err := net.SplitHostPort(c.Dispatch)
	_, noPort := strconv.ParseUint(port, 10, 16)
	check(err == nil && host != "" && noPort == nil, "dispatch: %q is not host:port", c.Dispatch)
	check(c.Clients >= 0 && c.Clients <= len(c.Accounts), "clients: %d of %d accounts", c.Clients, len(c.Accounts))
	given := make(map[string]bool)
	for _, a := range c.Accounts {
		check(!given[a.Email], "account %s is given twice", a.Email)
		given[a.Email] = true
	}
	check(c.Duration > 0, "duration: %s is not positive", c.Duration)
	check(c.Operations >= 0, "operations: %d is negative", c.Operations)
	check(c.Deadline > 0, "deadline: %s is not positive", c.Deadline)
	check(c.LoginDeadline > 0, "login-deadline: %s is not positive", c.LoginDeadline)
	check(c.Warmup >= 0, "warmup: %s is negative", c.Warmup)
	check(c.Settle >= 0, "settle: %s is negative", c.Settle)
	check(c.Stay >= 0, "stay: %s is negative", c.Stay)
	check(c.Retry >= 0, "retry: %d is negative", c.Retry)
	check(c.Rate >= 0, "rate: %g is negative", c.Rate)
	check(c.LoginRate >= 0, "login-rate: %g is negative", c.LoginRate)
	if c.Mode != Idle {
		check(c.Rate > 0 || c.UnderWay > 0, "under-way: %d is not positive", c.UnderWay)
	}
	if c.Mode != Login {
		check(c.LoginRate > 0 || c.LoginsUnderWay > 0, "logins-under-way: %d is not positive", c.LoginsUnderWay)
	}
	if c.Mode == Chat || c.Mode == Mixed {
		check(c.RoomSize >= 2 && c.RoomSize <= MaxRoom, "room-size: %d is not within 2 and %d", c.RoomSize, MaxRoom)
		check(c.MessageBytes >= MinMessage && c.MessageBytes <= MaxMessage, "message-bytes: %d is not within %d and %d", c.MessageBytes, MinMessage, MaxMessage)
		check(c.Pipeline >= 1 && c.Pipeline <= MaxPipeline, "pipeline: %d is not within 1 and %d", c.Pipeline, MaxPipeline)
	}
	if c.Mode == Mixed {
		check(min(c.Logins, c.Statuses, c.Edits, c.Messages) >= 0, "weights: none may be negative")
		check(c.Logins+c.Statuses+c.Edits+c.Messages > 0, "weights: all are 0")
	}
	return errors.Join(faults...)
}
