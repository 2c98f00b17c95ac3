package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"github.com/redis/go-redis/v9"
)

// TestRecordsInEveryOrder walks what several nodes and sessions do to one
// user's record through every order in which Redis can see their commands. After each
// step and at the end of each order it checks what the rest of the house stands
// on:
//
//   - An email is among the members of a node before and as long as the record
//     names the node.
//   - When all is quiet at most one session believes to own the record, and the
//     record names it; if no session is left, the record names nobody.
//   - Whoever lost was told: by a claimer that displaced it, or by a refusal.
//   - The last login wins.
//   - Epochs only grow.
func TestRecordsInEveryOrder(t *testing.T) {
	for name, engine := range map[string]func(*testing.T) *engine{"embedded": embedded, "redis": actual} {
		t.Run(name, func(t *testing.T) {
			e := engine(t)
			if e.mini != nil {
				// No key may expire here, and it sorts all of them at each command
				// to find out.
				e.mini.ClockTTL(false)
			}
			for _, test := range walks {
				t.Run(test.name, func(t *testing.T) { walk(t, e, test) })
			}
		})
	}
}

// A walkCase is an initial state and the actors that go on from there.
type walkCase struct {
	name  string
	build func(w *world) []*actor
	// settled says that claims alone decide: nobody may need an audit to learn
	// that it lost.
	settled bool
	// emptied says that the record's history is lost on the way.
	emptied bool
	// ghost says that a record is taken from a session that did not release it,
	// which leaves its email among the members until the node is swept.
	ghost bool
}

