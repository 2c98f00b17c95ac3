package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Sentinel is a Redis master with a replica, and Sentinels that watch them. What
// the master acknowledged a moment before its end may be lost: replication does
// not wait. All methods may be called from any goroutine.
type Sentinel struct {
	// URL names the Sentinels.
	URL string
	// Servers are the two servers; the first is the master at the start.
	Servers []*Redis
	// Sentinels are those who watch.
	Sentinels []*Redis
}

const (
	// sentinelMaster is what the master is called.
	sentinelMaster = "main"
	// A server that is silent for a second is down. In production it is 30.
	sentinelDownAfter = 1000
	// A failover that does not come to its end is given up, and the next may
	// begin after twice that.
	sentinelTimeout = 4000
	// failovers is how often one is ordered that does not succeed.
	failovers = 4
)

// StartSentinel starts a master, a replica and so many Sentinels, of which more
// than half must agree; it returns when a failover is possible.
func StartSentinel(t testing.TB, sentinels int) *Sentinel {
	t.Helper()
	port := Port(t)
	master := launchRedis(t, "redis 1", port)
	replica := launchRedis(t, "redis 2", Port(t), "--replicaof", "127.0.0.1 "+strconv.Itoa(port))
	s := &Sentinel{Servers: []*Redis{master, replica}}
	master.AwaitReady()
	if err := replica.until(t.Context(), "follow", replica.follows); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var addrs []string
	for i := range sentinels {
		config := filepath.Join(dir, fmt.Sprintf("sentinel-%d.conf", i+1))
		text := fmt.Sprintf("sentinel monitor %[1]s 127.0.0.1 %[2]d %[3]d\n"+
			"sentinel down-after-milliseconds %[1]s %[4]d\nsentinel failover-timeout %[1]s %[5]d\n",
			sentinelMaster, port, sentinels/2+1, sentinelDownAfter, sentinelTimeout)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.Sentinels = append(s.Sentinels, launchSentinel(t, fmt.Sprintf("sentinel %d", i+1), config))
		addrs = append(addrs, s.Sentinels[i].addr)
	}
	s.URL = "redis+sentinel://" + strings.Join(addrs, ",") + "/" + sentinelMaster
	if err := s.awaitWatched(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// launchSentinel starts a server as a Sentinel. It writes what it learns into
// its configuration file.
func launchSentinel(t testing.TB, name, config string) *Redis {
	t.Helper()
	path, err := findRedis()
	if err != nil {
		t.Fatal(err)
	}
	port := Port(t)
	addr := Loopback(port)
	p := run(t, name, "", nil, path, config, "--sentinel", "--bind", "127.0.0.1", "--port", strconv.Itoa(port))
	return &Redis{p, "redis://" + addr, addr}
}

// Master returns the server that the Sentinels name as the master.
func (s *Sentinel) Master(ctx context.Context) (*Redis, error) {
	var errs []error
	for _, sentinel := range s.Sentinels {
		reply, err := sentinel.Do(ctx, "SENTINEL", "get-master-addr-by-name", sentinelMaster)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		fields, _ := reply.([]any)
		for _, server := range s.Servers {
			if len(fields) == 2 && fmt.Sprintf("%v:%v", fields...) == server.addr {
				return server, nil
			}
		}
		errs = append(errs, fmt.Errorf("%s names %v", sentinel.Name, reply))
	}
	return nil, fmt.Errorf("ask for the master: %w", errors.Join(errs...))
}

// KillMaster kills the master and returns it.
func (s *Sentinel) KillMaster(ctx context.Context) (*Redis, error) {
	master, err := s.Master(ctx)
	if err != nil {
		return nil, err
	}
	master.Kill()
	return master, nil
}

// Failover has the other server take over while the master is well, and returns
// the new master when it has. Sentinels refuse to begin a failover while they are
// at another, and give up one that does not succeed soon: then it is ordered
// again.
func (s *Sentinel) Failover(ctx context.Context) (master *Redis, err error) {
	for range failovers {
		var old *Redis
		if old, err = s.Master(ctx); err != nil {
			return nil, err
		}
		attempt, cancel := context.WithTimeout(ctx, 5*sentinelTimeout*time.Millisecond)
		err = s.Sentinels[0].until(attempt, "begin a failover", func(ctx context.Context) error {
			_, err := s.Sentinels[0].Do(ctx, "SENTINEL", "failover", sentinelMaster)
			return err
		})
		if err == nil {
			master, err = s.AwaitMaster(attempt, old)
		}
		cancel()
		if err == nil || ctx.Err() != nil {
			return master, err
		}
	}
	return nil, err
}

// AwaitMaster returns the new master when the other server has taken over from
// old, takes writes, and all Sentinels say so.
func (s *Sentinel) AwaitMaster(ctx context.Context, old *Redis) (*Redis, error) {
	other := s.Servers[0]
	if other == old {
		other = s.Servers[1]
	}
	return other, other.until(ctx, "become the master", func(ctx context.Context) error {
		role, err := other.role(ctx)
		if err == nil && role != "master" {
			err = fmt.Errorf("its role is %s", role)
		}
		for _, sentinel := range s.Sentinels {
			if err != nil {
				break
			}
			var reply any
			reply, err = sentinel.Do(ctx, "SENTINEL", "get-master-addr-by-name", sentinelMaster)
			if fields, _ := reply.([]any); err == nil && (len(fields) != 2 || fmt.Sprintf("%v:%v", fields...) != other.addr) {
				err = fmt.Errorf("%s names %v", sentinel.Name, reply)
			}
		}
		return err
	})
}

// Revive starts a server that was killed again, as the replica of the other,
// and returns when the next failover is possible.
func (s *Sentinel) Revive(ctx context.Context, dead *Redis) error {
	master, err := s.Master(ctx)
	if err != nil {
		return err
	}
	if master == dead {
		return fmt.Errorf("start %s again: nobody has taken over yet", dead.Name)
	}
	// The Sentinels would make it a replica too, some seconds later. Until then
	// one that has not heard of the failover could take it for the master again.
	if err := dead.startAsReplica(master); err != nil {
		return err
	}
	if err := dead.Await(ctx); err != nil {
		return err
	}
	if err := dead.until(ctx, "follow", dead.follows); err != nil {
		return err
	}
	return s.awaitWatched(ctx)
}

// startAsReplica starts a server that has ended again, to follow another one
// from its first moment on.
func (r *Redis) startAsReplica(master *Redis) error {
	host, port, _ := net.SplitHostPort(master.addr)
	r.mu.Lock()
	args := r.program.args
	if i := slices.Index(args, "--replicaof"); i >= 0 {
		args = slices.Delete(slices.Clone(args), i, i+2)
	}
	r.program.args = append(slices.Clip(args), "--replicaof", host+" "+port)
	r.mu.Unlock()
	return r.Start()
}

// awaitWatched returns when every Sentinel knows the others, and a replica that
// could take over.
func (s *Sentinel) awaitWatched(ctx context.Context) error {
	for _, sentinel := range s.Sentinels {
		if err := sentinel.until(ctx, "know everybody", func(ctx context.Context) error {
			if _, err := sentinel.Do(ctx, "SENTINEL", "ckquorum", sentinelMaster); err != nil {
				return err
			}
			others, err := sentinel.Do(ctx, "SENTINEL", "sentinels", sentinelMaster)
			if err != nil {
				return err
			}
			if list, _ := others.([]any); len(list) != len(s.Sentinels)-1 {
				return fmt.Errorf("it knows %d other sentinels", len(list))
			}
			replicas, err := sentinel.Do(ctx, "SENTINEL", "replicas", sentinelMaster)
			if err != nil {
				return err
			}
			list, _ := replicas.([]any)
			if slices.ContainsFunc(list, promotable) {
				return nil
			}
			return fmt.Errorf("it knows no replica to promote among %v", list)
		}); err != nil {
			return err
		}
	}
	return nil
}

// promotable reports whether a Sentinel's description of a replica, names and
// values in turn, is that of one that is well.
func promotable(replica any) bool {
	fields, _ := replica.([]any)
	about := make(map[any]any)
	for pair := range slices.Chunk(fields, 2) {
		if len(pair) == 2 {
			about[pair[0]] = pair[1]
		}
	}
	return about["flags"] == "slave" && about["master-link-status"] == "ok"
}
