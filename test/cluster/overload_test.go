package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/monarch-msn/monarch/msnp"
	"github.com/monarch-msn/monarch/msnp/client"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/test/cluster/network"
)

// A visitor is somebody who wants to get in. Its methods are called by one
// goroutine at a time; what it has heard may be asked for from any.
type visitor struct {
	email    string
	contacts []*visitor
	changes  int // of status in delays
	*client.Client

	reading sync.WaitGroup
	mu      sync.Mutex
	sees    map[string]string // status by email, of contacts that are online
	ended   error             // why the connection is over
	heard   chan heard
}

// heard is a change of somebody's status, the answer to PNG, or whatever else.
type heard struct {
	email, status string
	at            time.Time
	message       client.Message
}

const visitorPassword = "a-password-of-visitors"

// invite creates so many accounts. Each has those beside it for contacts, as
// many as wanted.
func invite(t *testing.T, n *network.Network, domain string, count, contacts int) []*visitor {
	t.Helper()
	visitors := make([]*visitor, count)
	for i := range visitors {
		visitors[i] = &visitor{email: fmt.Sprintf("visitor%d@%s", i, domain)}
	}
	var accounts []*directoryv1.NewAccount
	var links []*directoryv1.NewContact
	for i, g := range visitors {
		accounts = append(accounts, &directoryv1.NewAccount{Email: g.email, Password: visitorPassword, Name: "Visitor"})
		for d := 1; d <= contacts/2; d++ {
			for _, o := range []*visitor{visitors[(i+d)%count], visitors[(i+count-d)%count]} {
				g.contacts = append(g.contacts, o)
				links = append(links, &directoryv1.NewContact{Owner: g.email, Contact: o.email})
			}
		}
	}
	for rows := range slices.Chunk(accounts, 500) {
		answer, err := n.Accounts().CreateAccounts(t.Context(), &directoryv1.CreateAccountsRequest{Accounts: rows})
		if err != nil || len(answer.GetErrors()) > 0 {
			t.Fatalf("create accounts: %v %v", answer.GetErrors(), err)
		}
	}
	for rows := range slices.Chunk(links, 500) {
		answer, err := n.Accounts().ImportContacts(t.Context(), &directoryv1.ImportContactsRequest{Contacts: rows})
		if err != nil || len(answer.GetErrors()) > 0 {
			t.Fatalf("import contacts: %v %v", answer.GetErrors(), err)
		}
	}
	return visitors
}

// enter logs in at an address, reads the lists and goes online. An error that is
// msnp.CodeBusy says that the network has no room.
func (g *visitor) enter(ctx context.Context, address string) error {
	c, err := client.Login(ctx, client.Options{Dispatch: address, Email: g.email, Password: visitorPassword})
	if err != nil {
		return err
	}
	if _, err := c.Sync(ctx, 0); err != nil {
		c.Close()
		return fmt.Errorf("SYN of %s: %w", g.email, err)
	}
	g.Client, g.sees, g.ended = c, map[string]string{}, nil
	g.heard = make(chan heard, 64)
	g.reading.Go(func() { g.read(c) })
	if _, err := g.Start("CHG", "NLN"); err != nil {
		return fmt.Errorf("CHG of %s: %w", g.email, err)
	}
	return nil
}

// read takes in what comes, until the connection ends.
func (g *visitor) read(c *client.Client) {
	for {
		m, err := c.Conn.Next(context.Background())
		if err != nil {
			g.mu.Lock()
			g.ended = err
			g.mu.Unlock()
			close(g.heard)
			return
		}
		h := heard{at: time.Now(), message: m}
		g.mu.Lock()
		switch m.Verb {
		case "NLN":
			h.email, h.status = m.Arg(1), m.Arg(0)
			g.sees[h.email] = h.status
		case "ILN":
			h.email, h.status = m.Arg(2), m.Arg(1)
			g.sees[h.email] = h.status
		case "FLN":
			h.email = m.Arg(0)
			delete(g.sees, h.email)
		}
		g.mu.Unlock()
		select {
		case g.heard <- h:
		default: // nobody waits for it
		}
	}
}

// leave logs out and returns when the connection is over.
func (g *visitor) leave() {
	_ = g.Conn.Send("OUT") // it may be over already
	_ = g.NetConn().SetReadDeadline(time.Now().Add(network.Patience))
	g.reading.Wait()
	_ = g.Close()
}

// drop ends the connection.
func (g *visitor) drop() {
	if g.Client != nil {
		_ = g.Close()
		g.reading.Wait()
	}
}

// lost returns why the connection is over, nil if it is not.
func (g *visitor) lost() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ended
}

