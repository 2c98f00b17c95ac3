package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/msnp/client"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/test/cluster/crowd"
	"github.com/monarch-msn/monarch/test/cluster/network"
)

// A divided network has a host for every process, a crowd at work, and
// witnesses: ann and bob on the first notification node, cyd and dan on the
// second, eve on the third.
type divided struct {
	*network.Network
	crowd *crowd.Crowd
	all   map[string]*witness
}

func newDivided(t *testing.T) *divided {
	t.Helper()
	n := network.Start(t, network.Options{
		Hosts: true, Notifications: 3, Switchboards: 1, Directories: 2, Dispatches: 2, Args: crowd.Args(),
	})
	ctx, cancel := context.WithTimeout(t.Context(), network.Patience)
	defer cancel()
	c, err := crowd.Start(ctx, crowd.Options{
		Users: 60, Dispatch: []string{n.DispatchAt(0), n.DispatchAt(1)}, Accounts: n.Accounts(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	created, err := n.Accounts().CreateAccounts(ctx, &directoryv1.CreateAccountsRequest{
		Accounts: []*directoryv1.NewAccount{{Email: guest, Password: password(guest)}},
	})
	if err != nil || created.GetCreated() != 1 {
		t.Fatalf("create the guest: %v, %v", created, err)
	}
	return &divided{n, c, hireWitnesses(ctx, t, n, map[string]int{"ann": 0, "bob": 0, "cyd": 1, "dan": 1, "eve": 2})}
}

// witnesses returns some of them.
func (d *divided) witnesses(names ...string) []*witness {
	var some []*witness
	for _, name := range names {
		some = append(some, d.all[name])
	}
	return some
}

// hosts returns those of processes.
func hosts(processes ...*network.Process) []*network.Host {
	var list []*network.Host
	for _, p := range processes {
		list = append(list, p.Host())
	}
	return list
}

// at returns who of the crowd is at the nodes.
func (d *divided) at(nodes []int) []string {
	var emails []string
	for _, i := range nodes {
		emails = append(emails, d.crowd.At(d.Notification(i))...)
	}
	return emails
}

// An island is what a cut makes of some nodes: they have lost Redis, and with
// it the others.
type island struct {
	nodes        []int
	these, those []*network.Host
	// gone are the witnesses on the island, left the others.
	gone, left []*witness
	// pairs are witnesses who go on seeing each other.
	pairs [][2]*witness
}

// visit makes an island for two leases, and returns when everybody is told the
// truth again.
func (d *divided) visit(ctx context.Context, t *testing.T, i island) (err error) {
	before := d.crowd.Figures()
	excused := map[string]bool{}
	excuse := func() {
		for _, email := range d.at(i.nodes) {
			if !excused[email] {
				excused[email] = true
				d.crowd.Excuse(email)
			}
		}
	}
	defer func() { err = errors.Join(err, network.Rejoin(i.these, i.those)) }()
	cut := time.Now()
	if err := network.Part(i.these, i.those); err != nil {
		return err
	}
	excuse()

	live := func() error {
		for _, p := range i.pairs {
			if err := errors.Join(p[0].flip(ctx, p[1]), p[1].flip(ctx, p[0])); err != nil {
				return fmt.Errorf("presence within a side: %w", err)
			}
		}
		return nil
	}
	if err := live(); err != nil {
		return err
	}
	for _, w := range i.left {
		for _, gone := range i.gone {
			if err := w.misses(ctx, gone); err != nil {
				return fmt.Errorf("cut off: %w", err)
			}
		}
	}
	t.Logf("figure: offline to the others %.1f s after the cut", time.Since(cut).Seconds())
	flips := 0
	for time.Since(cut) < 2*leaseTime {
		if err := live(); err != nil {
			return err
		}
		flips += 2 * len(i.pairs)
		pause(ctx, 100*time.Millisecond)
	}
	t.Logf("figure: %d changes of status seen within the sides meanwhile", flips)

	excuse() // who came there at the time of the cut
	mended := time.Now()
	if err := network.Rejoin(i.these, i.those); err != nil {
		return err
	}
	if err := d.everybodySees(ctx); err != nil {
		return fmt.Errorf("mended: %w", err)
	}
	t.Logf("figure: witnesses see the truth %.1f s after mending", time.Since(mended).Seconds())
	if _, err := d.crowd.Converge(ctx); err != nil {
		return fmt.Errorf("mended: %w", err)
	}
	t.Logf("figure: the crowd sees the truth %.1f s after mending, wrong views: 0, acknowledged edits lost: 0", time.Since(mended).Seconds())

	for _, w := range d.all {
		for _, other := range d.all {
			want := 0
			if slices.Contains(i.left, w) && slices.Contains(i.gone, other) {
				want = 1
			}
			if got := w.fallen(other); got != want {
				err = errors.Join(err, fmt.Errorf("%s saw %s go offline %d times, want %d", w.email, other.email, got, want))
			}
		}
	}
	return errors.Join(err, d.calm(t, before, anything))
}

// anything is what a crowd may have met with where nothing is promised of it.
func anything(crowd.Figures) bool { return true }

// everybodySees waits until each witness sees each other one as it is.
func (d *divided) everybodySees(ctx context.Context) error {
	for _, w := range d.all {
		for _, other := range d.all {
			if err := w.sees(ctx, other); err != nil {
				return err
			}
		}
	}
	return nil
}

// calm checks that no session was lost, that no witness was told anything that
// should not have come, and what else is to hold of the crowd.
func (d *divided) calm(t *testing.T, before crowd.Figures, holds func(crowd.Figures) bool) (err error) {
	f := d.crowd.Figures().Since(before)
	t.Logf("figure: %v", f)
	if f.Lost+f.Away > 0 || !holds(f) {
		err = fmt.Errorf("more than was promised has happened: %v\n%s", f, d.crowd.Losses())
	}
	for _, w := range d.all {
		err = errors.Join(err, w.mistaken())
	}
	return err
}

// quickPartitions are those of every run; the others are for soaks.
var quickPartitions = []string{
	"a notification node is cut off from Redis for longer than its lease",
	"a notification node is cut off from one of two directories",
}

var partitions = []struct {
	name, promise string
	play          func(ctx context.Context, t *testing.T, d *divided) error
}{
	{
		"a notification node is cut off from Redis for longer than its lease",
		"its sessions stay and see each other; to the others its users go offline, once, and come back after mending",
		func(ctx context.Context, t *testing.T, d *divided) error {
			all := d.all
			return d.visit(ctx, t, island{
				nodes: []int{0},
				these: hosts(d.Roles.Notifications[0]),
				those: []*network.Host{d.RedisHost},
				gone:  d.witnesses("ann", "bob"), left: d.witnesses("cyd", "dan", "eve"),
				pairs: [][2]*witness{{all["ann"], all["bob"]}, {all["cyd"], all["dan"]}, {all["cyd"], all["eve"]}},
			})
		},
	},
	{
		"the cluster is cut into halves",
		"on the side of Redis everything works; on the other one sessions stay, and see those on their own node",
		func(ctx context.Context, t *testing.T, d *divided) error {
			all, r := d.all, d.Roles
			return d.visit(ctx, t, island{
				nodes: []int{1, 2},
				these: hosts(r.Notifications[1], r.Notifications[2], r.Dispatches[1], r.Directories[1]),
				those: append(hosts(r.Notifications[0], r.Dispatches[0], r.Directories[0], r.Switchboards[0], r.Operator),
					d.RedisHost, d.DatabaseHost),
				gone: d.witnesses("cyd", "dan", "eve"), left: d.witnesses("ann", "bob"),
				pairs: [][2]*witness{{all["ann"], all["bob"]}, {all["cyd"], all["dan"]}},
			})
		},
	},
	{
		"a notification node is cut off from all directories",
		"there logins and edits are refused with the protocol's error, everything else works",
		cutFromDirectories,
	},
	{
		"a notification node is cut off from one of two directories",
		"nothing but a call that takes longer",
		cutFromOneDirectory,
	},
}

// guest is somebody who logs in again and again and is on nobody's mind.
const guest = "guest@witness.example.com"

// enter has the guest log in at a node and leave.
func enter(ctx context.Context, node string) error {
	c, err := client.Login(ctx, client.Options{Dispatch: node, Email: guest, Password: password(guest)})
	if err != nil {
		return err
	}
	return c.Logout(ctx)
}

// edit has a witness put the guest on FL, or take the guest off.
func (w *witness) edit(ctx context.Context) error {
	w.mu.Lock()
	there := w.guest
	w.mu.Unlock()
	verb, args := "ADD", []string{"FL", guest, guest}
	if there {
		verb, args = "REM", args[:2]
	}
	_, err := w.do(ctx, verb, args...)
	if err == nil {
		w.mu.Lock()
		w.guest = !there
		w.mu.Unlock()
	}
	return err
}

// cutFromDirectories cuts the first node off from both directories.
func cutFromDirectories(ctx context.Context, t *testing.T, d *divided) (err error) {
	ann, bob, cyd := d.all["ann"], d.all["bob"], d.all["cyd"]
	before := d.crowd.Figures()
	these, those := hosts(d.Roles.Notifications[0]), hosts(d.Roles.Directories...)
	defer func() { err = errors.Join(err, network.Rejoin(these, those)) }()
	cut := time.Now()
	if err := network.Part(these, those); err != nil {
		return err
	}
	var slowest time.Duration
	logins, edits, flips := 0, 0, 0
	for time.Since(cut) < 2*leaseTime {
		begun := time.Now()
		if err := enter(ctx, d.Notification(0)); !refused(err) {
			return fmt.Errorf("a login there: want the protocol's error, got %w", err)
		}
		logins++
		if err := ann.edit(ctx); !refused(err) {
			return fmt.Errorf("an edit there: want the protocol's error, got %w", err)
		}
		edits++
		slowest = max(slowest, time.Since(begun)/2)
		if err := errors.Join(enter(ctx, d.Notification(1)), cyd.edit(ctx)); err != nil {
			return fmt.Errorf("at another node: %w", err)
		}
		if err := errors.Join(ann.flip(ctx, bob, cyd), cyd.flip(ctx, ann, bob)); err != nil {
			return fmt.Errorf("presence: %w", err)
		}
		flips += 2
	}
	t.Logf("figure: %d logins and %d edits refused there, each within %.1f s; %d changes of status seen meanwhile", logins, edits, slowest.Seconds(), flips)
	mended := time.Now()
	if err := network.Rejoin(these, those); err != nil {
		return err
	}
	for {
		err := errors.Join(enter(ctx, d.Notification(0)), ann.edit(ctx))
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return fmt.Errorf("mended: %w", err)
		}
		pause(ctx, 100*time.Millisecond)
	}
	t.Logf("figure: logins and edits %.1f s after mending", time.Since(mended).Seconds())
	return d.settled(ctx, t, before, anything)
}

// cutFromOneDirectory cuts the first node off from one directory of two.
func cutFromOneDirectory(ctx context.Context, t *testing.T, d *divided) (err error) {
	ann := d.all["ann"]
	before := d.crowd.Figures()
	these, those := hosts(d.Roles.Notifications[0]), hosts(d.Roles.Directories[0])
	defer func() { err = errors.Join(err, network.Rejoin(these, those)) }()
	cut := time.Now()
	if err := network.Part(these, those); err != nil {
		return err
	}
	slowest := map[string]time.Duration{}
	calls := map[string]int{}
	for time.Since(cut) < 2*leaseTime {
		for what, call := range map[string]func() error{
			"login": func() error { return enter(ctx, d.Notification(0)) },
			"edit":  func() error { return ann.edit(ctx) },
		} {
			begun := time.Now()
			err := call()
			slowest[what] = max(slowest[what], time.Since(begun))
			calls[what]++
			if err != nil {
				return fmt.Errorf("%s, %.1f s after the cut: %w", what, time.Since(cut).Seconds(), err)
			}
		}
		pause(ctx, 20*time.Millisecond)
	}
	t.Logf("figure: %d logins, the slowest %.1f s; %d edits, the slowest %.1f s", calls["login"], slowest["login"].Seconds(), calls["edit"], slowest["edit"].Seconds())
	if err := network.Rejoin(these, those); err != nil {
		return err
	}
	return d.settled(ctx, t, before, func(f crowd.Figures) bool { return f.Failed+f.Refused+f.Unknown == 0 })
}

// settled waits until everybody is told the truth, where nobody was to be seen
// going.
func (d *divided) settled(ctx context.Context, t *testing.T, before crowd.Figures, holds func(crowd.Figures) bool) error {
	took, err := d.crowd.Converge(ctx)
	if err != nil {
		return err
	}
	t.Logf("figure: %.1f s to converge, wrong views: 0, acknowledged edits lost: 0", took.Seconds())
	for _, w := range d.all {
		for _, other := range d.all {
			if got := w.fallen(other); got != 0 {
				err = errors.Join(err, fmt.Errorf("%s saw %s go offline %d times, want 0", w.email, other.email, got))
			}
		}
	}
	return errors.Join(err, d.calm(t, before, holds))
}

// Each way in which the network between processes breaks, in turn, happens to a
// network on which a crowd is at work, and its promise holds.
func TestPartitions(t *testing.T) {
	t.Parallel()
	d := newDivided(t)
	for _, p := range partitions {
		if !soaking() && !slices.Contains(quickPartitions, p.name) {
			continue
		}
		if !t.Run(p.name, func(t *testing.T) {
			t.Logf("promise: %s", p.promise)
			ctx, cancel := context.WithTimeout(t.Context(), network.Patience)
			defer cancel()
			if err := p.play(ctx, t, d); err != nil {
				t.Fatal(err)
			}
		}) {
			break // what comes behind would suffer from it
		}
	}
}
