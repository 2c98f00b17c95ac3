package notification

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
)

// Who gets in. There are two bounds, on what a node keeps and on what it does at
// a time.
//
// A session needs a seat, of which there are Capacity. It is kept for a client
// from the moment when that is challenged, so that of many who come at once as
// many are sent elsewhere as do not fit, while they can still be sent: behind
// the challenge a client can only be refused. So as not to let strangers shut
// others out, who answers the challenge late finds that its seat may be gone.
//
// A login is the most work that a client causes in one command, most of it the
// directory's. LoginsAtOnce are done at a time; the others wait in the order in
// which they came. Those inside meet a node and a directory that are no busier
// than that, whatever the crowd outside. Who waits costs a parked goroutine; a
// client that hangs up leaves the queue, and one whose time is up hears that the
// server is busy. The directory has done nothing for either.
//
// What follows a login, SYN and the first CHG, needs no gate of its own: it
// cannot come faster than logins are done.

// LoginConfig bounds the work for those who are logging in. A field that is zero
// has the default of its tag.
//
// The default of LoginsAtOnce is where more does not help: of a herd of 300 a
// second on two processors, 4 at a time let in 70 a second, 8 let in 180, 16 and
// 64 let in 175 and 200, while the median from CHG to NLN of those inside grew
// from 4 over 7 and 24 to 79 milliseconds.
type LoginConfig struct {
	LoginsAtOnce int           `help:"Most logins that directory and Redis are asked about at a time; further ones wait. More pays where the directory is far away." default:"8"`
	LoginQueue   int           `help:"Most logins that wait; further ones are told that the server is busy." default:"2000"`
	LoginWait    time.Duration `help:"Longest wait of a login; after it the client is told that the server is busy." default:"10s"`
}

func (c LoginConfig) withDefaults() LoginConfig {
	c.LoginsAtOnce = cmp.Or(c.LoginsAtOnce, 8)
	c.LoginQueue = cmp.Or(c.LoginQueue, 2000)
	c.LoginWait = cmp.Or(c.LoginWait, 10*time.Second)
	return c
}

func (c LoginConfig) validate() error {
	var faults []error
	if c.LoginsAtOnce < 0 {
		faults = append(faults, fmt.Errorf("logins-at-once: %d is negative", c.LoginsAtOnce))
	}
	if c.LoginQueue < 0 {
		faults = append(faults, fmt.Errorf("login-queue: %d is negative", c.LoginQueue))
	}
	if c.LoginWait < 0 {
		faults = append(faults, fmt.Errorf("login-wait: %s is negative", c.LoginWait))
	}
	return errors.Join(faults...)
}

// heldFor is how long a seat is kept for a client that has not answered its
// challenge, which takes one round trip. A stranger who would keep a whole node
// busy by it has to come so often that the bound on connections is met first.
const heldFor = 10 * time.Second

// admission says who gets in on one node.
type admission struct {
	cfg      LoginConfig
	capacity int
	metrics  admissionMetrics

	mu sync.Mutex
	// taken counts the seats of sessions and of those about to be, held those
	// of clients that are challenged.
	taken, held int
	// holds has every seat that is held, in the order in which they become
	// free; those in front may have been taken or given back since.
	holds []*seat
	// running counts the logins that are being done, waiting has the others, as
	// *waiter. Where somebody waits, running is at its bound.
	running int
	waiting list.List
}

func newAdmission(cfg LoginConfig, capacity int, meter metric.Meter) (*admission, error) {
	a := &admission{cfg: cfg, capacity: capacity}
	return a, a.metrics.register(meter)
}

// seat is a client's room on this node. Only admission looks into it.
type seat struct {
	state seatState
	until time.Time // when one that is held is free again
}

type seatState uint8

const (
	seatNone seatState = iota
	seatHeld
	seatTaken
)

// hold keeps a seat for a client that is about to be challenged. It returns nil
// if there is none.
func (a *admission) hold(now time.Time) *seat {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.room(now) {
		return nil
	}
	p := &seat{seatHeld, now.Add(heldFor)}
	a.held++
	a.holds = append(a.holds, p)
	return p
}

// take makes the seat that was held for a client its own. It returns false if
// the client was late and there is no other.
func (a *admission) take(p *seat, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p.state == seatNone && !a.room(now) {
		return false
	}
	if p.state == seatHeld {
		a.held--
	}
	p.state = seatTaken
	a.taken++
	return true
}

// free gives a seat back, in whatever state; of nil, it does nothing.
func (a *admission) free(p *seat) {
	if p == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch p.state {
	case seatHeld:
		a.held--
	case seatTaken:
		a.taken--
	}
	p.state = seatNone
}

