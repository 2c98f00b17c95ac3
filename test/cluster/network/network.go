package network

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/monarch-msn/monarch/internal/rpc"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// Options say what a network consists of.
type Options struct {
	// Notifications and Switchboards are how many nodes there are of each; 0
	// is one.
	Notifications, Switchboards int
	// Env is added to the environment of every process.
	Env []string
	// Args are further flags by role: directory, notification, switchboard,
	// dispatch, operator.
	Args map[string][]string
}

// Network is one process for each role, and as many as wanted for
// notification and switchboard, on real stores. It implements script.Network.
type Network struct {
	Redis *Redis
	Roles Roles

	dispatch      string
	notifications []string
	switchboards  []string
	directory     *grpc.ClientConn
	watcher       *watcher
}

// Roles are the processes. Those of notification are in the order of
// [Network.Notification], those of switchboard in that of
// [Network.Switchboard].
type Roles struct {
	Directory, Dispatch, Operator *Process
	Notifications, Switchboards   []*Process
}

func (r *Roles) all() []*Process {
	return slices.Concat([]*Process{r.Dispatch, r.Operator, r.Directory}, r.Notifications, r.Switchboards)
}

const (
	// Nobody but the test reaches the network, and nobody longer than it
	// lives.
	clusterToken  = "the-cluster-token-of-a-test"
	accountsToken = "the-accounts-token-of-a-test"
	operatorToken = "the-operator-token-of-a-test"

	// callTimeout bounds one call of a test to the directory, which may stand
	// for a thousand rows on a busy machine.
	callTimeout = time.Minute
)

// Start brings a network up and returns when every role says that it is ready
// and all nodes are known. It ends with the test, in good order: a role that
// does not leave with status 0 then fails the test. Where no stores are named
// the test is skipped.
func Start(t testing.TB, opt Options) *Network {
	t.Helper()
	RequireStores(t)
	n := &Network{Redis: StartRedis(t)}
	n.start(t, opt)
	t.Cleanup(func() {
		var left []*Process
		for _, p := range n.Roles.all() {
			if !p.last().due.Load() {
				left = append(left, p)
			}
		}
		stop(t, left)
	})
	for _, p := range n.Roles.all() {
		p.AwaitReady()
	}
	n.watch(t)
	return n
}

// start starts all roles, the switchboards ahead of the others and those at
// once: they wait for each other.
func (n *Network) start(t testing.TB, opt Options) {
	t.Helper()
	dir := t.TempDir()
	secret := func(name, token string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cluster := []string{"--cluster-token-file", secret("cluster.token", clusterToken)}
	accounts := []string{"--accounts-token-file", secret("accounts.token", accountsToken)}
	operator := []string{"--token-file", secret("operator.token", operatorToken)}
	keys := []string{"--key-file", filepath.Join(dir, "password.keys")}
	database := []string{"--database", Database(t)}
	redis := []string{"--redis", n.Redis.URL}
	directoryAddr := Loopback(Port(t))
	directory := []string{"--directory", directoryAddr}

	role := func(role, name, listen string, flags ...[]string) *Process {
		args := []string{role, "--listen", listen}
		for _, f := range append(flags, opt.Args[role]) {
			args = append(args, f...)
		}
		return Monarch(t, name, opt.Env, args...)
	}
	for i := range max(opt.Switchboards, 1) {
		addr := Loopback(Port(t))
		n.switchboards = append(n.switchboards, addr)
		n.Roles.Switchboards = append(n.Roles.Switchboards,
			role("switchboard", fmt.Sprintf("switchboard %d", i+1), addr, redis))
	}
	for _, p := range n.Roles.Switchboards {
		// Who joins after them knows them from the start: nobody is told that
		// there is no switchboard.
		p.AwaitReady()
	}
	n.Roles.Directory = role("directory", "directory", directoryAddr, database, keys, cluster, accounts)
	n.Roles.Operator = role("operator", "operator", Loopback(Port(t)), redis, directory, cluster, accounts, operator)
	n.dispatch = Loopback(Port(t))
	n.Roles.Dispatch = role("dispatch", "dispatch", n.dispatch, redis)
	for i := range max(opt.Notifications, 1) {
		addr := Loopback(Port(t))
		n.notifications = append(n.notifications, addr)
		n.Roles.Notifications = append(n.Roles.Notifications,
			role("notification", fmt.Sprintf("notification %d", i+1), addr, redis, directory, cluster))
	}
	n.directory = dial(t, directoryAddr)
}

// dial connects the test to the directory, as nodes and operator do.
func dial(t testing.TB, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := rpc.Dial(addr, rpc.DialOptions{
		Tokens:  rpc.Tokens{Cluster: clusterToken, Accounts: accountsToken},
		Timeout: callTimeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Errorf("hang up on the directory: %v", err)
		}
	})
	return conn
}

// Dispatch returns host:port of the dispatch server.
func (n *Network) Dispatch() string { return n.dispatch }

// Notification returns host:port of the i-th notification node, counted from
// 0; past the last it starts over.
func (n *Network) Notification(i int) string {
	return n.notifications[i%len(n.notifications)]
}

// Switchboard returns host:port of the i-th switchboard node, likewise.
func (n *Network) Switchboard(i int) string {
	return n.switchboards[i%len(n.switchboards)]
}

// Accounts returns a client of the directory's service for operators.
func (n *Network) Accounts() directoryv1.AccountsClient {
	return directoryv1.NewAccountsClient(n.directory)
}

// Directory returns a client of the directory's service for nodes.
func (n *Network) Directory() directoryv1.DirectoryClient {
	return directoryv1.NewDirectoryClient(n.directory)
}
