package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/msnp"
	"github.com/monarch-msn/monarch/msnp/client"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/test/cluster/network"
)

// A harm is something that happens to the database of a network on which a
// crowd is at work. What holds for all: sessions stay, logins and edits are
// answered with the protocol's error where they cannot be served, and with
// nothing else; presence and conversations go on; what was acknowledged is
// there afterwards, what was not is there as a whole or not at all; and logins
// and edits work again without anybody's help.
type harm struct {
	name, promise string
	// play brings it about, and returns when the database is well again.
	play func(ctx context.Context, d *damage) (figure string, err error)
	// logins and edits say that these go on, or are refused meanwhile.
	logins, edits outcome
	// long ones are for soaks only.
	long bool
}

type outcome int

const (
	mayFail outcome = iota
	goesOn
	isRefused
)

// damage is what a harm works with.
type damage struct {
	*scene
	postgres *network.Postgres
	disk     *network.Disk
	logins   *probe
	edits    *probe
}

// hang is how long a database is silent: longer than a call may take. slow is how
// long it is slow, which takes longer to be felt.
const (
	hang = 8 * time.Second
	slow = 20 * time.Second
)

var harms = []harm{
	{
		name:    "PostgreSQL is restarted",
		promise: "whoever logs in or edits meanwhile is told to try again, nobody else notices",
		play: func(ctx context.Context, d *damage) (string, error) {
			return "", d.postgres.Restart(ctx)
		},
	},
	{
		name:    "PostgreSQL is killed and recovers",
		promise: "as if it were restarted; every acknowledged edit is there",
		play: func(ctx context.Context, d *damage) (string, error) {
			if err := d.postgres.Crash(); err != nil {
				return "", err
			}
			pause(ctx, 3*time.Second)
			return "", d.postgres.Start(ctx)
		},
		logins: isRefused, edits: isRefused,
	},
	{
		name:    "PostgreSQL fails over to its standby",
		promise: "the directories find the new primary, every acknowledged edit is there",
		play: func(ctx context.Context, d *damage) (string, error) {
			begun := time.Now()
			if err := d.postgres.Failover(ctx); err != nil {
				return "", err
			}
			figure := fmt.Sprintf("the standby took over after %.1f s", time.Since(begun).Seconds())
			pause(ctx, 2*time.Second)
			return figure, d.postgres.Rejoin(ctx)
		},
	},
	{
		name:    "PostgreSQL acknowledges no commit while its standby is away",
		promise: "edits are refused, and turn out to be made as a whole; logins go on",
		play: func(ctx context.Context, d *damage) (string, error) {
			if err := d.postgres.LoseStandby(); err != nil {
				return "", err
			}
			peak := d.peaks(ctx, 8*time.Second)
			return peak, d.postgres.Rejoin(ctx)
		},
		logins: goesOn, edits: isRefused,
	},
	{
		name:    "PostgreSQL is so slow that nothing is done in time",
		promise: "logins and edits are refused in time, and directories neither pile up calls nor connections",
		play: func(ctx context.Context, d *damage) (string, error) {
			end := d.postgres.Slow(3*time.Second, 20*time.Millisecond)
			peak := d.peaks(ctx, slow)
			return peak, end()
		},
		long:   true,
		logins: isRefused, edits: isRefused,
	},
	{
		name:    "PostgreSQL is silent",
		promise: "logins and edits are refused in time, and directories neither pile up calls nor connections",
		play: func(ctx context.Context, d *damage) (string, error) {
			if err := d.postgres.Pause(); err != nil {
				return "", err
			}
			peak := d.peaks(ctx, hang)
			return peak, d.postgres.Resume()
		},
		logins: isRefused, edits: isRefused,
	},
}

// peaks lets a harm last, and tells the most that any directory had at work and
// waiting, and the most goroutines.
func (d *damage) peaks(ctx context.Context, last time.Duration) string {
	names := []string{"monarch_directory_busy", "monarch_directory_queue", "go_goroutine_count"}
	peak := make([]float64, len(names))
	ctx, cancel := context.WithTimeout(ctx, last)
	defer cancel()
	for ctx.Err() == nil {
		for i, name := range names {
			for _, p := range d.Roles.Directories {
				if v, err := p.Metric(ctx, name); err == nil {
					peak[i] = max(peak[i], v)
				}
			}
		}
		pause(ctx, 100*time.Millisecond)
	}
	return fmt.Sprintf("most in one directory: %.0f calls at work, %.0f waiting, %.0f goroutines", peak[0], peak[1], peak[2])
}

