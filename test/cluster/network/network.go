package network

import (
	"cmp"
	"fmt"
	"net/url"
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
	// Hosts gives every process a [Host] of its own, and one to each store.
	// Then the network has a Redis of its own, and a Database is on this
	// machine or reached from it.
	Hosts bool
}

// Network is one process for each role, or as many as wanted, on real stores.
// It implements script.Network.
type Network struct {
	// Redis is the network's own server; nil if the options name another.
	Redis *Redis
	// RedisURL is where Redis is, DatabaseURL where the directories' database.
	RedisURL, DatabaseURL string
	// RedisHost and DatabaseHost are where they run, if there are hosts.
	RedisHost, DatabaseHost *Host
	Roles                   Roles

	secrets       secrets // the test's own
	lan           *lan    // nil if there are no hosts
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

// callTimeout bounds one call of a test to the directory, which may stand for a
// thousand rows on a busy machine.
const callTimeout = time.Minute

// Start brings a network up and returns when every role says that it is ready
// and all nodes are known. It ends with the test, in good order: a role that
// does not leave with status 0 then fails the test. What has been killed and
// not started again is left alone. Where no stores are named the test is
// skipped.
func Start(t testing.TB, opt Options) *Network {
	t.Helper()
	RequireStores(t)
	n := &Network{RedisURL: opt.Redis, DatabaseURL: opt.Database}
	if n.DatabaseURL == "" {
		n.DatabaseURL = Database(t)
	}
	if opt.Hosts {
		n.host(t, opt)
	}
	if n.RedisURL == "" {
		n.Redis = startRedis(t, n.RedisHost)
		n.RedisURL = n.Redis.URL
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

// host gives the stores their hosts.
func (n *Network) host(t testing.TB, opt Options) {
	t.Helper()
	if opt.Redis != "" {
		t.Fatal("a network with hosts has a Redis of its own")
	}
	n.lan = startLAN(t)
	n.RedisHost = n.lan.host("redis")
	n.DatabaseHost = n.lan.host("database")
	// The server runs elsewhere, and may be shared with other tests.
	server, err := url.Parse(n.DatabaseURL)
	if err != nil {
		t.Fatal("the URL of the database is none") // it may hold a password
	}
	here := n.DatabaseHost.port(cmp.Or(server.Port(), "5432"))
	relay(t, n.DatabaseHost, here, server.Host)
	server.Host = here
	n.DatabaseURL = server.String()
}

// startRedis starts a server of the network's own and returns when it answers.
func startRedis(t testing.TB, h *Host) *Redis {
	t.Helper()
	if h == nil {
		return StartRedis(t)
	}
	path, err := findRedis()
	if err != nil {
		t.Fatal(err)
	}
	addr := h.port(redisPort)
	r := &Redis{URL: "redis://" + addr, addr: addr}
	r.Process = runProgram(t, h.Name, "", program{path: path, host: h, args: []string{
		"--bind", h.Addr(), "--protected-mode", "no", "--port", redisPort,
		"--save", "", "--appendonly", "no", "--daemonize", "no",
	}})
	r.AwaitReady()
	return r
}

// Ports of the roles on hosts of their own.
const (
	clientPort    = "1863"
	directoryPort = "7863"
	operatorPort  = "8080"
	telemetryPort = "9863"
	redisPort     = "6379"
)

// place is where a process runs: its host, which is nil where there are none,
// and the addresses that it listens on.
type place struct {
	name              string
	host              *Host
	listen, telemetry string
}

// places finds places for so many processes of a role.
func (n *Network) places(t testing.TB, role string, count int, port string) []place {
	t.Helper()
	places := make([]place, max(count, 1))
	for i := range places {
		p := &places[i]
		if p.name = role; len(places) > 1 || role == "notification" || role == "switchboard" {
			p.name = fmt.Sprintf("%s %d", role, i+1)
		}
		if n.lan == nil {
			p.listen, p.telemetry = Loopback(Port(t)), Loopback(Port(t))
			continue
		}
		p.host = n.lan.host(p.name)
		p.listen, p.telemetry = p.host.port(port), p.host.port(telemetryPort)
	}
	return places
}

// addresses returns where clients of places connect to.
func addresses(places []place) []string {
	var list []string
	for _, p := range places {
		list = append(list, p.listen)
	}
	return list
}

// start starts all roles, the switchboards ahead of the others and those at once:
// they wait for each other.
func (n *Network) start(t testing.TB, opt Options) {
	t.Helper()
	// Nobody but the test reaches the network, and nobody longer than it lives.
	contents := map[Secret]string{
		ClusterToken:  "the-cluster-token-of-a-test",
		AccountsToken: "the-accounts-token-of-a-test",
		OperatorToken: "the-operator-token-of-a-test",
		Keys:          KeyLine("first"),
		RedisURL:      n.RedisURL,
		DatabaseURL:   n.DatabaseURL,
	}
	n.secrets = newSecrets(t, contents)
	directories := n.places(t, "directory", opt.Directories, directoryPort)
	directory := []string{"--directory", strings.Join(addresses(directories), ",")}

	role := func(role string, places []place, flags ...[]string) []*Process {
		var processes []*Process
		for i, at := range places {
			binary := ""
			if opt.Binary != nil {
				binary = opt.Binary(role, i)
			}
			if binary == "" {
				binary = Binary(t)
			}
			args := []string{role, "--listen", at.listen, "--telemetry.listen", at.telemetry}
			for _, f := range append(flags, opt.Args[role]) {
				args = append(args, f...)
			}
			own := newSecrets(t, contents)
			program := server(t, binary, append(own.env(), opt.Env...), args)
			program.host = at.host
			p := runProgram(t, at.name, at.telemetry, program)
			p.secrets = own
			processes = append(processes, p)
		}
		return processes
	}
	switchboards := n.places(t, "switchboard", opt.Switchboards, clientPort)
	n.switchboards = addresses(switchboards)
	n.Roles.Switchboards = role("switchboard", switchboards)
	for _, p := range n.Roles.Switchboards {
		// Who joins after them knows them from the start: nobody is told that
		// there is no switchboard.
		p.AwaitReady()
	}
	n.Roles.Directories = role("directory", directories)
	operators := n.places(t, "operator", 1, operatorPort)
	n.operator = operators[0].listen
	n.Roles.Operator = role("operator", operators, directory)[0]
	dispatches := n.places(t, "dispatch", opt.Dispatches, clientPort)
	n.dispatches = addresses(dispatches)
	n.Roles.Dispatches = role("dispatch", dispatches)
	notifications := n.places(t, "notification", opt.Notifications, clientPort)
	n.notifications = addresses(notifications)
	n.Roles.Notifications = role("notification", notifications, directory)
	n.directory = n.dial(t, directory[1])
}

// dial connects the test to the directories, as nodes and operator do.
func (n *Network) dial(t testing.TB, target string) *grpc.ClientConn {
	t.Helper()
	token := func(name Secret) rpc.Token { return func() []string { return []string{n.Secret(name)} } }
	conn, err := rpc.Dial(target, rpc.DialOptions{
		Tokens:  rpc.Tokens{Cluster: token(ClusterToken), Accounts: token(AccountsToken)},
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
func (n *Network) Operator() (url, token string) {
	return "http://" + n.operator, n.Secret(OperatorToken)
}

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