// hears waits until something is heard that fits.
func (g *visitor) hears(ctx context.Context, fits func(heard) bool) (heard, error) {
	for {
		select {
		case h, ok := <-g.heard:
			if !ok {
				return h, fmt.Errorf("%s lost the connection: %w", g.email, g.lost())
			}
			if fits(h) {
				return h, nil
			}
		case <-ctx.Done():
			return heard{}, fmt.Errorf("%s does not hear what it should: %w", g.email, ctx.Err())
		}
	}
}

// works checks that somebody inside is served: PNG is answered, a change of
// status reaches the contact.
func (g *visitor) works(ctx context.Context, watcher *visitor) error {
	if err := g.Conn.Send("PNG"); err != nil {
		return err
	}
	if _, err := g.hears(ctx, said("QNG")); err != nil {
		return err
	}
	for _, status := range []string{"AWY", "NLN"} {
		if _, err := g.Start("CHG", status); err != nil {
			return err
		}
		if _, err := watcher.hears(ctx, func(h heard) bool { return h.email == g.email && h.status == status }); err != nil {
			return err
		}
	}
	return nil
}

// misses lists the contacts that are not seen online.
func (g *visitor) misses() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var missing []string
	for _, o := range g.contacts {
		if g.sees[o.email] != "NLN" {
			missing = append(missing, o.email)
		}
	}
	return missing
}

// said fits the lines of a verb.
func said(verb string) func(heard) bool {
	return func(h heard) bool { return h.message.Verb == verb }
}

func busy(err error) bool { return errors.Is(err, msnp.CodeBusy) }

