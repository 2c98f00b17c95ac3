package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/monarch-msn/monarch/internal/cluster"
	"github.com/monarch-msn/monarch/internal/node"
	"github.com/monarch-msn/monarch/services/allinone"
	"github.com/monarch-msn/monarch/services/directory"
	"github.com/monarch-msn/monarch/services/directory/store"
	"github.com/monarch-msn/monarch/services/dispatch"
	"github.com/monarch-msn/monarch/services/notification"
	"github.com/monarch-msn/monarch/services/operator"
	"github.com/monarch-msn/monarch/services/switchboard"
)

type allCmd struct {
	DataDir           string `name:"data-dir" default:"data" placeholder:"DIR" help:"Where everything lies that is kept: database, keys, the operator's token."`
	Bind              string `name:"bind" default:"127.0.0.1" placeholder:"IP" help:"Address that every listener for clients binds; 0.0.0.0 for all."`
	Advertise         string `name:"advertise" placeholder:"HOST" help:"Host that clients are sent to; the bound address if empty, or for a wildcard the one by which each client came."`
	DispatchPort      int    `name:"dispatch.port" default:"1863" placeholder:"PORT" help:"Port of the dispatch server."`
	NotificationNodes int    `name:"notification.nodes" default:"1" placeholder:"N" help:"How many notification nodes there are."`
	NotificationPort  int    `name:"notification.port" default:"1864" placeholder:"PORT" help:"Port of the first notification node; the next ones count up."`
	SwitchboardNodes  int    `name:"switchboard.nodes" default:"1" placeholder:"N" help:"How many switchboard nodes there are."`
	SwitchboardPort   int    `name:"switchboard.port" default:"1964" placeholder:"PORT" help:"Port of the first switchboard node; the next ones count up."`
	OperatorListen    string `name:"operator.listen" default:"127.0.0.1:8080" placeholder:"ADDR" help:"Address of the operator's HTTP interface; empty for none."`
	Redis             secret `name:"redis" placeholder:"URL" help:"A Redis to use in place of the embedded one. May be in a file that MONARCH_REDIS_FILE names."`
	Database          secret `name:"database" placeholder:"URL" help:"A database to use in place of SQLite in the data directory. May be in a file that MONARCH_DATABASE_FILE names."`

	Dispatch     dispatch.Config     `embed:"" prefix:"dispatch."`
	Notification notification.Config `embed:"" prefix:"notification."`
	Switchboard  switchboard.Config  `embed:"" prefix:"switchboard."`
	Directory    directory.Config    `embed:"" prefix:"directory."`
	Operator     operator.Config     `embed:"" prefix:"operator."`

	Process node.Flags `embed:""`
}

// maxNodes keeps a slip of the finger from taking every port.
const maxNodes = 64

// Validate implements kong's check of a command. It is called ahead of those of
// the roles' Configs, which do not know whose flags they are, and says it.
func (c *allCmd) Validate() error {
	var faults []error
	if c.DataDir == "" {
		faults = append(faults, errors.New("--data-dir is empty"))
	}
	if net.ParseIP(c.Bind) == nil {
		faults = append(faults, fmt.Errorf("--bind %s is no IP address", c.Bind))
	}
	if err := c.checkAdvertise(); err != nil {
		faults = append(faults, err)
	}
	if c.NotificationNodes < 1 || c.NotificationNodes > maxNodes {
		faults = append(faults, fmt.Errorf("--notification.nodes %d is not within 1 and %d", c.NotificationNodes, maxNodes))
	}
	if c.SwitchboardNodes < 1 || c.SwitchboardNodes > maxNodes {
		faults = append(faults, fmt.Errorf("--switchboard.nodes %d is not within 1 and %d", c.SwitchboardNodes, maxNodes))
	}
	if c.DispatchPort < 0 || c.DispatchPort > 65535 {
		faults = append(faults, fmt.Errorf("--dispatch.port %d is no port", c.DispatchPort))
	}
	if last := c.NotificationPort + max(c.NotificationNodes, 1) - 1; c.NotificationPort < 0 || last > 65535 {
		faults = append(faults, fmt.Errorf("--notification.port %d leaves no ports for %d nodes", c.NotificationPort, c.NotificationNodes))
	}
	if last := c.SwitchboardPort + max(c.SwitchboardNodes, 1) - 1; c.SwitchboardPort < 0 || last > 65535 {
		faults = append(faults, fmt.Errorf("--switchboard.port %d leaves no ports for %d nodes", c.SwitchboardPort, c.SwitchboardNodes))
	}
	if c.OperatorListen != "" {
		if err := node.CheckAddress(c.OperatorListen); err != nil {
			faults = append(faults, fmt.Errorf("--operator.listen %s: %w", c.OperatorListen, err))
		}
	}
	if c.Redis.text != "" {
		if err := cluster.CheckURL(c.Redis.text); err != nil {
			faults = append(faults, fmt.Errorf("--redis: %w", err))
		}
	}
	if c.Database.text != "" {
		if err := store.CheckURL(c.Database.text); err != nil {
			faults = append(faults, fmt.Errorf("--database: %w", err))
		}
	}
	for _, role := range []struct {
		name string
		tune interface{ Validate() error }
	}{
		{"dispatch", c.Dispatch},
		{"notification", c.Notification},
		{"switchboard", c.Switchboard},
		{"directory", c.Directory},
		{"operator", c.Operator},
	} {
		if err := role.tune.Validate(); err != nil {
			flag := "--" + role.name + "."
			faults = append(faults, errors.New(flag+strings.ReplaceAll(err.Error(), "\n", "\n"+flag)))
		}
	}
	if len(faults) == 0 {
		faults = append(faults, c.checkPorts())
	}
	return errors.Join(faults...)
}