var walks = []walkCase{
	{name: "two logins at once on two nodes", settled: true, build: func(w *world) []*actor {
		a, b := w.node("a"), w.node("b")
		return []*actor{w.claim(a), w.claim(b)}
	}},
	{name: "two logins at once on one node", settled: true, build: func(w *world) []*actor {
		a := w.node("a")
		return []*actor{w.claim(a), w.claim(a)}
	}},
	{name: "two logins at once displace a third session", settled: true, build: func(w *world) []*actor {
		a, b := w.node("a"), w.node("b")
		w.loggedIn(w.node("c"))
		return []*actor{w.claim(a), w.claim(b)}
	}},
	{name: "two logins with clocks behind the record's epoch", settled: true, build: func(w *world) []*actor {
		w.loggedIn(w.node("c"))
		a, b := w.nodeBehind("a", time.Hour), w.nodeBehind("b", 2*time.Hour)
		return []*actor{w.claim(a), w.claim(b)}
	}},
	{name: "three logins at once", settled: true, build: func(w *world) []*actor {
		return []*actor{w.claim(w.node("a")), w.claim(w.node("b")), w.claim(w.nodeBehind("c", time.Hour))}
	}},
	{name: "login while the session on that node ends", settled: true, build: func(w *world) []*actor {
		a := w.node("a")
		x := w.loggedIn(a)
		return []*actor{w.release(x), w.claim(a)}
	}},
	{name: "login while the session on another node ends", settled: true, build: func(w *world) []*actor {
		a, b := w.node("a"), w.node("b")
		x := w.loggedIn(a)
		return []*actor{w.release(x), w.claim(b)}
	}},
	{name: "login with a clock behind while the session ends", settled: true, build: func(w *world) []*actor {
		a := w.node("a")
		x := w.loggedIn(a)
		return []*actor{w.release(x), w.claim(w.nodeBehind("b", time.Hour))}
	}},
	{name: "a displaced session ends late, while a third logs in on its node", build: func(w *world) []*actor {
		a, b := w.node("a"), w.node("b")
		x := w.loggedIn(a)
		w.loggedIn(b)
		return []*actor{w.release(x), w.claim(a)}
	}},
	{name: "login and logout, and login again, on one node", settled: true, build: func(w *world) []*actor {
		a := w.node("a")
		x := w.session(a)
		x.quits = true
		return []*actor{
			w.actor("in and out", func(ctx context.Context) { w.doClaim(ctx, x); w.doRelease(ctx, x) }),
			w.claim(a),
		}
	}},
	{name: "audit during a login elsewhere", build: func(w *world) []*actor {
		a, b := w.node("a"), w.node("b")
		x := w.loggedIn(a)
		return []*actor{w.reclaim(x), w.claim(b)}
	}},
	{name: "audit during a login elsewhere with a clock behind", build: func(w *world) []*actor {
		a, b := w.node("a"), w.nodeBehind("b", time.Hour)
		x := w.loggedIn(a)
		return []*actor{w.reclaim(x), w.claim(b)}
	}},
	{name: "audit during a login on the same node", build: func(w *world) []*actor {
		a := w.node("a")
		x := w.loggedIn(a)
		return []*actor{w.reclaim(x), w.claim(a)}
	}},
	{name: "a late audit after the session has ended", settled: true, build: func(w *world) []*actor {
		a := w.node("a")
		x := w.loggedIn(a)
		return []*actor{w.actor("audit", func(ctx context.Context) { w.doReclaim(ctx, x) }), w.release(x)}
	}},
	{name: "redis emptied with a session alive, and a login elsewhere", emptied: true, build: func(w *world) []*actor {
		a, b := w.node("a"), w.node("b")
		x := w.loggedIn(a)
		w.empty()
		return []*actor{w.reclaim(x), w.claim(b)}
	}},
	{name: "redis emptied before the displaced one knew", emptied: true, build: func(w *world) []*actor {
		a, b := w.node("a"), w.node("b")
		x := w.loggedIn(a)
		y := w.loggedIn(b)
		x.told = 0
		w.empty()
		return []*actor{w.reclaim(x), w.reclaim(y)}
	}},
	{name: "redis emptied, clocks behind, a session alive and a login", emptied: true, build: func(w *world) []*actor {
		a, b := w.nodeBehind("a", time.Hour), w.nodeBehind("b", 2*time.Hour)
		x := w.loggedIn(a)
		w.empty()
		return []*actor{w.reclaim(x), w.claim(b)}
	}},
	{name: "redis lost the last login", emptied: true, build: func(w *world) []*actor {
		a, b := w.node("a"), w.node("b")
		x := w.loggedIn(a)
		before := w.record()
		y := w.loggedIn(b)
		x.told = 0
		w.restore(before)
		return []*actor{w.reclaim(x), w.reclaim(y)}
	}},
	{name: "a dead node is swept twice at once", build: func(w *world) []*actor {
		w.dead(w.loggedIn(w.dies(w.node("a"))))
		return []*actor{w.sweep(w.node("b"), "a"), w.sweep(w.node("c"), "a")}
	}},
	{name: "a dead node is swept during a login", settled: true, build: func(w *world) []*actor {
		w.dead(w.loggedIn(w.dies(w.node("a"))))
		return []*actor{w.sweep(w.node("b"), "a"), w.claim(w.node("c"))}
	}},
	{name: "a node wakes up and reclaims while it is swept", build: func(w *world) []*actor {
		a := w.dies(w.node("a"))
		x := w.loggedIn(a)
		return []*actor{w.sweep(w.node("b"), "a"), w.wake(a, x)}
	}},
	{name: "a node wakes up after a login elsewhere, and is swept", build: func(w *world) []*actor {
		a := w.dies(w.node("a"))
		x := w.loggedIn(a)
		w.loggedIn(w.node("b"))
		x.told = 0
		return []*actor{w.sweep(w.node("c"), "a"), w.wake(a, x)}
	}},
	{name: "a node wakes up during a login elsewhere, swept before", build: func(w *world) []*actor {
		a, b := w.dies(w.node("a")), w.node("b")
		x := w.loggedIn(a)
		w.doSweep(context.Background(), b, "a")
		return []*actor{w.claim(b), w.wake(a, x)}
	}},
	{name: "a node falls asleep within a login and is swept", build: func(w *world) []*actor {
		a := w.dies(w.node("a"))
		x := w.session(a)
		asleep := w.actor("login, wake up", func(ctx context.Context) {
			w.doClaim(ctx, x)
			w.doWake(ctx, a, x)
		})
		return []*actor{w.sweep(w.node("b"), "a"), asleep}
	}},
	{name: "the lease is lost within a login", build: func(w *world) []*actor {
		a := w.node("a")
		x := w.session(a)
		lose := w.actor("lose the lease", func(ctx context.Context) { w.lose(ctx, a) })
		return []*actor{w.claimOf(x), lose}
	}},
	{name: "the lease is lost within an audit", build: func(w *world) []*actor {
		a := w.node("a")
		x := w.loggedIn(a)
		lose := w.actor("lose the lease", func(ctx context.Context) { w.lose(ctx, a) })
		return []*actor{w.reclaim(x), lose}
	}},
	{name: "a ghost is forgotten during a login", settled: true, ghost: true, build: func(w *world) []*actor {
		a, b := w.node("a"), w.node("b")
		x := w.loggedIn(a)
		w.dead(x)
		return []*actor{w.forget(b, x), w.claim(b)}
	}},
	{name: "a session is forgotten by mistake during its audit", build: func(w *world) []*actor {
		a, b := w.node("a"), w.node("b")
		x := w.loggedIn(a)
		return []*actor{w.forget(b, x), w.reclaim(x)}
	}},
}