// total adds up a metric of several processes.
func total(t *testing.T, processes []*network.Process, name string) (sum float64) {
	t.Helper()
	for _, p := range processes {
		v, err := p.Metric(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		sum += v
	}
	return sum
}

// firstAnswer opens a connection, says VER and returns what it hears first.
func firstAnswer(address string) (string, error) {
	nc, err := net.DialTimeout("tcp", address, network.Patience)
	if err != nil {
		return "", err
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(network.Patience)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(nc, "VER 1 MSNP7 CVR0\r\n"); err != nil {
		return "", err
	}
	return bufio.NewReader(nc).ReadString('\n')
}

func TestFullNetwork(t *testing.T) {
	t.Log("promise: who fits gets in at the first attempt; who does not is told 600, by dispatch as soon as it knows; " +
		"those inside keep their service, and when one leaves one gets in")
	const nodes, capacity, connections, outside = 2, 6, 20, 30
	const inside = nodes * capacity
	n := network.Start(t, network.Options{Notifications: nodes, Args: map[string][]string{"notification": {
		fmt.Sprintf("--notification.capacity=%d", capacity),
		fmt.Sprintf("--notification.max-connections=%d", connections),
	}}})
	ctx, cancel := context.WithTimeout(t.Context(), network.Patience)
	defer cancel()
	visitors := invite(t, n, "full.example.com", inside+outside, 2)
	in, out := visitors[:inside], visitors[inside:]
	for _, g := range visitors {
		defer g.drop()
	}

	// All who fit, all at once.
	var group errgroup.Group
	for _, g := range in {
		group.Go(func() error { return g.enter(ctx, n.Dispatch()) })
	}
	if err := group.Wait(); err != nil {
		t.Fatalf("somebody who fits did not get in: %v", err)
	}

	// All others, all at once, wherever they knock.
	refusals := func(address string) {
		t.Helper()
		var group errgroup.Group
		for _, g := range out {
			group.Go(func() error {
				if err := g.enter(ctx, address); !busy(err) {
					return fmt.Errorf("%s, who does not fit, knocks at %s: want 600, got %w", g.email, address, err)
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	refusals(n.Dispatch())
	for i := range nodes {
		refusals(n.Notification(i))
	}
	if got := total(t, n.Roles.Notifications, "monarch_sessions"); got != inside {
		t.Errorf("sessions: want %d, got %v", inside, got)
	}
	// Dispatch knows by now, or soon, and then sends nobody to a full node.
	knows := "at " + n.Dispatch() + ":"
	for {
		if err := out[0].enter(ctx, n.Dispatch()); !busy(err) {
			t.Fatalf("want 600, got %v", err)
		} else if strings.Contains(err.Error(), knows) {
			break
		}
	}
	before := total(t, n.Roles.Notifications, "monarch_logins_refused_total")
	begun := time.Now()
	refusals(n.Dispatch())
	each := time.Since(begun) / outside
	if after := total(t, n.Roles.Notifications, "monarch_logins_refused_total"); after != before {
		t.Errorf("dispatch has sent %v clients to nodes that are full", after-before)
	}
	t.Logf("figure: %d inside, %d refused at dispatch, one each %.2f ms", inside, outside, float64(each.Microseconds())/1000)

	serves := func() {
		t.Helper()
		for i, g := range in[:inside-1] {
			if err := g.works(ctx, in[i+1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	serves()
	editAndChat(ctx, t, in[0], in[1], out[0].email)

	// No connection is left either: the first command is answered.
	var idle []net.Conn
	for range connections {
		nc, err := net.Dial("tcp", n.Notification(0))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		idle = append(idle, nc)
	}
	refused := total(t, n.Roles.Notifications, "monarch_connections_refused_total")
	if answer, err := firstAnswer(n.Notification(0)); answer != "600 1\r\n" {
		t.Errorf("answer to VER where there is no room for a connection: want 600, got %q and %v", answer, err)
	}
	if refused == 0 {
		t.Error("no connection was refused")
	}
	serves()
	t.Logf("figure: %v connections refused beyond %d", refused, connections)
	for _, nc := range idle {
		nc.Close()
	}

	// One leaves, and of all who try exactly one gets in.
	left := time.Now()
	in[inside-1].leave()
	var entered atomic.Int32
	trying, stop := context.WithCancel(ctx)
	defer stop()
	var contest errgroup.Group
	for _, g := range out {
		contest.Go(func() error {
			for trying.Err() == nil {
				switch err := g.enter(ctx, n.Dispatch()); {
				case err == nil:
					entered.Add(1)
					stop()
					return nil
				case !busy(err):
					return err
				}
				select {
				case <-trying.Done():
				case <-time.After(time.Duration(rand.Int64N(int64(100 * time.Millisecond)))):
				}
			}
			return nil
		})
	}
	if err := contest.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := entered.Load(); got != 1 {
		t.Errorf("clients that got in where one had left: want 1, got %d", got)
	}
	if got := total(t, n.Roles.Notifications, "monarch_sessions"); got != inside {
		t.Errorf("sessions: want %d, got %v", inside, got)
	}
	for i, g := range in[:inside-2] {
		if err := g.works(ctx, in[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("figure: the next is in %.2f s after one has left", time.Since(left).Seconds())
}

// editAndChat has a put a stranger on its list, and talk with b.
func editAndChat(ctx context.Context, t *testing.T, a, b *visitor, stranger string) {
	t.Helper()
	hears := func(v *visitor, verb string) client.Message {
		t.Helper()
		h, err := v.hears(ctx, said(verb))
		if err != nil {
			t.Fatalf("wait for %s: %v", verb, err)
		}
		return h.message
	}
	if _, err := a.Start("ADD", "FL", stranger, stranger); err != nil {
		t.Fatal(err)
	}
	hears(a, "ADD")
	if _, err := a.Start("XFR", "SB"); err != nil {
		t.Fatal(err)
	}
	referral := hears(a, "XFR")
	chat, err := a.BeginChat(ctx, referral.Arg(2), referral.Arg(4))
	if err != nil {
		t.Fatal(err)
	}
	defer chat.Close()
	if err := chat.Call(ctx, b.email); err != nil {
		t.Fatal(err)
	}
	ring, ok := client.ParseRing(hears(b, "RNG"))
	if !ok {
		t.Fatal("the call cannot be understood")
	}
	other, err := b.EnterChat(ctx, ring)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for m := (client.Message{}); m.Verb != "JOI"; {
		if m, err = chat.Next(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := chat.Deliver(ctx, client.TextMessage("Is there room?")); err != nil {
		t.Fatal(err)
	}
}

// A crowd of ten times as many as usual logs in while others change their status
// all the time.
func TestThunderingHerd(t *testing.T) {
	t.Log("promise: everybody gets in in the end, who is inside stays and hears of each other, " +
		"the directory does so much at a time and no more, all views are right")
	const (
		nodes, pairs = 2, 12
		atOnce       = 8 // logins on each node
		herd         = 900
		usual        = 30 // logins a second
		rate         = 10 * usual
	)
	n := network.Start(t, network.Options{Notifications: nodes, Args: map[string][]string{
		"notification": {"--notification.login-queue=200", fmt.Sprintf("--notification.logins-at-once=%d", atOnce)},
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 2*network.Patience)
	defer cancel()
	inside := invite(t, n, "inside.example.com", 2*pairs, 2)
	outside := invite(t, n, "herd.example.com", herd, 10)
	for _, g := range slices.Concat(inside, outside) {
		defer g.drop()
	}
	for i, g := range inside {
		if err := g.enter(ctx, n.Notification(i)); err != nil {
			t.Fatal(err)
		}
	}
	directory := n.Roles.Directories[:1]
	calm := total(t, directory, "process_resident_memory_bytes")

	before, err := delays(ctx, inside, func(ctx context.Context) error {
		return crowdIn(ctx, n, outside[:2*usual], usual, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	var stats herdStats
	var calls float64
	watching, stop := context.WithCancel(ctx)
	var watch errgroup.Group
	watch.Go(func() error {
		for watching.Err() == nil {
			at := 0.0
			for _, name := range []string{"monarch_directory_busy", "monarch_directory_queue"} {
				v, err := directory[0].Metric(ctx, name)
				if err != nil {
					return err
				}
				at += v
			}
			calls = max(calls, at)
			select {
			case <-watching.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
		return nil
	})
	during, err := delays(ctx, inside, func(ctx context.Context) error {
		return crowdIn(ctx, n, outside[2*usual:], rate, &stats)
	})
	stop()
	if err := errors.Join(err, watch.Wait()); err != nil {
		t.Fatal(err)
	}
	if err := n.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	for _, g := range slices.Concat(inside, outside) {
		if err := g.lost(); err != nil {
			t.Errorf("%s lost the connection: %v", g.email, err)
		}
	}
	await(ctx, t, "all views are right", func() error {
		for _, g := range outside {
			if missing := g.misses(); len(missing) > 0 {
				return fmt.Errorf("%s does not see %v", g.email, missing)
			}
		}
		return nil
	})
	// A login asks the directory one thing at a time. Beside the logins there is
	// what every node asks for all of its sessions.
	memory := total(t, directory, "process_resident_memory_bytes")
	if bound := float64(nodes*atOnce + 2*nodes); calls > bound {
		t.Errorf("calls in the directory: want at most %v, got %v", bound, calls)
	}
	t.Logf("figure: %d logins in %.1f s, %.0f a second, arriving at %d a second; longest wait %.1f s, told to come again: %d times",
		stats.in.Load(), stats.took.Seconds(), float64(stats.in.Load())/stats.took.Seconds(), rate, time.Duration(stats.longest.Load()).Seconds(), stats.refused.Load())
	t.Logf("figure: from CHG to NLN at %d logins a second: %s; at %d: %s", usual, percentiles(before), rate, percentiles(during))
	t.Logf("figure: %v calls in the directory at most, its memory grew from %.0f to %.0f MiB; connections lost: 0, wrong views: 0",
		calls, calm/(1<<20), memory/(1<<20))
}

// herdStats is what a herd has met with.
type herdStats struct {
	in, refused, longest atomic.Int64
	took                 time.Duration
}

// crowdIn has all of them log in, so many a second. Who is told 600 comes again
// after a while.
func crowdIn(ctx context.Context, n *network.Network, visitors []*visitor, rate int, stats *herdStats) error {
	if stats == nil {
		stats = new(herdStats)
	}
	begun := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for i, g := range visitors {
		group.Go(func() error {
			due := begun.Add(time.Duration(i) * time.Second / time.Duration(rate))
			select {
			case <-time.After(time.Until(due)):
			case <-ctx.Done():
				return ctx.Err()
			}
			came := time.Now()
			for {
				err := g.enter(ctx, n.Dispatch())
				if err == nil {
					break
				}
				if !busy(err) {
					return err
				}
				stats.refused.Add(1)
				select {
				case <-time.After(time.Second/2 + time.Duration(rand.Int64N(int64(time.Second)))):
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			stats.in.Add(1)
			for waited := int64(time.Since(came)); ; {
				longest := stats.longest.Load()
				if waited <= longest || stats.longest.CompareAndSwap(longest, waited) {
					break
				}
			}
			return nil
		})
	}
	err := group.Wait()
	stats.took = time.Since(begun)
	return err
}

// delays has everybody inside change status, and the next one hear of it, until
// work is done. It returns how long each change took.
func delays(ctx context.Context, inside []*visitor, work func(ctx context.Context) error) ([]time.Duration, error) {
	var mu sync.Mutex
	var all []time.Duration
	var done atomic.Bool
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer done.Store(true)
		return work(ctx)
	})
	for i := 0; i < len(inside); i += 2 {
		talker, watcher := inside[i], inside[i+1]
		group.Go(func() error {
			for !done.Load() {
				// The other one than last, or nobody would hear of it.
				status := []string{"BSY", "NLN"}[talker.changes%2]
				talker.changes++
				sent := time.Now()
				if _, err := talker.Start("CHG", status); err != nil {
					return fmt.Errorf("CHG of %s: %w", talker.email, err)
				}
				h, err := watcher.hears(ctx, func(h heard) bool { return h.email == talker.email && h.status == status })
				if err != nil {
					return err
				}
				mu.Lock()
				all = append(all, h.at.Sub(sent))
				mu.Unlock()
				select {
				case <-time.After(20 * time.Millisecond):
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	}
	err := group.Wait()
	return all, err
}

func percentiles(d []time.Duration) string {
	if len(d) == 0 {
		return "nothing was measured"
	}
	slices.Sort(d)
	at := func(p int) float64 { return float64(d[(len(d)-1)*p/100].Microseconds()) / 1000 }
	return fmt.Sprintf("p50 %.1f ms, p99 %.1f ms, longest %.1f ms (%d changes)", at(50), at(99), at(100), len(d))
}

// await asks until there is no error.
func await(ctx context.Context, t *testing.T, what string, condition func() error) {
	t.Helper()
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("never: %s: %v", what, err)
		}
	}
}

// Clients that never finish a login, and clients that never read, are many.
func TestSlowAndHalfOpenClients(t *testing.T) {
	t.Log("promise: clients that do not go on with their login are closed in time, clients that do not read as soon as they hold too much; nobody else notices")
	const silent, slow = 100, 8
	n := network.Start(t, network.Options{Args: map[string][]string{"notification": {
		"--notification.login-timeout=3s",
		"--notification.outbox-bytes=65536",
		fmt.Sprintf("--notification.capacity=%d", silent),
	}}})
	ctx, cancel := context.WithTimeout(t.Context(), network.Patience)
	defer cancel()
	inside := invite(t, n, "inside.example.com", 8, 2)
	deaf := invite(t, n, "deaf.example.com", slow, 6)
	for _, g := range inside {
		defer g.drop()
		if err := g.enter(ctx, n.Notification(0)); err != nil {
			t.Fatal(err)
		}
	}
	notification := n.Roles.Notifications
	calm := total(t, notification, "monarch_connections")

	took, err := delays(ctx, inside, func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		for i := range silent {
			// A third each says nothing, stops behind VER, stops behind the
			// challenge, and holds a seat.
			says := []string{"", "VER 1 MSNP7\r\n", "VER 1 MSNP7\r\nUSR 2 MD5 I nobody@example.com\r\n"}[i%3]
			group.Go(func() error { return untilClosed(ctx, n.Notification(0), says) })
		}
		for _, g := range deaf {
			group.Go(func() error { return neverRead(ctx, n.Notification(0), g) })
		}
		return group.Wait()
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range inside {
		if err := g.lost(); err != nil {
			t.Errorf("%s lost the connection: %v", g.email, err)
		}
	}
	await(ctx, t, "nothing is left of them", func() error {
		if got := total(t, notification, "monarch_connections"); got != calm {
			return fmt.Errorf("%v connections are open, %v were before", got, calm)
		}
		if got := total(t, notification, "monarch_outbox_bytes"); got > 65536 {
			return fmt.Errorf("%v bytes wait to be sent", got)
		}
		return nil
	})
	// Whoever held a seat without answering the challenge holds none any more.
	for _, g := range deaf {
		if err := g.enter(ctx, n.Notification(0)); err != nil {
			t.Errorf("after all: %v", err)
		}
		defer g.drop()
	}
	t.Logf("figure: %d half-open and %d slow clients closed; from CHG to NLN meanwhile: %s", silent, slow, percentiles(took))
}

// untilClosed opens a connection, says something and waits for the end.
func untilClosed(ctx context.Context, address, says string) error {
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	if _, err := io.WriteString(nc, says); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, nc); err != nil {
		return fmt.Errorf("a client that said %q: %w", says, err)
	}
	return nil
}

// neverRead logs in and asks for the lists again and again without ever reading
// them, until the server has had enough.
func neverRead(ctx context.Context, address string, g *visitor) error {
	c, err := client.Login(ctx, client.Options{Dispatch: address, Email: g.email, Password: visitorPassword})
	if err != nil {
		return err
	}
	defer c.Close()
	if tcp, ok := c.NetConn().(*net.TCPConn); ok {
		if err := tcp.SetReadBuffer(4 << 10); err != nil {
			return err
		}
	}
	ask := []byte(strings.Repeat("SYN 9 0\r\n", 50))
	for ctx.Err() == nil {
		if c.SendRaw(ask) != nil {
			return nil // closed
		}
	}
	return fmt.Errorf("%s never reads, and was never closed: %w", g.email, ctx.Err())
}