// checkAdvertise checks the host that clients are sent to, at the port of each
// listener.
func (c *allCmd) checkAdvertise() error {
	if c.Advertise == "" {
		return nil
	}
	host := strings.Trim(c.Advertise, "[]")
	if _, err := netip.ParseAddr(host); err != nil && strings.Contains(host, ":") {
		return fmt.Errorf("--advertise takes a host without a port, not %q", c.Advertise)
	}
	if err := checkAddress(net.JoinHostPort(host, "1863"), false); err != nil {
		return fmt.Errorf("--advertise %s: %w", c.Advertise, err)
	}
	return nil
}

// ports are those that a flag takes.
type ports struct {
	flag, host  string
	first, last int
}

// checkPorts returns the pairs of flags that take the same port.
func (c *allCmd) checkPorts() error {
	taken := []ports{
		{"--dispatch.port", c.Bind, c.DispatchPort, c.DispatchPort},
		{"--notification.port", c.Bind, c.NotificationPort, c.NotificationPort + c.NotificationNodes - 1},
		{"--switchboard.port", c.Bind, c.SwitchboardPort, c.SwitchboardPort + c.SwitchboardNodes - 1},
	}
	for _, listen := range []struct{ flag, addr string }{
		{"--operator.listen", c.OperatorListen},
		{"--telemetry.listen", c.Process.TelemetryListen},
	} {
		host, port, err := net.SplitHostPort(listen.addr)
		if err != nil {
			continue // empty, for none
		}
		n, _ := strconv.Atoi(port) // 0 if it is none, which is said elsewhere
		taken = append(taken, ports{listen.flag, host, n, n})
	}
	// At 0 the system chooses.
	taken = slices.DeleteFunc(taken, func(p ports) bool { return p.first == 0 })
	var faults []error
	for i, a := range taken {
		for _, b := range taken[i+1:] {
			if a.first <= b.last && b.first <= a.last && (covers(a.host, b.host) || covers(b.host, a.host)) {
				faults = append(faults, fmt.Errorf("%s and %s both take port %d", a.flag, b.flag, max(a.first, b.first)))
			}
		}
	}
	return errors.Join(faults...)
}

// covers reports whether a port that is taken on a is taken on b: they are the
// same host, or a is a wildcard. Those of IPv4 take the port for IPv6 too.
func covers(a, b string) bool {
	ip, err := netip.ParseAddr(cmp.Or(a, "::"))
	return a == b || err == nil && ip.IsUnspecified()
}

func (c *allCmd) run(ctx context.Context, stdout, _ io.Writer) int {
	return node.Run(ctx, "all", c.Process, func(ctx context.Context, p *node.Process) error {
		logBound(p.Log, "dispatch", c.Dispatch.Config)
		logBound(p.Log, "notification", c.Notification.Config)
		logBound(p.Log, "switchboard", c.Switchboard.Config)
		network, err := allinone.Start(ctx, allinone.Options{
			DataDir:           c.DataDir,
			Bind:              c.Bind,
			Advertise:         strings.Trim(c.Advertise, "[]"),
			DispatchPort:      c.DispatchPort,
			NotificationPort:  c.NotificationPort,
			NotificationNodes: c.NotificationNodes,
			SwitchboardPort:   c.SwitchboardPort,
			SwitchboardNodes:  c.SwitchboardNodes,
			OperatorListen:    c.OperatorListen,
			Redis:             c.Redis.text,
			Database:          c.Database.text,
			Dispatch:          c.Dispatch,
			Notification:      c.Notification,
			Switchboard:       c.Switchboard,
			Directory:         c.Directory,
			Operator:          c.Operator,
			Log:               p.Log,
			Meter:             p.Meter,
			Tracer:            p.Tracer,
			Version:           node.Version().Version,
		})
		if err != nil {
			return err
		}
		p.Ready("network", network.Ready)
		c.tell(p, network)
		if c.Process.LogFormat == "text" {
			c.welcome(stdout, network)
		}
		var points []endpoint
		if c.Advertise != "" {
			points = append(points, endpoint{
				listen:    net.JoinHostPort(c.Bind, strconv.Itoa(c.DispatchPort)),
				advertise: net.JoinHostPort(strings.Trim(c.Advertise, "[]"), strconv.Itoa(c.DispatchPort)),
			})
		}
		return p.Serve(ctx, reachable(p, points, resolve), node.Service{
			Name: "network",
			Run: func(ctx context.Context) error {
				select {
				case err := <-network.Failed():
					return errors.Join(err, network.Stop())
				case <-ctx.Done():
					return network.Stop()
				}
			},
			Drain: network.Drain,
		})
	})
}

