package cluster

import (
	"context"
	"crypto/sha1"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// server is a Redis of our own: tests may kill it, empty it, or cut off its
// clients, which the shared one that the environment names does not deserve.
type server struct {
	addr string
	dir  string
	args []string
	cmd  *exec.Cmd
	rdb  *redis.Client
}

// needServers skips a test where no Redis is installed; not where the
// environment says that real ones are tested.
func needServers(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("MONARCH_TEST_REDIS") != "" {
			t.Fatal("MONARCH_TEST_REDIS is set, so redis-server must be installed")
		}
		t.Skip("redis-server is not installed")
	}
}

// freePort returns a port of loopback that nobody listens on, from below those
// that systems give to outgoing connections: one of them could otherwise take it
// before the server does.
func freePort() (string, error) {
	const first, last = 10000, 15000
	var err error
	for range 1000 {
		port := strconv.Itoa(first + rand.IntN(last-first))
		if _, taken := givenPorts.LoadOrStore(port, true); taken {
			continue
		}
		var l net.Listener
		if l, err = net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			return port, l.Close()
		}
	}
	return "", fmt.Errorf("find a free port: %w", err)
}

var givenPorts sync.Map // those that freePort returned

// launch starts redis-server in a directory and waits until it answers.
func launch(dir string, args ...string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	return launchOn(port, dir, args...)
}

// launchOn is launch with a port.
func launchOn(port, dir string, args ...string) (*server, error) {
	s := &server{addr: "127.0.0.1:" + port, dir: dir, args: append(args,
		"--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no")}
	s.rdb = redis.NewClient(&redis.Options{Addr: s.addr, Protocol: 2, DisableIdentity: true})
	return s, s.start()
}

func (s *server) start() error {
	s.cmd = exec.Command("redis-server", s.args...)
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for range 1000 {
		if s.rdb.Ping(context.Background()).Err() == nil {
			return nil
		}
		time.Sleep(10 * time.Millisecond) // nothing tells when it listens
	}
	return fmt.Errorf("redis-server on %s does not answer", s.addr)
}

// kill ends the server at once.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func (s *server) close() {
	s.kill()
	_ = s.rdb.Close()
}