// A probe does one thing again and again, as a client of its own, and keeps how
// it went.
type probe struct {
	mu      sync.Mutex
	count   tally
	served  time.Time // when the last one that was served began
	wrong   []string
	stop    context.CancelFunc
	running sync.WaitGroup
}

// tally is how often what came of it since it was last taken.
type tally struct {
	served  int
	refused map[msnp.Code]int
	longest time.Duration
}

func (t tally) String() string {
	var codes []string
	for code, n := range t.refused {
		codes = append(codes, fmt.Sprintf("%d with %v", n, code))
	}
	slices.Sort(codes)
	return fmt.Sprintf("%d served, refused: %s; longest %.1f s", t.served, strings.Join(append(codes, "no more"), ", "), t.longest.Seconds())
}

func (t tally) refusals() (n int) {
	for _, m := range t.refused {
		n += m
	}
	return n
}

const (
	// probeEvery is the pause between two tries, probeTime how long one may
	// take: longer than any command.
	probeEvery = 100 * time.Millisecond
	probeTime  = 30 * time.Second
)

// newProbe begins to try. A refusal with another code than allowed is wrong,
// and so is any other error.
func newProbe(t *testing.T, allowed func(msnp.Code) bool, try func(ctx context.Context) error) *probe {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	p := &probe{stop: stop}
	p.take()
	p.running.Go(func() {
		for ctx.Err() == nil {
			begun := time.Now()
			attempt, cancel := context.WithTimeout(ctx, probeTime)
			err := try(attempt)
			cancel()
			if ctx.Err() == nil {
				p.note(begun, err, allowed)
			}
			pause(ctx, probeEvery)
		}
	})
	t.Cleanup(p.end)
	return p
}

func (p *probe) end() {
	p.stop()
	p.running.Wait()
}

func (p *probe) note(begun time.Time, err error, allowed func(msnp.Code) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count.longest = max(p.count.longest, time.Since(begun))
	var code msnp.Code
	switch {
	case err == nil:
		p.count.served++
		p.served = begun
	case errors.As(err, &code) && allowed(code):
		p.count.refused[code]++
	default:
		p.wrong = append(p.wrong, err.Error())
	}
}

// take returns what came of the tries since the last time.
func (p *probe) take() tally {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.count
	p.count = tally{refused: map[msnp.Code]int{}}
	return was
}

// servedSince waits until something that was begun after a moment was served,
// and returns how long after.
func (p *probe) servedSince(ctx context.Context, moment time.Time) (time.Duration, error) {
	for {
		p.mu.Lock()
		served, wrong := p.served, p.wrong
		p.mu.Unlock()
		if len(wrong) > 0 {
			return 0, fmt.Errorf("answered wrongly: %s", strings.Join(wrong[:min(len(wrong), 5)], "; "))
		}
		if served.After(moment) {
			return served.Sub(moment), nil
		}
		if ctx.Err() != nil {
			return 0, errors.New("not served any more")
		}
		pause(ctx, 10*time.Millisecond)
	}
}

