package convergence

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/internal/cluster"
	"github.com/monarch-msn/monarch/services/allinone"
	"github.com/monarch-msn/monarch/test/cluster/network"
)

// What one test does by default. MONARCH_CONVERGENCE_TIME (for example 20m)
// goes on for longer, MONARCH_CONVERGENCE_SEED repeats the choices of a run.
const (
	users  = 12
	acts   = 12
	rounds = 12
)

func TestEveryClientEndsUpWithTheTruth(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprintf("embedded stores, %d nodes", nodes), func(t *testing.T) {
			live(t, allinone.Options{NotificationNodes: nodes})
		})
	}
	t.Run("real stores, 3 nodes", func(t *testing.T) {
		network.RequireStores(t)
		t.Log("promise: once nothing is under way, everybody was told the truth, whatever was done at the same time")
		live(t, allinone.Options{
			NotificationNodes: 3, Redis: os.Getenv("MONARCH_TEST_REDIS"), Database: network.Database(t),
			Cluster: cluster.Options{Prefix: fmt.Sprintf("convergence%d:", rand.Uint32())},
		})
	})
}

// live runs one world on a network of its own.
func live(t *testing.T, opt allinone.Options) {
	opt.DataDir = t.TempDir()
	start, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	network, err := allinone.Start(start, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := network.Stop(); err != nil {
			t.Error(err)
		}
	}()

	seed := rand.Uint64()
	if s := os.Getenv("MONARCH_CONVERGENCE_SEED"); s != "" {
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("MONARCH_CONVERGENCE_SEED: %v", err)
		}
	}
	var until time.Time
	if s := os.Getenv("MONARCH_CONVERGENCE_TIME"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatalf("MONARCH_CONVERGENCE_TIME: %v", err)
		}
		until = time.Now().Add(d)
	}
	t.Logf("seed %d", seed)
	w, err := newWorld(t.Context(), network, fmt.Sprintf("w%d.example.com", seed), users)
	if err != nil {
		t.Fatal(err)
	}
	done := 0
	for ; done < rounds || time.Now().Before(until); done++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err := w.round(ctx, seed+uint64(done), acts)
		cancel()
		if err != nil {
			t.Fatalf("seed %d, round %d: %v", seed, done, err)
		}
	}
	t.Logf("figure: %d rounds of %d things by each of %d users, wrong views: 0", done, acts, users)
}
