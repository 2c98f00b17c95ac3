package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/monarch-msn/monarch/services/operator/api"
	"github.com/monarch-msn/monarch/test/cluster/network"
)

const (
	editors    = 6
	killRounds = 5
	// maxAnswers is the most edits that are answered before a kill.
	maxAnswers = 400
	// maxLag is how much later than the answer the kill may come: together
	// they hit every step of an edit sooner or later.
	maxLag = 5 * time.Millisecond
)

// A network in one process is killed in the midst of list edits and started
// again on the same data, several times. What was acknowledged to a client is
// there; what was under way is there as a whole or not at all; both sides of
// every contact agree; no list version is lower than one that was told.
func TestKillAmidListEdits(t *testing.T) {
	seed, rounds := rand.Uint64(), killRounds
	setFromEnvironment(t, "MONARCH_CLUSTER_SEED", func(s string) (err error) {
		seed, err = strconv.ParseUint(s, 10, 64)
		return err
	})
	setFromEnvironment(t, "MONARCH_CLUSTER_ROUNDS", func(s string) (err error) {
		rounds, err = strconv.Atoi(s)
		return err
	})
	t.Logf("MONARCH_CLUSTER_SEED=%d makes the same choices again", seed)

	k := &killing{home: newHome(t, 2)}
	server := k.home.start(t, "monarch all")
	k.enrol(t)
	for round := range rounds {
		rng := rand.New(rand.NewPCG(seed, uint64(round)))
		k.login(t, round == 0)
		answers := k.editUntilKilled(t, server, rng)
		t.Logf("round %d: killed after %d answers", round, answers)
		server = k.home.start(t, fmt.Sprintf("monarch all, restart %d", round+1))
	}
	k.login(t, false)
	for _, e := range k.editors {
		if err := e.client.Close(); err != nil {
			t.Errorf("hang up as %s: %v", e.email, err)
		}
	}
	server.Stop()
}

func setFromEnvironment(t *testing.T, name string, set func(string) error) {
	t.Helper()
	if s := os.Getenv(name); s != "" {
		if err := set(s); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

// killing is what stays over all rounds.
type killing struct {
	home    *home
	editors []*editor
}

func (k *killing) enrol(t *testing.T) {
	t.Helper()
	var accounts []api.NewAccount
	for i := range editors {
		e := &editor{email: fmt.Sprintf("user%d@example.com", i), password: fmt.Sprintf("secret-%d", i)}
		accounts = append(accounts, api.NewAccount{Email: e.email, Password: e.password})
		k.editors = append(k.editors, e)
	}
	for _, e := range k.editors {
		for _, other := range k.editors {
			if other != e {
				e.others = append(e.others, other.email)
			}
		}
	}
	k.home.create(t, accounts)
}

// login brings everybody back and compares what they find with what they were
// promised, and with each other.
func (k *killing) login(t *testing.T, first bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), network.Patience)
	defer cancel()
	books, reverses := map[string]*book{}, map[string]map[string]string{}
	for _, e := range k.editors {
		own, reverse, err := e.login(ctx, k.home.dispatch)
		if err != nil {
			t.Fatal(err)
		}
		books[e.email], reverses[e.email] = own, reverse
		if first {
			e.acknowledged = own
			continue
		}
		if err := e.resume(own); err != nil {
			t.Error(err)
		}
	}
	for owner, own := range books {
		for contact := range own.lists["FL"] {
			if name, ok := reverses[contact][owner]; !ok {
				t.Errorf("%s has %s on FL, who has no counterpart on RL", owner, contact)
			} else if name != own.name {
				t.Errorf("%s is called %s, and %s on the RL of %s", owner, own.name, name, contact)
			}
		}
		for other := range reverses[owner] {
			if _, ok := books[other].lists["FL"][owner]; !ok {
				t.Errorf("%s has %s on RL, who has no counterpart on FL", owner, other)
			}
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

// editUntilKilled has everybody edit until a random number of edits is
// answered, kills the server a random moment later, and returns how many
// answers came in the end.
func (k *killing) editUntilKilled(t *testing.T, server *network.Process, rng *rand.Rand) int64 {
	t.Helper()
	enough, lag := 1+rng.Int64N(maxAnswers), time.Duration(rng.Int64N(int64(maxLag)))
	var answers atomic.Int64
	var killed atomic.Bool
	reached := make(chan struct{})
	answered := func() {
		if answers.Add(1) == enough {
			close(reached)
		}
	}

	ctx, cancel := context.WithTimeout(t.Context(), network.Patience)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	for _, e := range k.editors {
		own := rand.New(rand.NewPCG(rng.Uint64(), 0))
		group.Go(func() error { return e.edit(ctx, own, answered, killed.Load) })
	}
	select {
	case <-reached:
		time.Sleep(lag)
	case <-ctx.Done(): // somebody failed
	}
	killed.Store(true)
	server.Kill()
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if answers.Load() < enough {
		t.Fatalf("%d of %d edits were answered within %v", answers.Load(), enough, network.Patience)
	}
	return answers.Load()
}
