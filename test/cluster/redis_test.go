package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/internal/cluster"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"github.com/monarch-msn/monarch/test/cluster/network"
)

// A takeover is something that happens to a Redis of several servers, after
// which another one has what a master had. It costs nobody the session, nobody
// sees an older state after a newer one, and within seconds everybody is told
// the truth.
type takeover struct {
	name, promise string
	// strike returns when the other server has taken over.
	strike func(ctx context.Context) error
	// mend makes the next takeover possible.
	mend func(ctx context.Context) error
}

// quickTakeovers are those of every run; the others are for soaks.
var quickTakeovers = []string{
	"the master is killed", "a master with an inbox is killed", "slots move, with an inbox and with sessions",
}

// redisUsers is how many live on a network whose Redis is being hurt.
const redisUsers = 100

// play has takeovers happen one after another to a network with a crowd at
// work. After each it waits until everybody who is logged in has a record again
// and Redis is well, as far as the caller can tell.
func play(t *testing.T, redis string, prepare func(s *scene) []takeover, well func(ctx context.Context) error) {
	client, err := cluster.Open(redis, cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s := newScene(t, network.Options{Notifications: 3, Switchboards: 2, Redis: redis}, redisUsers)
	for _, f := range prepare(s) {
		if t.Failed() {
			return // the next would meet what the last has left behind
		}
		if !soaking() && !slices.Contains(quickTakeovers, f.name) {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			t.Logf("promise: %s", f.promise)
			ctx, cancel := context.WithTimeout(t.Context(), network.Patience)
			defer cancel()
			before, begun := s.crowd.Figures(), time.Now()
			if err := f.strike(ctx); err != nil {
				t.Fatal(err)
			}
			struck := time.Since(begun)
			if err := s.awaitRecords(ctx, client); err != nil {
				t.Fatal(err)
			}
			if err := well(ctx); err != nil {
				t.Fatal(err)
			}
			whole := time.Since(begun) - struck
			took, err := s.crowd.Converge(ctx)
			if err != nil {
				t.Fatal(err)
			}
			since := s.crowd.Figures().Since(before)
			if since.Lost+since.Away > 0 {
				t.Errorf("%d sessions were lost, %d sent away\n%s", since.Lost, since.Away, s.crowd.Losses())
			}
			t.Logf("figure: taken over after %.1f s, all records there %.1f s later, %.1f s more to converge, wrong views: 0, sessions lost: %d, logins refused: %d",
				struck.Seconds(), whole.Seconds(), took.Seconds(), since.Lost+since.Away, since.Refused)
			t.Logf("figure: %v", since)
			if err := f.mend(ctx); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// awaitRecords waits until everybody who has a session has a record.
func (s *scene) awaitRecords(ctx context.Context, client *cluster.Client) error {
	var err error
	for ; ctx.Err() == nil; pause(ctx, 100*time.Millisecond) {
		var emails []string
		for i := range s.Roles.Notifications {
			emails = append(emails, s.crowd.At(s.Notification(i))...)
		}
		var found map[string]*clusterv1.Session
		found, err = client.Lookup(ctx, emails)
		if err == nil && len(found) == len(emails) && len(found) > redisUsers/2 {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("%d of %d sessions have a record", len(found), len(emails))
		}
	}
	return err
}

// A Redis with Sentinels loses its master in every way that there is.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	network.RequireStores(t)
	redis := network.StartSentinel(t, 3)
	var old *network.Redis
	await := func(ctx context.Context, err error) error {
		if err == nil {
			_, err = redis.AwaitMaster(ctx, old)
		}
		return err
	}
	play(t, redis.URL, func(*scene) []takeover {
		return []takeover{
			{
				"the master is killed",
				"sessions stay, presence is right again within seconds once a replica is promoted",
				func(ctx context.Context) (err error) {
					old, err = redis.KillMaster(ctx)
					return await(ctx, err)
				},
				func(ctx context.Context) error { return redis.Revive(ctx, old) },
			},
			{
				"the master hangs",
				"as if it had died, though its connections stand",
				func(ctx context.Context) (err error) {
					if old, err = redis.Master(ctx); err == nil {
						err = old.Signal(syscall.SIGSTOP)
					}
					return await(ctx, err)
				},
				func(ctx context.Context) error {
					// As its supervisor would: it does not come back by itself
					// with what it took for true.
					old.Kill()
					return redis.Revive(ctx, old)
				},
			},
			{
				"a failover is ordered",
				"sessions stay, presence is right again within seconds",
				func(ctx context.Context) error {
					_, err := redis.Failover(ctx)
					return err
				},
				func(context.Context) error { return nil },
			},
		}
	}, func(context.Context) error { return nil })
}

// A Redis Cluster loses masters and moves slots. The inbox of every node is
// heard on a sharded channel, with the server that publishers ask.
func TestRedisClusterFailover(t *testing.T) {
	t.Parallel()
	network.RequireStores(t)
	redis := network.StartRedisCluster(t)
	var old *network.Redis
	// strike does something to the master for a key, and waits for the next.
	strike := func(key func(ctx context.Context) (string, error), hurt func(ctx context.Context, key string) error) func(context.Context) error {
		return func(ctx context.Context) error {
			key, err := key(ctx)
			if err != nil {
				return err
			}
			if old, err = redis.Master(ctx, key); err != nil {
				return err
			}
			if err := hurt(ctx, key); err != nil {
				return err
			}
			_, err = redis.AwaitMaster(ctx, key, old)
			return err
		}
	}
	list := func(context.Context) (string, error) { return nodesKey, nil }
	inbox := func(ctx context.Context) (string, error) {
		ids, err := nodeIDs(ctx, redis)
		if err != nil {
			return "", err
		}
		return inboxKey(ids[rand.IntN(len(ids))]), nil
	}
	killed := func(ctx context.Context, key string) error {
		_, err := redis.KillMaster(ctx, key)
		return err
	}
	revive := func(ctx context.Context) error { return redis.Revive(ctx, old) }
	nothing := func(context.Context) error { return nil }

	play(t, redis.URL, func(s *scene) []takeover {
		return []takeover{
			{
				"the master with the list of nodes is killed",
				"sessions stay, presence is right again within seconds once its replica is promoted",
				strike(list, killed), revive,
			},
			{
				"a master with an inbox is killed",
				"the inbox is heard with the replica, what was lost on the way is made up for",
				strike(inbox, killed), revive,
			},
			{
				"a master with an inbox hangs",
				"as if it had died, though its connections stand",
				strike(inbox, func(ctx context.Context, key string) error {
					master, err := redis.Master(ctx, key)
					if err != nil {
						return err
					}
					return master.Signal(syscall.SIGSTOP)
				}),
				func(ctx context.Context) error {
					old.Kill()
					return revive(ctx)
				},
			},
			{
				"a master with an inbox steps down in good order",
				"the inbox is opened with the one that follows it",
				strike(inbox, redis.Failover), nothing,
			},
			{
				"slots move, with an inbox and with sessions",
				"sessions stay, the inbox moves along, no record is lost",
				func(ctx context.Context) error {
					key, err := inbox(ctx)
					if err != nil {
						return err
					}
					keys := []string{key, nodesKey}
					for i := range s.Roles.Notifications {
						for j, email := range s.crowd.At(s.Notification(i)) {
							if j < 5 {
								keys = append(keys, "monarch:session:{"+email+"}")
							}
						}
					}
					for _, key := range keys {
						if err := redis.MoveSlot(ctx, key); err != nil {
							return err
						}
					}
					return nil
				},
				nothing,
			},
			{
				"a master dies and is back, empty, before anybody takes over",
				"the nodes whose lease it had join anew, the sessions whose records it had are written down again",
				func(ctx context.Context) error {
					key, err := inbox(ctx)
					if err != nil {
						return err
					}
					old, err := redis.KillMaster(ctx, key)
					if err != nil {
						return err
					}
					if err := old.Start(); err != nil {
						return err
					}
					return old.Await(ctx)
				},
				nothing,
			},
		}
	}, func(ctx context.Context) error { return awaitInboxes(ctx, redis) })
}

const nodesKey = "monarch:{nodes}"

func inboxKey(node string) string { return "monarch:inbox:{" + node + "}" }

// nodeIDs returns the ids of the nodes whose lease stands.
func nodeIDs(ctx context.Context, redis *network.RedisCluster) ([]string, error) {
	listed, err := redis.Do(ctx, nodesKey, "SMEMBERS", nodesKey)
	if err != nil {
		return nil, err
	}
	var ids []string
	members, _ := listed.([]any)
	for _, id := range members {
		lease := fmt.Sprintf("monarch:node:{%v}", id)
		stands, err := redis.Do(ctx, lease, "EXISTS", lease)
		if err != nil {
			return nil, err
		}
		if stands == int64(1) {
			ids = append(ids, fmt.Sprint(id))
		}
	}
	if len(ids) == 0 {
		return nil, errors.New("no node has a lease")
	}
	return ids, nil
}

// awaitInboxes waits until the inbox of each node is heard.
func awaitInboxes(ctx context.Context, redis *network.RedisCluster) error {
	for {
		err := inboxesAreHeard(ctx, redis)
		if err == nil || ctx.Err() != nil {
			return err
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// inboxesAreHeard sees that the master for each node's inbox counts one
// subscriber to the sharded channel, and none to one that would be published on
// every server.
func inboxesAreHeard(ctx context.Context, redis *network.RedisCluster) error {
	ids, err := nodeIDs(ctx, redis)
	if err != nil {
		return err
	}
	for _, id := range ids {
		for command, want := range map[string]int64{"SHARDNUMSUB": 1, "NUMSUB": 0} {
			reply, err := redis.Do(ctx, inboxKey(id), "PUBSUB", command, inboxKey(id))
			if err != nil {
				return err
			}
			if numbers, _ := reply.([]any); len(numbers) != 2 || numbers[1] != want {
				return fmt.Errorf("subscribers to the inbox of node %s by %s: %v, want %d", id, command, reply, want)
			}
		}
	}
	return nil
}
