package network

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// RedisCluster is a Redis Cluster of three masters, each with a replica. What a
// master acknowledged a moment before its end may be lost: replication does not
// wait. All methods may be called from any goroutine; faults that are brought
// about at the same time can together be more than such a cluster survives.
type RedisCluster struct {
	// URL names all servers.
	URL string
	// Servers are the six: first the masters at the start, then the replica of
	// each.
	Servers []*Redis

	ids []string // of the servers, in the cluster
}

const (
	clusterMasters = 3
	clusterSlots   = 16384
	// A master that is silent for two seconds is down, in milliseconds. In
	// production it is 15 seconds.
	clusterNodeTimeout = 2000
)

// StartRedisCluster starts one and returns when all servers agree that it is
// complete, and each replica has caught up.
func StartRedisCluster(t testing.TB) *RedisCluster {
	t.Helper()
	c := new(RedisCluster)
	dir := t.TempDir()
	var ports, buses []int
	for range 2 * clusterMasters {
		var id [20]byte
		rand.Read(id[:])
		c.ids = append(c.ids, hex.EncodeToString(id[:]))
		ports = append(ports, Port(t))
		buses = append(buses, Port(t))
	}
	var addrs []string
	for i, port := range ports {
		// They know each other from the first moment: to introduce them takes
		// seconds.
		config := filepath.Join(dir, fmt.Sprintf("nodes-%d.conf", i+1))
		if err := os.WriteFile(config, []byte(clusterConfig(i, c.ids, ports, buses)), 0o600); err != nil {
			t.Fatal(err)
		}
		server := launchRedis(t, fmt.Sprintf("redis %d", i+1), port,
			"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(buses[i]),
			"--cluster-config-file", config, "--cluster-node-timeout", strconv.Itoa(clusterNodeTimeout))
		c.Servers = append(c.Servers, server)
		addrs = append(addrs, server.addr)
	}
	c.URL = "redis+cluster://" + strings.Join(addrs, ",")
	for i, server := range c.Servers {
		holds := complete
		if i >= clusterMasters {
			holds = replicates
		}
		if err := server.until(t.Context(), "see a complete cluster", func(ctx context.Context) error {
			return holds(ctx, server)
		}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// clusterConfig writes down the whole cluster as the server self would keep it.
func clusterConfig(self int, ids []string, ports, buses []int) string {
	var b strings.Builder
	for i, id := range ids {
		flags := "master"
		master, epoch, slots := "-", i+1, fmt.Sprintf(" %d-%d", i*clusterSlots/clusterMasters, (i+1)*clusterSlots/clusterMasters-1)
		if i >= clusterMasters {
			flags, master, epoch, slots = "slave", ids[i-clusterMasters], i-clusterMasters+1, ""
		}
		if i == self {
			flags = "myself," + flags
		}
		fmt.Fprintf(&b, "%s 127.0.0.1:%d@%d %s %s 0 0 %d connected%s\n", id, ports[i], buses[i], flags, master, epoch, slots)
	}
	fmt.Fprintf(&b, "vars currentEpoch %d lastVoteEpoch 0\n", clusterMasters)
	return b.String()
}

// complete reports as an error that a server does not see all slots served.
func complete(ctx context.Context, r *Redis) error {
	info, err := r.text(ctx, "CLUSTER", "INFO")
	if err == nil && !strings.Contains(info, "cluster_state:ok") {
		err = errors.New("the cluster is not complete")
	}
	return err
}

// replicates is complete for a replica, which must have caught up besides.
func replicates(ctx context.Context, r *Redis) error {
	if err := r.follows(ctx); err != nil {
		return err
	}
	return complete(ctx, r)
}

// Master returns the server that is the master for a key, as most of those see
// it who are masters themselves.
func (c *RedisCluster) Master(ctx context.Context, key string) (*Redis, error) {
	var errs []error
	for _, server := range c.Servers {
		master, err := c.masterSeenBy(ctx, server, key)
		if err == nil {
			return master, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("find the master of %s: %w", key, errors.Join(errs...))
}

// masterSeenBy asks one server who is the master for a key.
func (c *RedisCluster) masterSeenBy(ctx context.Context, server *Redis, key string) (*Redis, error) {
	slot, err := keySlot(ctx, server, key)
	if err != nil {
		return nil, err
	}
	reply, err := server.Do(ctx, "CLUSTER", "SLOTS")
	if err != nil {
		return nil, err
	}
	ranges, _ := reply.([]any)
	for _, r := range ranges {
		// First slot, last slot, the master as host, port, id, then replicas.
		fields, _ := r.([]any)
		if len(fields) < 3 {
			continue
		}
		first, _ := fields[0].(int64)
		last, _ := fields[1].(int64)
		if slot < first || slot > last {
			continue
		}
		if master, _ := fields[2].([]any); len(master) >= 3 {
			if i := slices.Index(c.ids, fmt.Sprint(master[2])); i >= 0 {
				return c.Servers[i], nil
			}
		}
	}
	return nil, fmt.Errorf("%s knows no master for slot %d", server.Name, slot)
}

func keySlot(ctx context.Context, server *Redis, key string) (int64, error) {
	reply, err := server.Do(ctx, "CLUSTER", "KEYSLOT", key)
	if err != nil {
		return 0, err
	}
	slot, ok := reply.(int64)
	if !ok {
		return 0, fmt.Errorf("%s answers %v for the slot of %s", server.Name, reply, key)
	}
	return slot, nil
}

// Do has the master for a key execute one command, as [Redis.Do] does.
func (c *RedisCluster) Do(ctx context.Context, key string, args ...any) (any, error) {
	master, err := c.Master(ctx, key)
	if err != nil {
		return nil, err
	}
	return master.Do(ctx, args...)
}

// KillMaster kills the master for a key and returns it.
func (c *RedisCluster) KillMaster(ctx context.Context, key string) (*Redis, error) {
	master, err := c.Master(ctx, key)
	if err != nil {
		return nil, err
	}
	master.Kill()
	return master, nil
}

// Failover orders that a replica of the master for a key takes over while that
// is well, which then follows it. See [RedisCluster.AwaitMaster] for its end.
func (c *RedisCluster) Failover(ctx context.Context, key string) error {
	master, err := c.Master(ctx, key)
	if err != nil {
		return err
	}
	list, err := master.text(ctx, "CLUSTER", "NODES")
	if err != nil {
		return err
	}
	id := c.ids[slices.Index(c.Servers, master)]
	for line := range strings.Lines(list) {
		// Id, address, flags, id of the master.
		if fields := strings.Fields(line); len(fields) > 3 && fields[2] == "slave" && fields[3] == id {
			_, err := c.Servers[slices.Index(c.ids, fields[0])].Do(ctx, "CLUSTER", "FAILOVER")
			return err
		}
	}
	return fmt.Errorf("fail over from %s: it has no replica", master.Name)
}

// AwaitMaster returns the new master for a key when another server than old is
// that, and all who run, but for old, agree and see a complete cluster.
func (c *RedisCluster) AwaitMaster(ctx context.Context, key string, old *Redis) (*Redis, error) {
	var master *Redis
	for _, server := range c.Servers {
		if server == old || !server.running() {
			continue
		}
		if err := server.until(ctx, "see another master", func(ctx context.Context) (err error) {
			if master, err = c.masterSeenBy(ctx, server, key); err != nil {
				return err
			}
			if master == old {
				return fmt.Errorf("it is %s still", old.Name)
			}
			return complete(ctx, server)
		}); err != nil {
			return nil, err
		}
	}
	return master, nil
}

// Revive starts a server that was killed again, and returns when it follows the
// one that has taken over, and has caught up.
func (c *RedisCluster) Revive(ctx context.Context, dead *Redis) error {
	if err := dead.Start(); err != nil {
		return err
	}
	if err := dead.until(ctx, "follow", func(ctx context.Context) error { return replicates(ctx, dead) }); err != nil {
		return err
	}
	// Those who know it for dead are about to learn better; until then they
	// would not let it take over again.
	id := c.ids[slices.Index(c.Servers, dead)]
	for _, server := range c.Servers {
		if server == dead || !server.running() {
			continue
		}
		if err := server.until(ctx, "see "+dead.Name+" again", func(ctx context.Context) error {
			list, err := server.text(ctx, "CLUSTER", "NODES")
			if err != nil {
				return err
			}
			for line := range strings.Lines(list) {
				fields := strings.Fields(line)
				if len(fields) > 7 && fields[0] == id && fields[2] == "slave" && fields[7] == "connected" {
					return nil
				}
			}
			return errors.New("it is not listed as a replica")
		}); err != nil {
			return err
		}
	}
	return nil
}

// migrateTimeout is how long the transfer of one key may take, in milliseconds.
const migrateTimeout = 5000

// MoveSlot moves the slot of a key, with all keys that are in it, to another
// master, while clients go on using them.
func (c *RedisCluster) MoveSlot(ctx context.Context, key string) error {
	source, err := c.Master(ctx, key)
	if err != nil {
		return err
	}
	masters, err := c.masters(ctx, source)
	if err != nil {
		return err
	}
	slot, err := keySlot(ctx, source, key)
	if err != nil {
		return err
	}
	target := masters[(slices.Index(masters, source)+1)%len(masters)]
	if target == source {
		return fmt.Errorf("move slot %d: %s is the only master", slot, source.Name)
	}
	sourceID, targetID := c.ids[slices.Index(c.Servers, source)], c.ids[slices.Index(c.Servers, target)]
	if _, err := target.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", sourceID); err != nil {
		return err
	}
	if _, err := source.Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", targetID); err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(target.addr)
	for {
		reply, err := source.Do(ctx, "CLUSTER", "GETKEYSINSLOT", slot, 100)
		if err != nil {
			return err
		}
		keys, _ := reply.([]any)
		if len(keys) == 0 {
			break
		}
		if _, err := source.Do(ctx, append([]any{"MIGRATE", host, port, "", 0, migrateTimeout, "KEYS"}, keys...)...); err != nil {
			return err
		}
	}
	// The target first: with the source first a moment would pass in which
	// nobody has the slot.
	for _, server := range append([]*Redis{target, source}, masters...) {
		if _, err := server.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", targetID); err != nil {
			return err
		}
	}
	return nil
}

// masters returns the servers that have slots, as one of them sees it.
func (c *RedisCluster) masters(ctx context.Context, asked *Redis) ([]*Redis, error) {
	list, err := asked.text(ctx, "CLUSTER", "NODES")
	if err != nil {
		return nil, err
	}
	var masters []*Redis
	for line := range strings.Lines(list) {
		fields := strings.Fields(line)
		if len(fields) > 8 && (fields[2] == "master" || fields[2] == "myself,master") {
			masters = append(masters, c.Servers[slices.Index(c.ids, fields[0])])
		}
	}
	return masters, nil
}