// own starts a server for one test.
func own(t *testing.T, args ...string) *server {
	t.Helper()
	needServers(t)
	s, err := launch(t.TempDir(), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// redisCluster is a Redis Cluster of three masters, started when a test first
// wants it and shared by all.
var redisCluster struct {
	once    sync.Once
	dir     string
	servers []*server
	err     error
}

// clustered is an engine on that cluster.
func clustered(t *testing.T) *engine {
	t.Helper()
	if os.Getenv("MONARCH_TEST_REDIS") == "" {
		t.Skip("MONARCH_TEST_REDIS is not set")
	}
	needServers(t)
	c := &redisCluster
	c.once.Do(func() { c.err = startCluster() })
	if c.err != nil {
		t.Fatal(c.err)
	}
	var addrs []string
	for _, s := range c.servers {
		addrs = append(addrs, s.addr)
	}
	return external(t, "redis+cluster://"+strings.Join(addrs, ","))
}

func startCluster() (err error) {
	c := &redisCluster
	if c.dir, err = os.MkdirTemp("", "monarch-cluster-test"); err != nil {
		return err
	}
	c.servers, err = launchCluster(c.dir, 0)
	return err
}

// clusterMasters is how many masters a Redis Cluster of the tests has, among
// which the slots are divided.
const clusterMasters, clusterSlots = 3, 16384

// launchCluster starts a Redis Cluster, with so many replicas in all, and waits
// until it is complete. The servers know each other from the first moment: to
// introduce them takes seconds. It returns those that run even if others do not.
func launchCluster(dir string, replicas int) (servers []*server, err error) {
	var ids, ports, buses []string
	for range clusterMasters + replicas {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		bus, err := freePort()
		if err != nil {
			return nil, err
		}
		ids, ports, buses = append(ids, newID()+newID()), append(ports, port), append(buses, bus)
	}
	for i := range ids {
		ids[i] = fmt.Sprintf("%040x", sha1.Sum([]byte(ids[i])))
	}
	for self := range ids {
		var config strings.Builder
		for i, id := range ids {
			role, master, epoch := "master", "-", i+1
			slots := fmt.Sprintf(" %d-%d", i*clusterSlots/clusterMasters, (i+1)*clusterSlots/clusterMasters-1)
			if i >= clusterMasters {
				role, master, epoch, slots = "slave", ids[i%clusterMasters], i%clusterMasters+1, ""
			}
			if i == self {
				role = "myself," + role
			}
			fmt.Fprintf(&config, "%s 127.0.0.1:%s@%s %s %s 0 0 %d connected%s\n", id, ports[i], buses[i], role, master, epoch, slots)
		}
		fmt.Fprintf(&config, "vars currentEpoch %d lastVoteEpoch 0\n", clusterMasters)
		own := filepath.Join(dir, strconv.Itoa(self))
		if err := os.Mkdir(own, 0o700); err != nil {
			return servers, err
		}
		if err := os.WriteFile(filepath.Join(own, "nodes.conf"), []byte(config.String()), 0o600); err != nil {
			return servers, err
		}
		s, err := launchOn(ports[self], own, "--cluster-enabled", "yes", "--cluster-port", buses[self],
			"--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0")
		if s != nil {
			servers = append(servers, s)
		}
		if err != nil {
			return servers, err
		}
	}
	for _, s := range servers {
		if err := s.await("cluster_state:ok", "cluster", "info"); err != nil {
			return servers, err
		}
	}
	for _, s := range servers[clusterMasters:] {
		if err := s.await("connected", "role"); err != nil {
			return servers, err
		}
	}
	return servers, nil
}

// await waits until a server's answer to a command contains a text.
func (s *server) await(text string, command ...any) error {
	var answer any
	for range 3000 {
		answer = s.rdb.Do(context.Background(), command...).Val()
		if strings.Contains(fmt.Sprint(answer), text) {
			return nil
		}
		time.Sleep(10 * time.Millisecond) // nothing tells when it comes about
	}
	return fmt.Errorf("%s answers %v with %v, want %q", s.addr, command, answer, text)
}

func stopCluster() {
	for _, s := range redisCluster.servers {
		s.close()
	}
	if redisCluster.dir != "" {
		_ = os.RemoveAll(redisCluster.dir)
	}
}

// On Redis Cluster a slot can move to another master. The subscription ends
// then, and the library does not take it up again.
func TestInboxFollowsItsSlot(t *testing.T) {
	t.Parallel()
	e := clustered(t)
	beatSlowly(e)
	a, b := e.start(t), e.start(t)
	meet(t, a, b)
	a.Send(b.ID(), notice("before"))
	b.await(t, "deliver", 1)

	resynced := len(b.noted("resync")) // a busy machine may have opened it anew
	moveSlot(t, e, b.client.keys.inbox(b.ID()))
	got := b.await(t, "resync", resynced+1)
	if got[resynced] != (event{"resync", "", ResyncSubscribed}) {
		t.Errorf("resync: %v", got)
	}
	b.until(t, "a message sent after", func() bool {
		a.Send(b.ID(), notice("after"))
		got := b.noted("deliver")
		return got[len(got)-1].text == "after"
	})
	if got := append(a.noted("gone"), b.noted("gone")...); len(got) > 0 {
		t.Errorf("gone: %v", got)
	}
}

// beatSlowly is for tests that count how often an inbox is opened anew: two beats
// that reach nobody, as they may on a busy machine, open it once more.
func beatSlowly(e *engine) { e.timing.Lease, e.timing.Beat = 20*time.Second, 4*time.Second }

// moveSlot moves the slot of a key to the next master, with what is in it.
func moveSlot(t *testing.T, e *engine, key string) {
	t.Helper()
	ctx, servers := t.Context(), redisCluster.servers
	do := func(s *server, args ...any) any {
		t.Helper()
		reply, err := s.rdb.Do(ctx, args...).Result()
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return reply
	}
	slot := do(servers[0], "cluster", "keyslot", key).(int64)
	from := int(slot * 3 / 16384)
	source, target := servers[from], servers[(from+1)%3]
	sourceID, targetID := do(source, "cluster", "myid"), do(target, "cluster", "myid")
	do(target, "cluster", "setslot", slot, "importing", sourceID)
	do(source, "cluster", "setslot", slot, "migrating", targetID)
	_, port, _ := net.SplitHostPort(target.addr)
	for {
		keys := do(source, "cluster", "getkeysinslot", slot, 100).([]any)
		if len(keys) == 0 {
			break
		}
		for _, key := range keys {
			do(source, "migrate", "127.0.0.1", port, key, 0, 5000)
		}
	}
	for _, s := range []*server{target, source, servers[(from+2)%3]} {
		do(s, "cluster", "setslot", slot, "node", targetID)
	}
}

// Redis itself throws the subscribers out, as it does with slow ones.
func TestSubscribersAreThrownOut(t *testing.T) {
	t.Parallel()
	s := own(t)
	e := external(t, "redis://"+s.addr)
	beatSlowly(e)
	a, b := e.start(t), e.start(t)
	meet(t, a, b)
	if n, err := s.rdb.Do(t.Context(), "client", "kill", "type", "pubsub").Int(); err != nil || n != 2 {
		t.Fatalf("killed %d, %v", n, err)
	}
	for _, n := range []*node{a, b} {
		if got := n.await(t, "resync", 1); got[0] != (event{"resync", "", ResyncSubscribed}) {
			t.Errorf("resync: %v", got)
		}
	}
	a.Send(b.ID(), notice("after"))
	b.await(t, "deliver", 1)
	time.Sleep(10 * e.timing.Refresh) // what a gap would take to be found
	for _, n := range []*node{a, b} {
		if got := n.noted("resync"); len(got) != 1 {
			t.Errorf("resync: %v, want one", got)
		}
	}
}

// Redis dies and is started again, without anything that it knew.
func TestRedisRestartsEmpty(t *testing.T) {
	t.Parallel()
	s := own(t)
	e := external(t, "redis://"+s.addr)
	a, b := e.start(t), e.start(t)
	meet(t, a, b)
	alice := login(t, a, "alice@example.com")
	time.Sleep(e.timing.Lease + e.timing.Beat)
	epoch, old := alice.Epoch, []string{a.ID(), b.ID()}

	s.kill()
	a.Send(b.ID(), notice("while it is away"))
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*node{a, b} {
		n.until(t, "a new lease", func() bool {
			for _, e := range n.noted("resync") {
				if e.text == ResyncLease {
					return true
				}
			}
			return false
		})
	}
	if changed, _, err := reclaim(t, a, alice); err != nil || !changed || alice.Epoch <= epoch {
		t.Errorf("Reclaim: %t, %v, epoch %d after %d", changed, err, alice.Epoch, epoch)
	}
	meet(t, a, b)
	if got := place(t, b.client, alice.Email); got.GetNode() != a.ID() {
		t.Errorf("alice is at %v", got)
	}
	b.await(t, "gone", 1)
	for _, n := range []*node{a, b} {
		for _, gone := range n.noted("gone") {
			if gone.peer != old[0] && gone.peer != old[1] {
				t.Errorf("buried a living node: %v", gone)
			}
		}
	}
}

// Sentinel makes a replica the master: nodes go on there.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	master := own(t)
	_, masterPort, _ := net.SplitHostPort(master.addr)
	replica := own(t, "--replicaof", "127.0.0.1 "+masterPort)
	for range 1000 {
		if strings.Contains(replica.rdb.Info(t.Context(), "replication").Val(), "master_link_status:up") {
			break
		}
		time.Sleep(10 * time.Millisecond) // nothing tells when it has caught up
	}
	sentinel := startSentinel(t, masterPort)

	e := external(t, "redis+sentinel://"+sentinel.addr+"/main")
	a, b := e.start(t), e.start(t)
	meet(t, a, b)
	alice := login(t, a, "alice@example.com")
	a.Send(b.ID(), notice("before"))
	b.await(t, "deliver", 1)

	if err := sentinel.rdb.Do(t.Context(), "sentinel", "failover", "main").Err(); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*node{a, b} {
		n.await(t, "resync", 1)
	}
	n := 0
	b.until(t, "a message through the new master", func() bool {
		a.Send(b.ID(), notice("after"))
		n++
		return len(b.noted("deliver")) > 1
	})
	bob := login(t, b, "alice@example.com")
	if bob.Epoch <= alice.Epoch {
		t.Errorf("epoch %d after %d", bob.Epoch, alice.Epoch)
	}
	if role := replica.rdb.Do(t.Context(), "role").Val().([]any)[0]; role != "master" {
		t.Errorf("the replica is %v", role)
	}
	if got, err := replica.rdb.Exists(t.Context(), b.client.keys.session(bob.Email)).Result(); err != nil || got != 1 {
		t.Errorf("the record on the new master: %d, %v", got, err)
	}
}

func startSentinel(t *testing.T, masterPort string) *server {
	t.Helper()
	dir := t.TempDir()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "sentinel.conf")
	text := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor main 127.0.0.1 %s 1\n"+
		"sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n", port, dir, masterPort)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &server{addr: "127.0.0.1:" + port, args: []string{config, "--sentinel"}}
	s.rdb = redis.NewClient(&redis.Options{Addr: s.addr, Protocol: 2, DisableIdentity: true})
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	for range 3000 {
		// It has found the replica, and so can fail over.
		reply, err := s.rdb.Do(t.Context(), "sentinel", "replicas", "main").Slice()
		if err == nil && len(reply) == 1 && strings.Contains(fmt.Sprint(reply[0]), "master-link-status ok") {
			return s
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("sentinel does not find the replica")
	return nil
}