// newDamage starts a network over a database, with a crowd and two probes.
func newDamage(t *testing.T, database string, directories, users int) *damage {
	t.Helper()
	d := &damage{scene: newScene(t, network.Options{
		Notifications: 2, Switchboards: 2, Directories: directories, Dispatches: 1, Database: database,
	}, users)}
	d.alone = true
	var accounts []*directoryv1.NewAccount
	for _, name := range []string{"login", "edit"} {
		accounts = append(accounts, &directoryv1.NewAccount{Email: name + "@probe.example.com", Password: "secret"})
	}
	answer, err := d.Accounts().CreateAccounts(t.Context(), &directoryv1.CreateAccountsRequest{Accounts: accounts})
	if err != nil || len(answer.GetErrors()) > 0 {
		t.Fatalf("create accounts: %v, %v", answer.GetErrors(), err)
	}
	as := func(i int) client.Options {
		return client.Options{Dispatch: d.Dispatch(), Email: accounts[i].GetEmail(), Password: "secret"}
	}
	d.logins = newProbe(t, func(c msnp.Code) bool { return c == msnp.CodeBusy }, func(ctx context.Context) error {
		c, err := client.Login(ctx, as(0))
		if err != nil {
			return err
		}
		return c.Logout(ctx)
	})
	editor, err := client.Login(t.Context(), as(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { editor.Close() })
	if _, err := editor.Do(t.Context(), "CHG", "NLN"); err != nil {
		t.Fatal(err)
	}
	mode := "AL"
	d.edits = newProbe(t, func(c msnp.Code) bool { return c >= 500 && c < 600 || c == msnp.CodeBusy }, func(ctx context.Context) error {
		mode = map[string]string{"AL": "BL", "BL": "AL"}[mode]
		_, err := editor.Do(ctx, "BLP", mode)
		if errors.Is(err, msnp.CodeAlreadyInMode) {
			err = nil // an edit without an answer had been made
		}
		return err
	})
	return d
}

// suffer plays a harm and holds everybody to the promises.
func (d *damage) suffer(t *testing.T, h harm) {
	t.Helper()
	t.Logf("promise: %s", h.promise)
	ctx, cancel := context.WithTimeout(t.Context(), network.Patience)
	defer cancel()
	before := d.crowd.Figures()
	d.logins.take()
	d.edits.take()
	figure, err := h.play(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	well := time.Now()
	during, logins, edits := d.crowd.Figures().Since(before), d.logins.take(), d.edits.take()
	loginAfter, err := d.logins.servedSince(ctx, well)
	if err != nil {
		t.Fatalf("logins: %v", err)
	}
	editAfter, err := d.edits.servedSince(ctx, well)
	if err != nil {
		t.Fatalf("edits: %v", err)
	}
	took, err := d.crowd.Converge(ctx)
	if err != nil {
		t.Fatal(err)
	}
	d.crowd.Rest()
	halves(t, d.Accounts())
	d.crowd.Work()
	total := d.crowd.Figures().Since(before)
	if during.Lost+total.Lost > 0 {
		t.Errorf("%d sessions were lost\n%s", total.Lost, d.crowd.Losses())
	}
	check(t, "logins", h.logins, logins)
	check(t, "edits", h.edits, edits)
	for _, p := range d.Roles.Directories {
		if p.Starts() != 1 {
			t.Errorf("%s was started %d times", p.Name, p.Starts())
		}
	}
	if figure != "" {
		t.Logf("figure: %s", figure)
	}
	t.Logf("figure: logins meanwhile: %v", logins)
	t.Logf("figure: edits meanwhile: %v", edits)
	t.Logf("figure: meanwhile %d lines of presence, %d messages in conversations; sessions lost: 0", during.Presence, during.Heard)
	t.Logf("figure: logins work again %.1f s after the database, edits %.1f s; %.1f s to converge", loginAfter.Seconds(), editAfter.Seconds(), took.Seconds())
	t.Logf("figure: acknowledged edits: %d, lost: 0; answered with an error: %d; halves of edits: 0; wrong views: 0", total.Edits, total.Failed)
}

func check(t *testing.T, what string, want outcome, got tally) {
	t.Helper()
	if want == goesOn && got.refusals() > 0 {
		t.Errorf("%s were to go on: %v", what, got)
	}
	if want == isRefused && got.refusals() == 0 {
		t.Errorf("%s were to be refused, or the harm is none: %v", what, got)
	}
}

// halves looks for edits of which one side is missing: who is on whose FL, and
// who on whose RL.
func halves(t *testing.T, accounts directoryv1.AccountsClient) {
	t.Helper()
	forward, reverse := map[string]bool{}, map[string]bool{}
	for after := ""; ; {
		page, err := accounts.ListAccounts(t.Context(), &directoryv1.ListAccountsRequest{After: after})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page.GetAccounts() {
			after = a.GetEmail()
			answer, err := accounts.GetAccount(t.Context(), &directoryv1.GetAccountRequest{Email: after})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range answer.GetSnapshot().GetMembers() {
				if msnp.List(m.GetLists()).Has(msnp.FL) {
					forward[after+" "+m.GetEmail()] = true
				}
				if msnp.List(m.GetLists()).Has(msnp.RL) {
					reverse[m.GetEmail()+" "+after] = true
				}
			}
		}
		if len(page.GetAccounts()) == 0 {
			break
		}
	}
	for pair := range forward {
		if !reverse[pair] {
			t.Errorf("%s: on FL, without the counterpart on RL", pair)
		}
	}
	for pair := range reverse {
		if !forward[pair] {
			t.Errorf("%s: on RL, without the counterpart on FL", pair)
		}
	}
}

// What may happen to a PostgreSQL server happens, in turn, while a crowd is at
// work.
func TestPostgresIsHurt(t *testing.T) {
	t.Parallel()
	network.RequireStores(t)
	postgres := network.StartPostgresPair(t)
	d := newDamage(t, postgres.URL, 2, 80)
	d.postgres = postgres
	for _, h := range harms {
		if h.long && !soaking() {
			continue
		}
		t.Run(h.name, func(t *testing.T) { d.suffer(t, h) })
	}
}

// SQLite's disk is full. What fits into the files that are there is still
// done.
var fullSQLite = harm{
	name:    "SQLite's disk is full",
	promise: "edits are refused, logins and everything else go on",
	play:    fillDisk,
	logins:  goesOn, edits: isRefused,
}

// fillDisk fills the disk until edits have been refused for a while.
func fillDisk(ctx context.Context, d *damage) (string, error) {
	if err := d.disk.Fill(); err != nil {
		return "", err
	}
	begun := time.Now()
	before := d.crowd.Figures()
	for d.crowd.Figures().Since(before).Failed < 5 && ctx.Err() == nil {
		pause(ctx, 50*time.Millisecond)
	}
	figure := fmt.Sprintf("edits were refused %.1f s after the disk was full", time.Since(begun).Seconds())
	pause(ctx, 5*time.Second)
	return figure, d.disk.Empty()
}

func TestSQLiteDiskIsFull(t *testing.T) {
	t.Parallel()
	network.RequireStores(t)
	disk := network.SmallDisk(t, 8<<20)
	d := newDamage(t, "sqlite://"+disk.Path+"/monarch.db", 1, 40)
	d.disk = disk
	d.suffer(t, fullSQLite)
}

// The disk with PostgreSQL's tables is full, and that of its log is not.
func TestPostgresTablesAreFull(t *testing.T) {
	t.Parallel()
	network.RequireStores(t)
	disk := network.SmallDisk(t, 24<<20)
	postgres := network.StartPostgresTablesOnDisk(t, disk)
	d := newDamage(t, postgres.URL, 2, 40)
	d.disk, d.postgres = disk, postgres
	d.suffer(t, harm{
		name:    "the disk of PostgreSQL's tables is full",
		promise: "edits that need space are refused, logins and everything else go on",
		play:    fillDisk,
		logins:  goesOn,
	})
}

// PostgreSQL cannot write its log any more. It ends, and cannot start before
// there is space.
func TestPostgresLogIsFull(t *testing.T) {
	t.Parallel()
	network.RequireStores(t)
	disk := network.SmallDisk(t, 96<<20)
	postgres := network.StartPostgresOnDisk(t, disk)
	d := newDamage(t, postgres.URL, 2, 40)
	d.disk, d.postgres = disk, postgres
	d.suffer(t, harm{
		name:    "the disk of PostgreSQL's log is full",
		promise: "logins and edits are refused until there is space, everything else goes on",
		play: func(ctx context.Context, d *damage) (string, error) {
			if err := d.disk.Fill(); err != nil {
				return "", err
			}
			begun := time.Now()
			pause(ctx, time.Second)
			if err := d.postgres.ExhaustLog(ctx); err != nil {
				return "", err
			}
			figure := fmt.Sprintf("the server gave up %.1f s after the disk was full", time.Since(begun).Seconds())
			pause(ctx, 3*time.Second)
			if err := d.disk.Empty(); err != nil {
				return "", err
			}
			return figure, d.postgres.Start(ctx)
		},
		logins: isRefused, edits: isRefused,
	})
}
