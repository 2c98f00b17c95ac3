// Command local runs a real cluster on this machine, for whoever wants to try
// one: every role in processes of its own, over a real Redis and PostgreSQL.
// "make cluster" builds what it needs and starts it with its stores:
//
//	bin/test/stores -keep data/cluster bin/test/local
//
// It does for the processes what Kubernetes does elsewhere: one that ends is
// started again, after a clean exit at once, after a fault with growing pauses.
// So a node is restarted by
//
//	kill -TERM PID
//
// and its machine loses power by kill -9. The binary is that which is there at
// the time: built anew in between, each restart is an upgrade.
//
// The data directory holds
//
//	operator.token    for monarchctl; beside it the other secrets of the roles
//	pids              what runs: role, number, PID (or - while it is down), address,
//	                  address of its telemetry, one process a line
//	logs/ROLE-N.log   what a role writes; with .old behind it, that of the last time
//
// The first ^C ends the cluster in good order within seconds, clients' nodes
// ahead of the directory that they write to; the second one closes sessions at
// once, the third one kills.
//
// Exit status: 0 after ^C, 1 on a fault, which is one sentence on standard
// error, 2 on wrong usage.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// flags are what can be chosen.
type flags struct {
	DataDir       string `name:"data-dir" default:"data/cluster" placeholder:"DIR" help:"Where secrets, logs and the list of processes lie."`
	Monarch       string `name:"monarch" default:"bin/monarch" placeholder:"FILE" help:"The server."`
	Bind          string `name:"bind" default:"127.0.0.1" placeholder:"IP" help:"Address that every listener for clients binds; 0.0.0.0 for all."`
	Advertise     string `name:"advertise" placeholder:"HOST" help:"Host that clients are sent to; the one by which each client came if empty."`
	Directories   int    `name:"directory.nodes" default:"2" placeholder:"N" help:"How many directories there are."`
	DirectoryPort int    `name:"directory.port" default:"7863" placeholder:"PORT" help:"Port of the first directory; the next ones count up, here and below."`

	Dispatches       int    `name:"dispatch.nodes" default:"2" placeholder:"N" help:"How many dispatch servers there are."`
	DispatchPort     int    `name:"dispatch.port" default:"1863" placeholder:"PORT" help:"Port of the first dispatch server."`
	DispatchSecond   int    `name:"dispatch.second-port" default:"2064" placeholder:"PORT" help:"Port of the second dispatch server; the next ones count up from there."`
	Notifications    int    `name:"notification.nodes" default:"3" placeholder:"N" help:"How many notification nodes there are."`
	NotificationPort int    `name:"notification.port" default:"1864" placeholder:"PORT" help:"Port of the first notification node."`
	Switchboards     int    `name:"switchboard.nodes" default:"2" placeholder:"N" help:"How many switchboard nodes there are."`
	SwitchboardPort  int    `name:"switchboard.port" default:"1964" placeholder:"PORT" help:"Port of the first switchboard node."`
	OperatorListen   string `name:"operator.listen" default:"127.0.0.1:8080" placeholder:"ADDR" help:"Address of the operator's HTTP interface."`
	TelemetryPort    int    `name:"telemetry.port" default:"9863" placeholder:"PORT" help:"Port of the first telemetry listener on 127.0.0.1; each process has its own."`
}

func main() {
	// The roles are to leave when this process is gone, and Linux takes the
	// thread that started them for it: the main one, which stays to the end.
	runtime.LockOSThread()
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	f := new(flags)
	answered := -1 // the status of --help
	parser, err := kong.New(f, kong.Name("local"),
		kong.Description("Run a whole cluster on this machine, every role in processes of its own. What tunes a role "+
			"is taken from the environment: MONARCH_NOTIFICATION_CAPACITY and so on, see monarch notification --help."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Exit(func(status int) { answered = status }))
	if err != nil {
		panic(fmt.Sprintf("the command line is declared wrongly: %v", err))
	}
	_, err = parser.Parse(args)
	if answered >= 0 {
		return answered
	}
	if err == nil {
		err = f.check()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "local: %s (see --help)\n", strings.ReplaceAll(err.Error(), "\n", "; "))
		return 2
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	if err := serve(f, signals); err != nil {
		fmt.Fprintf(os.Stderr, "local: %v\n", err)
		return 1
	}
	return 0
}

// serve runs the cluster until it is told to stop.
func serve(f *flags, signals <-chan os.Signal) error {
	if err := prepare(f); err != nil {
		return err
	}
	env, err := stores()
	if err != nil {
		return err
	}
	directories, nodes := f.processes(env)
	for _, p := range slices.Concat(directories, nodes) {
		if err := p.checkPorts(); err != nil {
			return err
		}
	}
	s := newSupervisor(f.DataDir, os.Stdout, signals)
	return s.run(directories, nodes, func() { f.welcome(os.Stdout, directories, nodes) })
}