// room reports whether a seat is free. The caller holds mu.
func (a *admission) room(now time.Time) bool {
	for len(a.holds) > 0 {
		p := a.holds[0]
		if p.state == seatHeld {
			if now.Before(p.until) {
				break
			}
			p.state = seatNone
			a.held--
		}
		a.holds[0] = nil
		a.holds = a.holds[1:]
	}
	return a.taken+a.held < a.capacity
}

// load is how many seats are not free, as far as dispatch should know.
func (a *admission) load() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.taken + a.held
}

// waiter is a login that waits to be done.
type waiter struct {
	granted bool // under admission.mu
	wake    context.CancelFunc
}

// patient is the connection of a client, as far as it has to wait.
type patient interface {
	// Await is that of front.Conn.
	Await(ctx context.Context) error
}

// enter waits until the login of a client may be done; whoever gets nil calls
// exit when it is. The error ends the connection.
func (a *admission) enter(client patient) error {
	a.mu.Lock()
	if a.running < a.cfg.LoginsAtOnce {
		a.running++
		a.mu.Unlock()
		a.metrics.waited(0)
		return nil
	}
	if a.waiting.Len() >= a.cfg.LoginQueue {
		a.mu.Unlock()
		a.metrics.refused(refusedQueue)
		return refused(fmt.Errorf("%d logins are waiting: %w", a.cfg.LoginQueue, msnp.CodeBusy))
	}
	ctx, cancel := context.WithTimeout(context.Background(), a.cfg.LoginWait)
	defer cancel()
	w := &waiter{wake: cancel}
	at := a.waiting.PushBack(w)
	a.mu.Unlock()

	a.metrics.queued(1)
	since := time.Now()
	err := client.Await(ctx)
	a.metrics.queued(-1)
	a.metrics.waited(time.Since(since))

	a.mu.Lock()
	granted := w.granted
	if !granted {
		a.waiting.Remove(at)
	}
	a.mu.Unlock()
	switch {
	case err != nil:
		if granted {
			a.exit()
		}
		a.metrics.refused(refusedGone)
		return front.Closing(front.ReasonOf(err), fmt.Errorf("wait to log in: %w", err))
	case !granted:
		a.metrics.refused(refusedLate)
		return refused(fmt.Errorf("waited %v to log in: %w", a.cfg.LoginWait, msnp.CodeBusy))
	}
	return nil
}

// exit lets the next login be done.
func (a *admission) exit() {
	a.mu.Lock()
	defer a.mu.Unlock()
	first := a.waiting.Front()
	if first == nil {
		a.running--
		return
	}
	w := a.waiting.Remove(first).(*waiter)
	w.granted = true
	w.wake()
}

// loginRefusal says why a client did not get in although nothing is known
// against it, as a label.
type loginRefusal string

const (
	refusedFull  loginRefusal = "full"  // no seat, here or elsewhere
	refusedQueue loginRefusal = "queue" // too many wait
	refusedLate  loginRefusal = "late"  // waited for too long
	refusedGone  loginRefusal = "gone"  // hung up while it waited
)

// admissionMetrics count what happens to those who want to get in.
type admissionMetrics struct {
	queue    metric.Int64UpDownCounter
	wait     metric.Float64Histogram
	refusals metric.Int64Counter
	byReason map[loginRefusal]metric.MeasurementOption
}

func (m *admissionMetrics) register(meter metric.Meter) error {
	var errs [3]error
	m.queue, errs[0] = meter.Int64UpDownCounter("monarch_login_queue",
		metric.WithDescription("Logins that wait to be done."))
	m.wait, errs[1] = meter.Float64Histogram("monarch_login_wait_seconds",
		metric.WithDescription("Time that logins waited before they were done or given up."),
		metric.WithExplicitBucketBoundaries(0, 0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 20))
	m.refusals, errs[2] = meter.Int64Counter("monarch_logins_refused",
		metric.WithDescription("Logins that were not done for want of room or time: no seat (full), too many waiting (queue), waited for too long (late), hung up meanwhile (gone)."))
	if err := errors.Join(errs[:]...); err != nil {
		return fmt.Errorf("register metrics of logins: %w", err)
	}
	m.queue.Add(context.Background(), 0)
	m.byReason = make(map[loginRefusal]metric.MeasurementOption)
	for _, r := range []loginRefusal{refusedFull, refusedQueue, refusedLate, refusedGone} {
		m.byReason[r] = metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", string(r))))
		m.refusals.Add(context.Background(), 0, m.byReason[r])
	}
	return nil
}

func (m *admissionMetrics) queued(n int64) { m.queue.Add(context.Background(), n) }

func (m *admissionMetrics) waited(d time.Duration) {
	m.wait.Record(context.Background(), d.Seconds())
}

func (m *admissionMetrics) refused(r loginRefusal) {
	m.refusals.Add(context.Background(), 1, m.byReason[r])
}
