package chat

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/monarch-msn/monarch/internal/cluster"
	"github.com/monarch-msn/monarch/internal/front"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/allinone"
	"github.com/monarch-msn/monarch/services/switchboard"
	"github.com/monarch-msn/monarch/test/cluster/network"
)

// What one test does. MONARCH_CHAT_ROOMS asks for more rooms, and
// MONARCH_CHAT_SEED repeats the choices of a run.
const (
	rooms   = 200
	users   = 40
	atOnce  = 25 // rooms under way
	rounds  = 4
	stalled = 50 // one in so many rooms has a member who stops reading
)

func TestEveryMemberHearsTheSame(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprintf("embedded stores, %d nodes", nodes), func(t *testing.T) {
			converse(t, allinone.Options{NotificationNodes: nodes, SwitchboardNodes: nodes})
		})
	}
	t.Run("real stores, 3 nodes", func(t *testing.T) {
		network.RequireStores(t)
		converse(t, allinone.Options{
			NotificationNodes: 3, SwitchboardNodes: 3, Redis: os.Getenv("MONARCH_TEST_REDIS"), Database: network.Database(t),
			Cluster: cluster.Options{Prefix: fmt.Sprintf("chat%d:", rand.Uint32())},
		})
	})
}

// converse runs all rooms on a network of its own.
func converse(t *testing.T, opt allinone.Options) {
	opt.DataDir = t.TempDir()
	// Whoever stalls is to be found out soon; everybody else has time.
	opt.Switchboard = switchboard.Config{
		Config: front.Config{OutboxBytes: 64 << 10}, RingTimeout: time.Minute, CallTimeout: time.Minute,
	}
	opt.Notification.CallTimeout = time.Minute
	opt.Cluster.Command = time.Minute
	opt.Timing = cluster.Timing{Lease: time.Minute}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	network, err := allinone.Start(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := network.Stop(); err != nil {
			t.Error(err)
		}
	}()
	seed, many := rand.Uint64(), rooms
	if s := os.Getenv("MONARCH_CHAT_SEED"); s != "" {
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("MONARCH_CHAT_SEED: %v", err)
		}
	}
	if s := os.Getenv("MONARCH_CHAT_ROOMS"); s != "" {
		if many, err = strconv.Atoi(s); err != nil {
			t.Fatalf("MONARCH_CHAT_ROOMS: %v", err)
		}
	}
	t.Logf("seed %d", seed)
	people := enrol(ctx, t, network, seed)
	defer func() {
		for _, u := range people {
			u.close()
		}
	}()
	messages := make([]int, many)
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i := range many {
		group.Go(func() error {
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			size := 2 + rng.IntN(9)
			r := &room{name: strconv.Itoa(i), rng: rng}
			// Two more than are in, so that others come in place of who leaves.
			for _, n := range rng.Perm(len(people))[:size+2] {
				r.users = append(r.users, people[n])
			}
			if err := r.run(ctx, size, rounds, i%stalled == 0); err != nil {
				return fmt.Errorf("room %d of %d members: %w", i, size, err)
			}
			messages[i] = len(r.said)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	sum := 0
	for _, n := range messages {
		sum += n
	}
	t.Logf("%d messages in %d rooms", sum, many)
}

// enrol makes accounts, and has everybody online.
func enrol(ctx context.Context, t *testing.T, network *allinone.Network, seed uint64) []*user {
	t.Helper()
	var accounts []*directoryv1.NewAccount
	for i := range users {
		accounts = append(accounts, &directoryv1.NewAccount{
			Email: fmt.Sprintf("user%d@c%d.example.com", i, seed), Password: "secret", Name: fmt.Sprintf("User %d", i),
		})
	}
	answer, err := network.Accounts().CreateAccounts(ctx, &directoryv1.CreateAccountsRequest{Accounts: accounts})
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.GetErrors()) > 0 {
		t.Fatal(answer.GetErrors()[0])
	}
	people := make([]*user, users)
	for i, a := range accounts {
		if people[i], err = login(ctx, network.Notification(i), a.GetEmail(), a.GetPassword()); err != nil {
			t.Fatal(err)
		}
	}
	return people
}