// world is one run of a case: nodes that do not run, and one user's sessions.
type world struct {
	t        *testing.T
	e        *engine
	email    string
	observer *Client
	nodes    map[string]*walker
	ids      map[string]string // name to node id
	all      []string          // every id
	gone     map[string]bool   // those whose node is dead or has another id
	sessions []*walkSession
	highest  uint64 // epoch that the record ever had
	trace    []string
	looks    int // at the clock
}

// walkBegin is what Redis's clock says when an order begins.
var walkBegin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// walker is a node of a world.
type walker struct {
	*Member
	name string
}

// walkSession is a session as its node sees it.
type walkSession struct {
	*clusterv1.Session
	on    *walker
	alive bool   // believes to own the record
	quits bool   // ends, or ended, by itself
	told  uint64 // highest epoch of it that a claimer displaced
	// Epoch with which its login was done.
	claimed uint64
}

// actor is something that happens, a goroutine that stops before each command.
type actor struct {
	name    string
	run     func(ctx context.Context)
	arrived chan string   // the next command, or "" at the end
	proceed chan struct{} // lets it through
	next    string
	over    bool
}

type actorKey struct{}

// gate stops actors before each command that touches what the walk is about.
type gate struct{}

func (gate) DialHook(next redis.DialHook) redis.DialHook { return next }

func (gate) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		stop(ctx, cmd)
		return next(ctx, cmd)
	}
}

// A pipeline is no transaction: others may come between its commands.
func (gate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if ctx.Value(actorKey{}) == nil {
			return next(ctx, cmds)
		}
		var first error
		for i := range cmds {
			stop(ctx, cmds[i])
			if err := next(ctx, cmds[i:i+1]); err != nil && first == nil {
				first = err
			}
		}
		return first
	}
}

func stop(ctx context.Context, cmd redis.Cmder) {
	a, ok := ctx.Value(actorKey{}).(*actor)
	if !ok {
		return
	}
	args := cmd.Args()
	key := 1
	if cmd.Name() == "evalsha" {
		key = 3
	}
	if len(args) <= key {
		return
	}
	name := fmt.Sprint(args[key])
	if strings.Contains(name, "session:") || strings.Contains(name, "members:") {
		a.stop(cmd.Name() + " " + name)
	}
}

func (a *actor) stop(before string) {
	a.arrived <- before
	<-a.proceed
}

// walk runs a case in every order of its actors' steps.
func walk(t *testing.T, e *engine, test walkCase) {
	pool := newWalkClients(t, e)
	var schedule []int
	for orders := 1; ; orders++ {
		taken, of := pool.order(t, test, schedule)
		for len(taken) > 0 && taken[len(taken)-1]+1 == of[len(taken)-1] {
			taken = taken[:len(taken)-1]
		}
		if t.Failed() {
			return
		}
		if len(taken) == 0 {
			t.Logf("%d orders", orders)
			return
		}
		taken[len(taken)-1]++
		schedule = taken
	}
}

// walkClients are the connections of the nodes, which one order after the other
// uses.
type walkClients struct {
	e       *engine
	clients map[string]*Client
}

func newWalkClients(t *testing.T, e *engine) *walkClients {
	p := &walkClients{e, make(map[string]*Client)}
	for _, name := range []string{"", "a", "b", "c"} {
		c := e.client(t)
		c.rdb.AddHook(gate{})
		p.clients[name] = c
	}
	if err := replaceScript.Load(context.Background(), p.clients[""].rdb).Err(); err != nil {
		t.Fatal(err)
	}
	return p
}

