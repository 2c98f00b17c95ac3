package main

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxNodes keeps a slip of the finger from taking every port.
const maxNodes = 64

func (f *flags) check() error {
	var faults []error
	if net.ParseIP(f.Bind) == nil {
		faults = append(faults, fmt.Errorf("--bind %s is no IP address", f.Bind))
	}
	for _, c := range []struct {
		role     string
		nodes    int
		portFlag string
		port     int
		ports    int
	}{
		{"directory", f.Directories, "directory.port", f.DirectoryPort, f.Directories},
		{"dispatch", f.Dispatches, "dispatch.port", f.DispatchPort, 1},
		{"dispatch", f.Dispatches, "dispatch.second-port", f.DispatchSecond, f.Dispatches - 1},
		{"notification", f.Notifications, "notification.port", f.NotificationPort, f.Notifications},
		{"switchboard", f.Switchboards, "switchboard.port", f.SwitchboardPort, f.Switchboards},
	} {
		if c.nodes < 1 || c.nodes > maxNodes {
			fault := fmt.Errorf("--%s.nodes %d is not within 1 and %d", c.role, c.nodes, maxNodes)
			if !slices.ContainsFunc(faults, func(e error) bool { return e.Error() == fault.Error() }) {
				faults = append(faults, fault)
			}
		} else if c.port < 1 || c.port+c.ports-1 > 65535 {
			faults = append(faults, fmt.Errorf("--%s %d leaves no ports for %d nodes", c.portFlag, c.port, c.nodes))
		}
	}
	all := f.Directories + f.Dispatches + f.Notifications + f.Switchboards + 1
	if f.TelemetryPort < 1 || f.TelemetryPort+all-1 > 65535 {
		faults = append(faults, fmt.Errorf("--telemetry.port %d leaves no ports for %d processes", f.TelemetryPort, all))
	}
	if _, _, err := net.SplitHostPort(f.OperatorListen); err != nil {
		faults = append(faults, fmt.Errorf("--operator.listen %s is no host:port", f.OperatorListen))
	}
	return errors.Join(faults...)
}

// The files in the data directory.
const (
	clusterToken  = "cluster.token"
	accountsToken = "accounts.token"
	operatorToken = "operator.token"
	passwordKeys  = "password.keys"
	pidFile       = "pids"
	logDir        = "logs"
)

// processes returns what is to run: the directories, and what leans on them.
// env is the environment of all.
func (f *flags) processes(env []string) (directories, nodes []*process) {
	telemetry := f.TelemetryPort
	file := func(name string) string { return filepath.Join(f.DataDir, name) }
	add := func(role string, index int, address, portFlag string, args ...string) *process {
		p := &process{
			role: role, index: index, address: address, portFlag: portFlag,
			telemetry: loopback(telemetry),
			log:       filepath.Join(f.DataDir, logDir, fmt.Sprintf("%s-%d.log", role, index)),
			path:      f.Monarch,
			env:       env,
		}
		p.args = append([]string{role, "--listen", address, "--telemetry.listen", p.telemetry}, args...)
		telemetry++
		return p
	}

	cluster := []string{"--cluster-token-file", file(clusterToken)}
	accounts := []string{"--accounts-token-file", file(accountsToken)}
	var addresses []string
	for i := range f.Directories {
		address := loopback(f.DirectoryPort + i)
		addresses = append(addresses, address)
		directories = append(directories, add("directory", i+1, address, "directory.port",
			slices.Concat([]string{"--key-file", file(passwordKeys)}, cluster, accounts)...))
	}
	directory := append([]string{"--directory", directoryTarget(addresses)}, cluster...)

	forClients := func(role string, index, port int, portFlag string, args ...string) *process {
		if f.Advertise != "" {
			args = append(args, "--advertise", hostPort(f.Advertise, port))
		}
		return add(role, index, hostPort(f.Bind, port), portFlag, args...)
	}
	for i := range f.Dispatches {
		port, portFlag := f.DispatchPort, "dispatch.port"
		if i > 0 {
			port, portFlag = f.DispatchSecond+i-1, "dispatch.second-port"
		}
		nodes = append(nodes, forClients("dispatch", i+1, port, portFlag))
	}
	for i := range f.Notifications {
		nodes = append(nodes, forClients("notification", i+1, f.NotificationPort+i, "notification.port", directory...))
	}
	for i := range f.Switchboards {
		nodes = append(nodes, forClients("switchboard", i+1, f.SwitchboardPort+i, "switchboard.port"))
	}
	nodes = append(nodes, add("operator", 1, f.OperatorListen, "operator.listen",
		slices.Concat([]string{"--token-file", file(operatorToken)}, directory, accounts)...))
	return directories, nodes
}

// directoryTarget names all directories to those who call them.
func directoryTarget(addresses []string) string { return strings.Join(addresses, ",") }

func loopback(port int) string { return hostPort("127.0.0.1", port) }

func hostPort(host string, port int) string {
	return net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(port))
}
