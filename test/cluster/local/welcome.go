package main

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// welcome prints what somebody needs who has a cluster for the first time.
func (f *flags) welcome(w io.Writer, directories, nodes []*process) {
	fmt.Fprintf(w, "\nMonarch serves.\n\n  %-16s%-24s%-24s%s\n", "", "address", "telemetry", "PID")
	for _, p := range slices.Concat(nodes, directories) {
		fmt.Fprintf(w, "  %-16s%-24s%-24s%s\n", p, p.address, p.telemetry, p.pid())
	}
	for _, s := range []struct{ name, variable string }{{"Redis", redisVariable}, {"PostgreSQL", postgresVariable}} {
		if u, err := url.Parse(os.Getenv(s.variable)); err == nil {
			if s.variable == postgresVariable {
				u.Path = "/" + database
			}
			fmt.Fprintf(w, "  %-16s%s\n", s.name, u.Redacted())
		}
	}

	control := filepath.Join(filepath.Dir(f.Monarch), "monarchctl")
	create := control + " user create" + f.controlFlags()
	chat := control + " chat"
	if host := f.host(); host != "127.0.0.1" || f.DispatchPort != 1863 {
		chat += " --dispatch " + hostPort(host, f.DispatchPort)
	}
	fmt.Fprintf(w, `
Create accounts, and talk in two terminals:

  echo secret | %s ann@example.com --name Ann --password-stdin
  echo secret | %s bob@example.com --name Bob --password-stdin
  %s ann@example.com
  %s bob@example.com

Restart a process with kill -TERM and its PID: it leaves in good order and is started again. kill -9 is what a
machine does that loses power. PIDs, as they change: %s; what each writes: %s.
^C ends everything; accounts and lists stay for the next time.

`, create, create, chat, chat, filepath.Join(f.DataDir, pidFile), filepath.Join(f.DataDir, logDir))
}

// host is where a client on this machine finds the cluster.
func (f *flags) host() string {
	if f.Advertise != "" {
		return f.Advertise
	}
	if net.ParseIP(f.Bind).IsUnspecified() {
		return "127.0.0.1"
	}
	return f.Bind
}

// controlFlags are what monarchctl needs where its defaults do not fit.
func (f *flags) controlFlags() string {
	var flags strings.Builder
	host, port, err := net.SplitHostPort(f.OperatorListen)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	if server := "http://" + net.JoinHostPort(host, port); err == nil && server != "http://127.0.0.1:8080" {
		flags.WriteString(" --server " + server)
	}
	flags.WriteString(" --token-file " + filepath.Join(f.DataDir, operatorToken))
	return flags.String()
}