// order runs a case in one order: the schedule says which of the enabled actors
// goes next, and then it is always the first. It returns the choices made, and
// of how many.
func (p *walkClients) order(t *testing.T, test walkCase, schedule []int) (taken, of []int) {
	w := &world{
		t:        t,
		e:        p.e,
		email:    newID() + "@example.com",
		observer: p.clients[""],
		nodes:    make(map[string]*walker),
		ids:      make(map[string]string),
		gone:     make(map[string]bool),
	}
	for _, name := range []string{"a", "b", "c"} {
		// The connection is kept, what it has seen is not.
		c := p.clients[name]
		fresh := &Client{rdb: c.rdb, sharded: c.sharded, keys: c.keys, command: c.command, now: c.now}
		m := fresh.Member(MemberConfig{}, nil)
		w.nodes[name] = &walker{m, name}
	}
	actors := test.build(w)
	for _, a := range actors {
		ctx := context.WithValue(context.Background(), actorKey{}, a)
		go func() {
			a.run(ctx)
			a.arrived <- ""
		}()
		w.arrival(a)
	}
	for {
		var enabled []*actor
		for _, a := range actors {
			if !a.over && !w.waits(a) {
				enabled = append(enabled, a)
			}
		}
		if len(enabled) == 0 {
			break
		}
		choice := 0
		if len(taken) < len(schedule) {
			choice = schedule[len(taken)]
		}
		if choice >= len(enabled) {
			t.Fatalf("the order does not repeat; so far:\n\t%s", strings.Join(w.trace, "\n\t"))
		}
		taken, of = append(taken, choice), append(of, len(enabled))
		a := enabled[choice]
		w.trace = append(w.trace, a.name+": "+a.next)
		a.proceed <- struct{}{}
		w.arrival(a)
		w.checkStep()
	}
	for _, a := range actors {
		if !a.over {
			w.fail("%s waits for ever at %s", a.name, a.next)
		}
	}
	w.quiet(test)
	w.clean()
	if t.Failed() {
		t.Logf("order:\n\t%s", strings.Join(w.trace, "\n\t"))
	}
	return taken, of
}

// arrival waits until an actor stops again or has ended.
func (w *world) arrival(a *actor) {
	select {
	case a.next = <-a.arrived:
		a.over = a.next == ""
	case <-time.After(patience):
		w.t.Fatalf("%s neither stops nor ends; order:\n\t%s", a.name, strings.Join(w.trace, "\n\t"))
	}
}

// waits reports whether an actor stands before a lock that another one holds.
func (w *world) waits(a *actor) bool {
	name, ok := strings.CutPrefix(a.next, "lock ")
	if !ok {
		return false
	}
	l := &w.nodes[name].emails
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held[w.email] != nil
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Errorf(format, args...)
}

// node brings a node to life that has joined.
func (w *world) node(name string) *walker { return w.nodeBehind(name, 0) }

// nodeBehind is node with a Redis clock that is behind.
func (w *world) nodeBehind(name string, behind time.Duration) *walker {
	n := w.nodes[name]
	if w.ids[name] != "" {
		return n
	}
	// A clock that moves with each look at it makes every order repeatable.
	n.c.epochs.clock = func() time.Time {
		w.looks++
		return walkBegin.Add(time.Duration(w.looks) * time.Millisecond)
	}
	n.c.epochs.measure(walkBegin.Add(-behind), walkBegin, walkBegin)
	n.emails.before = func(ctx context.Context, _ string) {
		if a, ok := ctx.Value(actorKey{}).(*actor); ok {
			a.stop("lock " + name)
		}
	}
	if err := w.observer.rdb.SAdd(context.Background(), n.c.keys.nodes(), n.ID()).Err(); err != nil {
		w.t.Fatal(err)
	}
	w.ids[name] = n.ID()
	w.all = append(w.all, n.ID())
	n.stand(n.ID(), time.Now().Add(time.Hour))
	return n
}

// dies marks the present id of a node as dead: it writes no more under it than
// it would while asleep.
func (w *world) dies(n *walker) *walker {
	w.gone[n.ID()] = true
	return n
}

func (w *world) session(n *walker) *walkSession {
	s := &walkSession{Session: &clusterv1.Session{Id: newID(), Email: w.email, Dialect: "MSNP7"}, on: n}
	w.sessions = append(w.sessions, s)
	return s
}

// loggedIn is a session that is in place when the walk begins.
func (w *world) loggedIn(n *walker) *walkSession {
	s := w.session(n)
	w.doClaim(context.Background(), s)
	w.checkStep()
	return s
}

