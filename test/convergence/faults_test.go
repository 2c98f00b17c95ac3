package convergence

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/internal/cluster"
	"github.com/monarch-msn/monarch/services/allinone"
	"github.com/monarch-msn/monarch/services/notification"
	"github.com/monarch-msn/monarch/test/cluster/network"
)

// quick is a cluster that notices things in a fifth of the usual time.
var quick = cluster.Timing{Lease: 2 * time.Second, Beat: 200 * time.Millisecond, Refresh: 200 * time.Millisecond}

// troubled is a world on three nodes over a Redis that the test may hurt.
func troubled(t *testing.T) (*world, *network.Redis, uint64) {
	t.Helper()
	network.RequireStores(t)
	redis := network.StartRedis(t)
	start, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, err := allinone.Start(start, allinone.Options{
		DataDir: t.TempDir(), NotificationNodes: 3, Redis: redis.URL, Timing: quick,
		Notification: notification.Config{ResyncTime: 500 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w, err := newWorld(t.Context(), n, fmt.Sprintf("f%d.example.com", seed), users)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.round(t.Context(), seed, 2*acts); err != nil {
		t.Fatal(err)
	}
	return w, redis, seed
}

// order sends one command to Redis.
func order(t *testing.T, redis *network.Redis, command string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(redis.URL, "redis://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "%s\r\n", command); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 64)
	if n, err := conn.Read(answer); err != nil || answer[0] == '-' {
		t.Fatalf("%s: %q, %v", command, answer[:n], err)
	}
}

// recovered waits until everybody who is logged in has a record under a live
// lease, and those of the leases before are forgotten.
func recovered(t *testing.T, w *world, redis *network.Redis) {
	t.Helper()
	client, err := cluster.Open(redis.URL, cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var emails []string
	for _, u := range w.users {
		if u.client != nil {
			emails = append(emails, u.email)
		}
	}
	eventually(t, func(ctx context.Context) error {
		found, err := client.Lookup(ctx, emails)
		if err == nil && len(found) != len(emails) {
			err = fmt.Errorf("%d of %d sessions have a record", len(found), len(emails))
		}
		return err
	})
	// Whoever would be buried wrongly is so by now.
	time.Sleep(2 * quick.Lease)
}

// eventually tries f until it succeeds, and fails the test with its last error
// after a minute. One attempt may hang on a message that was lost.
func eventually(t *testing.T, f func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := f(attempt)
		cancel()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(errors.Join(err, ctx.Err()))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// heardOfOthers counts the lines of presence that the clients have been sent.
func (w *world) heardOfOthers() int {
	n := 0
	for _, u := range w.users {
		for _, line := range u.log {
			for _, verb := range []string{"< ILN ", "< NLN ", "< FLN "} {
				if strings.HasPrefix(line, verb) {
					n++
				}
			}
		}
	}
	return n
}

func TestAnEmptiedRedisIsNoticedByNobody(t *testing.T) {
	w, redis, _ := troubled(t)
	before := w.heardOfOthers()
	order(t, redis, "FLUSHALL")
	recovered(t, w, redis)
	if err := w.compare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := w.heardOfOthers(); after != before {
		t.Errorf("clients were sent %d lines of presence though nobody did anything", after-before)
	}
}

func TestAPausedRedisIsRepairedAfterIt(t *testing.T) {
	w, redis, seed := troubled(t)
	if err := redis.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * quick.Lease)
	if err := redis.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	recovered(t, w, redis)
	eventually(t, w.compare)
	if err := w.round(t.Context(), seed+1, acts); err != nil {
		t.Fatal(err)
	}
}

func TestLostMessagesAreMadeUpFor(t *testing.T) {
	w, redis, seed := troubled(t)
	w.lossy = true
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				order(t, redis, "CLIENT KILL TYPE pubsub")
			}
		}
	}()
	err := w.acting(t.Context(), seed+1, 4*acts)
	close(stop)
	<-done
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, w.compare)
}
