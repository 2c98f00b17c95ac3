package main

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func parse(t *testing.T, args ...string) *flags {
	t.Helper()
	f := new(flags)
	parser, err := kong.New(f)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestEveryProcessHasAddressesOfItsOwn(t *testing.T) {
	f := parse(t)
	if err := f.check(); err != nil {
		t.Fatal(err)
	}
	directories, nodes := f.processes(nil)
	seen := map[string]string{}
	for _, p := range slices.Concat(directories, nodes) {
		for _, address := range []string{p.address, p.telemetry} {
			if other := seen[address]; other != "" {
				t.Errorf("%s and %s have both %s", other, p, address)
			}
			seen[address] = p.String()
		}
	}
	for address, want := range map[string]string{
		"127.0.0.1:1863": "dispatch 1", "127.0.0.1:1864": "notification 1", "127.0.0.1:1866": "notification 3",
		"127.0.0.1:1964": "switchboard 1", "127.0.0.1:8080": "operator 1",
	} {
		if got := seen[address]; got != want {
			t.Errorf("on %s: want %s, got %q", address, want, got)
		}
	}
}

func TestAdvertisedAddresses(t *testing.T) {
	f := parse(t, "--bind", "0.0.0.0", "--advertise", "chat.example.org")
	_, nodes := f.processes(nil)
	for _, p := range nodes {
		if p.role == "operator" {
			continue
		}
		_, port, err := net.SplitHostPort(p.address)
		if err != nil {
			t.Fatal(err)
		}
		if want := "--advertise chat.example.org:" + port; !strings.Contains(strings.Join(p.args, " "), want) {
			t.Errorf("%s: want %s, got %q", p, want, p.args)
		}
	}
}

func TestFaultsOfFlags(t *testing.T) {
	for args, want := range map[string]string{
		"--notification.nodes 0":      "--notification.nodes 0 is not within 1 and 64",
		"--dispatch.nodes 65":         "--dispatch.nodes 65 is not within 1 and 64",
		"--bind example.org":          "--bind example.org is no IP address",
		"--switchboard.port 65535":    "--switchboard.port 65535 leaves no ports for 2 nodes",
		"--telemetry.port 65530":      "--telemetry.port 65530 leaves no ports for 10 processes",
		"--operator.listen somewhere": "--operator.listen somewhere is no host:port",
	} {
		if err := parse(t, strings.Fields(args)...).check(); err == nil || err.Error() != want {
			t.Errorf("%s: want %q, got %v", args, want, err)
		}
	}
}

func TestPortInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	p := &process{role: "notification", index: 2, address: ln.Addr().String(), portFlag: "notification.port", telemetry: "127.0.0.1:0"}
	want := ln.Addr().String() + " is in use, where notification 2 is to listen: end what runs there, or choose another with --notification.port"
	if err := p.checkPorts(); err == nil || err.Error() != want {
		t.Errorf("\nwant %s\ngot  %v", want, err)
	}
}

func TestEnvironmentNamesNoOtherStores(t *testing.T) {
	got := environment([]string{
		"PATH=/bin", "MONARCH_REDIS_FILE=x", "MONARCH_DATABASE=y", "MONARCH_TEST_REDIS=z", "MONARCH_NOTIFICATION_CAPACITY=7",
	}, "MONARCH_REDIS=r")
	if want := []string{"PATH=/bin", "MONARCH_NOTIFICATION_CAPACITY=7", "MONARCH_REDIS=r"}; !slices.Equal(got, want) {
		t.Errorf("want %q, got %q", want, got)
	}
}