// dead marks a session that is no more, though the record names it.
func (w *world) dead(s *walkSession) { s.alive, s.quits = false, true }

func (w *world) actor(name string, run func(ctx context.Context)) *actor {
	return &actor{name: name, run: run, arrived: make(chan string), proceed: make(chan struct{})}
}

func (w *world) claim(n *walker) *actor { return w.claimOf(w.session(n)) }

func (w *world) claimOf(s *walkSession) *actor {
	return w.actor("login on "+s.on.name, func(ctx context.Context) { w.doClaim(ctx, s) })
}

func (w *world) release(s *walkSession) *actor {
	s.quits = true
	return w.actor("logout on "+s.on.name, func(ctx context.Context) { w.doRelease(ctx, s) })
}

func (w *world) reclaim(s *walkSession) *actor {
	return w.actor("audit on "+s.on.name, func(ctx context.Context) { w.doReclaim(ctx, s) })
}

func (w *world) sweep(by *walker, name string) *actor {
	return w.actor("sweep by "+by.name, func(ctx context.Context) { w.doSweep(ctx, by, name) })
}

func (w *world) wake(n *walker, s *walkSession) *actor {
	return w.actor("wake up "+n.name, func(ctx context.Context) { w.doWake(ctx, n, s) })
}

func (w *world) forget(by *walker, s *walkSession) *actor {
	found := &clusterv1.Session{Id: s.Id, Email: s.Email, Node: s.Node, Epoch: s.Epoch}
	return w.actor("forget by "+by.name, func(ctx context.Context) {
		if err := by.c.Forget(ctx, found); err != nil {
			w.fail("Forget: %v", err)
		}
	})
}

func (w *world) doClaim(ctx context.Context, s *walkSession) {
	s.alive = true
	displaced, err := s.on.Claim(ctx, s.Session)
	if err != nil {
		w.fail("Claim: %v", err)
	}
	if s.Node != s.on.ID() {
		w.fail("Claim left the record with %s, the node is %s", s.Node, s.on.ID())
	}
	s.claimed = s.Epoch
	w.tell(displaced)
}

func (w *world) doRelease(ctx context.Context, s *walkSession) {
	s.alive = false
	if err := s.on.Release(ctx, s.Session); err != nil {
		w.fail("Release: %v", err)
	}
}

func (w *world) doReclaim(ctx context.Context, s *walkSession) {
	if !s.alive {
		return
	}
	before := s.Epoch
	changed, displaced, err := s.on.Reclaim(ctx, s.Session)
	switch {
	case errors.Is(err, ErrDisplaced):
		w.doRelease(ctx, s)
		return
	case err != nil:
		w.fail("Reclaim: %v", err)
	case s.Epoch < before || changed != (s.Epoch > before):
		w.fail("Reclaim: epoch %d after %d, changed %t", s.Epoch, before, changed)
	case s.Node != s.on.ID():
		w.fail("Reclaim left the record with %s, the node is %s", s.Node, s.on.ID())
	}
	w.tell(displaced)
}

func (w *world) doSweep(ctx context.Context, by *walker, name string) {
	if _, err := by.c.sweep(ctx, w.ids[name]); err != nil {
		w.fail("sweep: %v", err)
	}
}

// lose gives a node a new id, as a beat does that finds the lease gone.
func (w *world) lose(ctx context.Context, n *walker) {
	if a, ok := ctx.Value(actorKey{}).(*actor); ok {
		a.stop("lose the lease")
	}
	id := newID()
	if _, err := n.join(ctx, id); err != nil {
		w.fail("join: %v", err)
	}
	w.gone[n.ID()] = true
	w.all = append(w.all, id)
	n.adopt(id, nil, time.Now().Add(time.Hour))
}

// doWake is what a node does that slept longer than a lease.
func (w *world) doWake(ctx context.Context, n *walker, s *walkSession) {
	w.lose(ctx, n)
	w.doReclaim(ctx, s)
}

// tell notes whom a claimer has to tell.
func (w *world) tell(displaced []*clusterv1.Session) {
	for _, d := range displaced {
		for _, s := range w.sessions {
			if s.Id == d.Id {
				s.told = max(s.told, d.Epoch)
			}
		}
	}
}

