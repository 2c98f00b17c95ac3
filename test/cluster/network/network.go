package network

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/monarch-msn/monarch/internal/rpc"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// Options say what a network consists of.
type Options struct {
	// Notifications, Switchboards, Directories and Dispatches are how many
	// there are of each; 0 is one.
	Notifications, Switchboards, Directories, Dispatches int
	// Env is added to the environment of every process.
	Env []string
	// Args are further flags by role: directory, notification, switchboard,
	// dispatch, operator.
	Args map[string][]string
	// Redis and Database are URLs of stores that the caller has started. Where
	// one is empty the network has a store of its own.
	Redis, Database string
	// Binary returns the path of the server that is the i-th process of a
	// role, counted from 0, and "" for that which is built from this tree. Nil
	// is that one everywhere.
	Binary func(role string, i int) string
}

// Network is one process for each role, or as many as wanted, on real stores.
// It implements script.Network.
type Network struct {
	// Redis is the network's own server; nil if the options name another.
	Redis *Redis
	// RedisURL is where Redis is, DatabaseURL where the directories' database.
	RedisURL, DatabaseURL string
	Roles                 Roles

	operator      string
	dispatches    []string
	notifications []string
	switchboards  []string
	directory     *grpc.ClientConn
	watcher       *watcher
}

// Roles are the processes. Those of notification are in the order of
// [Network.Notification], those of switchboard in that of
// [Network.Switchboard], those of dispatch in that of [Network.DispatchAt].
type Roles struct {
	Directories, Dispatches     []*Process
	Operator                    *Process
	Notifications, Switchboards []*Process
}

func (r *Roles) all() []*Process {
	return slices.Concat(r.Dispatches, []*Process{r.Operator}, r.Directories, r.Notifications, r.Switchboards)
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
// does not leave with status 0 then fails the test. What has been killed and
// not started again is left alone. Where no stores are named the test is
// skipped.
func Start(t testing.TB, opt Options) *Network {
	t.Helper()
	RequireStores(t)
	n := &Network{RedisURL: opt.Redis, DatabaseURL: opt.Database}
	if n.RedisURL == "" {
		n.Redis = StartRedis(t)
		n.RedisURL = n.Redis.URL
	}
	if n.DatabaseURL == "" {
		n.DatabaseURL = Database(t)
	}
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

// start starts all roles, the switchboards and the first directory ahead of the
// others and those at once: they wait for each other.
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
	database := []string{"--database", n.DatabaseURL}
	redis := []string{"--redis", n.RedisURL}
	var directories []string
	for range max(opt.Directories, 1) {
		directories = append(directories, Loopback(Port(t)))
	}
	directory := []string{"--directory", strings.Join(directories, ",")}

	role := func(role string, i, of int, listen string, flags ...[]string) *Process {
		name := role
		if of > 1 {
			name = fmt.Sprintf("%s %d", role, i+1)
		}
		binary := ""
		if opt.Binary != nil {
			binary = opt.Binary(role, i)
		}
		if binary == "" {
			binary = Binary(t)
		}
		telemetry := Loopback(Port(t))
		args := []string{role, "--listen", listen, "--telemetry.listen", telemetry}
		for _, f := range append(flags, opt.Args[role]) {
			args = append(args, f...)
		}
		return runProgram(t, name, telemetry, server(t, binary, opt.Env, args))
	}
	for i := range max(opt.Switchboards, 1) {
		addr := Loopback(Port(t))
		n.switchboards = append(n.switchboards, addr)
		n.Roles.Switchboards = append(n.Roles.Switchboards,
			role("switchboard", i, max(opt.Switchboards, 2), addr, redis))
	}
	for _, p := range n.Roles.Switchboards {
		// Who joins after them knows them from the start: nobody is told that
		// there is no switchboard.
		p.AwaitReady()
	}
	for i, addr := range directories {
		n.Roles.Directories = append(n.Roles.Directories,
			role("directory", i, len(directories), addr, database, keys, cluster, accounts))
		if i == 0 && len(directories) > 1 {
			// It makes the keys, which the others need.
			n.Roles.Directories[0].AwaitReady()
		}
	}
	n.operator = Loopback(Port(t))
	n.Roles.Operator = role("operator", 0, 1, n.operator, redis, directory, cluster, accounts, operator)
	for i := range max(opt.Dispatches, 1) {
		addr := Loopback(Port(t))
		n.dispatches = append(n.dispatches, addr)
		n.Roles.Dispatches = append(n.Roles.Dispatches, role("dispatch", i, opt.Dispatches, addr, redis))
	}
	for i := range max(opt.Notifications, 1) {
		addr := Loopback(Port(t))
		n.notifications = append(n.notifications, addr)
		n.Roles.Notifications = append(n.Roles.Notifications,
			role("notification", i, max(opt.Notifications, 2), addr, redis, directory, cluster))
	}
	n.directory = dial(t, directory[1])
}

// dial connects the test to the directories, as nodes and operator do.
func dial(t testing.TB, target string) *grpc.ClientConn {
	t.Helper()
	conn, err := rpc.Dial(target, rpc.DialOptions{
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

// Dispatch returns host:port of the first dispatch server.
func (n *Network) Dispatch() string { return n.DispatchAt(0) }

// DispatchAt returns host:port of the i-th dispatch server, counted from 0;
// past the last it starts over.
func (n *Network) DispatchAt(i int) string { return n.dispatches[i%len(n.dispatches)] }

// Operator returns the URL of the operator service, without a path, and the
// token that opens its API.
func (n *Network) Operator() (url, token string) { return "http://" + n.operator, operatorToken }

// Notification returns host:port of the i-th notification node, likewise.
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