// host is where clients are sent; empty for the address by which each came.
func (c *allCmd) host() string {
	if c.Advertise == "" && !net.ParseIP(c.Bind).IsUnspecified() {
		return c.Bind
	}
	return strings.Trim(c.Advertise, "[]")
}

// tell shows in the log and in /readyz?verbose where clients are waited for, as
// a role does in a process of its own.
func (c *allCmd) tell(p *node.Process, network *allinone.Network) {
	tell := func(role string, number int, bound string) {
		_, port, _ := net.SplitHostPort(bound) // it is one
		advertised := net.JoinHostPort(c.host(), port)
		name, attrs := role, []any{"role", role}
		if number > 0 {
			name += " " + strconv.Itoa(number)
			attrs = append(attrs, "number", number)
		}
		p.Log.Info("listens for clients", append(attrs, "address", bound, "advertised", advertised)...)
		p.Detail(name, fmt.Sprintf("%s, advertised as %s", bound, advertised))
	}
	tell("dispatch", 0, network.Dispatch())
	for i := range network.Nodes() {
		tell("notification", i+1, network.Notification(i))
	}
	for i := range network.Switchboards() {
		tell("switchboard", i+1, network.Switchboard(i))
	}
	if operator := network.Operator(); operator != "" {
		p.Detail("operator", operator)
	}
}

// welcome prints what somebody needs who starts a network for the first time.
func (c *allCmd) welcome(w io.Writer, network *allinone.Network) {
	host := c.host()
	address := func(bound string) string {
		_, port, err := net.SplitHostPort(bound)
		if host == "" || err != nil {
			return bound
		}
		return net.JoinHostPort(host, port)
	}
	var nodes []string
	for i := range network.Nodes() {
		nodes = append(nodes, address(network.Notification(i)))
	}
	var switchboards []string
	for i := range network.Switchboards() {
		switchboards = append(switchboards, address(network.Switchboard(i)))
	}
	dispatch := address(network.Dispatch())
	fmt.Fprintf(w, "\nMonarch serves.\n\n  dispatch      %s\n  notification  %s\n  switchboard   %s\n",
		dispatch, strings.Join(nodes, " "), strings.Join(switchboards, " "))
	if operator := network.Operator(); operator != "" {
		fmt.Fprintf(w, "  operator      http://%s\n\nCreate an account:\n\n  echo secret | %s user create ann@example.com --name Ann --password-stdin%s\n",
			operator, control(), c.controlFlags(operator))
	}
	server := host
	if server == "" {
		server = "ADDRESS"
	}
	_, port, _ := net.SplitHostPort(dispatch) // it is one
	fmt.Fprintf(w, "\nPoint a client here: MSN Messenger 1.0 to 4.7 has its server in the registry, in the string \"Server\" of\n"+
		"HKEY_CURRENT_USER\\Software\\Microsoft\\MessengerService:\n\n  %s;%s\n\nOther clients have host and port in the settings of the account.\n\n",
		server, net.JoinHostPort(server, port))
}

// control is how monarchctl is called by whoever called this program.
func control() string {
	if dir := filepath.Dir(os.Args[0]); dir != "." {
		return filepath.Join(dir, "monarchctl")
	}
	return "monarchctl"
}

// controlFlags are what monarchctl needs where its defaults do not fit.
func (c *allCmd) controlFlags(operator string) string {
	var flags strings.Builder
	host, port, err := net.SplitHostPort(operator)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	if server := "http://" + net.JoinHostPort(host, port); err == nil && server != "http://127.0.0.1:8080" {
		flags.WriteString(" --server " + server)
	}
	if c.DataDir != "data" {
		path := filepath.Join(c.DataDir, "operator.token")
		if strings.ContainsAny(path, " '\"\\$`") {
			path = strconv.Quote(path)
		}
		flags.WriteString(" --token-file " + path)
	}
	return flags.String()
}