func (w *world) record() record {
	r, err := w.observer.read(context.Background(), w.email)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// restore puts an earlier record back, as a failover does that loses writes.
func (w *world) restore(r record) {
	if err := w.observer.rdb.Set(context.Background(), w.observer.keys.session(w.email), r.raw, 0).Err(); err != nil {
		w.t.Fatal(err)
	}
}

// empty loses all that Redis has of this user.
func (w *world) empty() {
	ctx, k := context.Background(), w.observer.keys
	err := w.observer.rdb.Del(ctx, k.session(w.email)).Err()
	for _, id := range w.ids {
		err = errors.Join(err, w.observer.rdb.SRem(ctx, k.members(id), w.email).Err())
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) isMember(id string) bool {
	is, err := w.observer.rdb.SIsMember(context.Background(), w.observer.keys.members(id), w.email).Result()
	if err != nil {
		w.t.Fatal(err)
	}
	return is
}

// checkStep checks what must hold at any time.
func (w *world) checkStep() {
	r := w.record()
	if !r.exists() {
		return
	}
	w.highest = max(w.highest, r.session.Epoch)
	if id := r.session.Node; id != "" && !w.gone[id] && !w.isMember(id) {
		w.fail("the record names node %s, which has no such member", id)
	}
}

// quiet lets every Close arrive and every session audit itself, and checks what
// must hold then.
func (w *world) quiet(test walkCase) {
	ctx := context.Background()
	closeTold := func() {
		for _, s := range w.sessions {
			if s.alive && s.told >= s.Epoch {
				w.doRelease(ctx, s)
			}
		}
	}
	closeTold()
	if n := w.believers(); test.settled && len(n) > 1 {
		w.fail("%d sessions believe to be logged in before any audit", len(n))
	}
	for range 3 {
		for _, s := range w.sessions {
			w.doReclaim(ctx, s)
		}
		closeTold()
	}
	for id := range w.gone {
		if _, err := w.observer.sweep(ctx, id); err != nil {
			w.fail("sweep: %v", err)
		}
	}
	w.checkStep()

	r, owners := w.record(), w.believers()
	switch {
	case len(owners) > 1:
		w.fail("%d sessions believe to own the record: %v", len(owners), owners)
	case len(owners) == 1:
		s := owners[0]
		if p := r.session; p.GetId() != s.Id || p.GetNode() != s.on.ID() || p.GetEpoch() != s.Epoch {
			w.fail("the record says %v, its owner %v on %s", p, s.Session, s.on.ID())
		}
	case r.session.GetNode() != "":
		w.fail("nobody is logged in, the record says %v", r.session)
	}
	if last := w.lastLogin(); !test.emptied && last != nil && (len(owners) == 0) != last.quits {
		w.fail("the last login was %v, which ends: %t; owners are %v", last.Session, last.quits, owners)
	} else if !test.emptied && len(owners) == 1 && owners[0] != last {
		w.fail("the record belongs to %v, the last login was %v", owners[0].Session, last.Session)
	}
	if !test.emptied && r.session.GetEpoch() != w.highest {
		w.fail("the record ends with epoch %d after %d", r.session.GetEpoch(), w.highest)
	}
	for name, n := range w.nodes {
		if w.ids[name] == "" || test.ghost {
			continue
		}
		if id := n.ID(); w.isMember(id) && !r.names(id) {
			w.fail("a member is left on %s, which the record does not name", name)
		}
	}
}

// lastLogin is the session that was claimed under the highest epoch.
func (w *world) lastLogin() *walkSession {
	var last *walkSession
	for _, s := range w.sessions {
		if last == nil || s.claimed > last.claimed {
			last = s
		}
	}
	return last
}

// clean removes what this order has left.
func (w *world) clean() {
	ctx, k := context.Background(), w.observer.keys
	pipe := w.observer.rdb.Pipeline()
	pipe.Del(ctx, k.session(w.email))
	for _, id := range w.all {
		pipe.SRem(ctx, k.nodes(), id)
		pipe.Del(ctx, k.node(id))
		pipe.Del(ctx, k.members(id))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		w.t.Fatal(err)
	}
}

// believers are the sessions that take themselves for logged in.
func (w *world) believers() []*walkSession {
	var b []*walkSession
	for _, s := range w.sessions {
		if s.alive {
			b = append(b, s)
		}
	}
	return b
}
