package network

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A Host is a machine of its own as far as the network goes: it has its own
// interfaces and one address, and is wired to a switch together with the other
// hosts of the same [Network] and with the test itself. Its methods, and the
// functions that take hosts, may be called from any goroutine until the test is
// over.
type Host struct {
	// Name says which it is, in failures: that of its process.
	Name string

	addr   netip.Addr
	thread *thread // in the host's network
}

// Addr returns the host's address, without a port.
func (h *Host) Addr() string { return h.addr.String() }

// port returns host:port of a port of the host.
func (h *Host) port(port string) string { return net.JoinHostPort(h.Addr(), port) }

// nobody is a hardware address that no interface has.
const nobody = "02:00:00:00:00:01"

// Cut has everything lost that one host sends to the other, in both directions
// and without a word, as by a broken switch: connections hang, new ones time
// out, and nobody is told. Other hosts, and the test, are reached as before. A
// cut may be made again.
//
// Both hosts are made to believe that the other one has a hardware address
// which is nobody's. That needs no packet filter, which a kernel may lack, and
// unlike a route to nowhere it gives no error to who sends.
func Cut(a, b *Host) error {
	return errors.Join(a.misdirect(b), b.misdirect(a))
}

func (h *Host) misdirect(other *Host) error {
	if err := h.ip("neighbour replace " + other.Addr() + " lladdr " + nobody + " dev eth0 nud permanent"); err != nil {
		return fmt.Errorf("cut %s off from %s: %w", h.Name, other.Name, err)
	}
	return nil
}

// Mend ends what Cut began. What was sent meanwhile on connections that still
// stand arrives when it is sent again.
func Mend(a, b *Host) error {
	return errors.Join(a.redirect(b), b.redirect(a))
}

func (h *Host) redirect(other *Host) error {
	// Where nothing is cut there may be no such entry to delete.
	if err := h.ip("neighbour replace "+other.Addr()+" lladdr "+nobody+" dev eth0 nud permanent",
		"neighbour delete "+other.Addr()+" dev eth0"); err != nil {
		return fmt.Errorf("mend the way from %s to %s: %w", h.Name, other.Name, err)
	}
	return nil
}

// Part cuts each of these hosts off from each of those.
func Part(these, those []*Host) error { return pairs(these, those, Cut) }

// Rejoin mends what Part cut.
func Rejoin(these, those []*Host) error { return pairs(these, those, Mend) }

func pairs(these, those []*Host, do func(a, b *Host) error) error {
	var errs []error
	for _, a := range these {
		for _, b := range those {
			errs = append(errs, do(a, b))
		}
	}
	return errors.Join(errs...)
}

// ip runs commands of ip in the host's network.
func (h *Host) ip(commands ...string) error { return h.thread.ip(commands...) }

func (t *thread) ip(commands ...string) error {
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	err := t.start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return fmt.Errorf("ip %s: %w %s", strings.Join(commands, "; ip "), err, strings.TrimSpace(out.String()))
	}
	return nil
}

// lan is a switch, to which hosts are wired and the test itself.
type lan struct {
	t      testing.TB
	prefix netip.Prefix
	bridge *thread // in the switch's network, where there is nothing else
	own    string  // the test's interface

	mu    sync.Mutex
	ports int
}

// startLAN makes a switch that nothing is wired to but the test. It and
// whatever is wired to it is gone when the test is over, also if the test is
// killed. Where network namespaces cannot be made it fails the test.
func startLAN(t testing.TB) *lan {
	t.Helper()
	fail := func(err error) {
		t.Fatalf("give every process a host of its own: %v", err)
	}
	if _, err := exec.LookPath("ip"); err != nil {
		fail(fmt.Errorf("the program ip is missing, which the package iproute2 has: %w", err))
	}
	if launcher == nil {
		fail(errors.New("TestMain does not call network.Main"))
	}
	prefix, err := freePrefix()
	if err != nil {
		fail(err)
	}
	l := &lan{t: t, prefix: prefix, bridge: newThread()}
	t.Cleanup(l.bridge.stop)
	id, err := l.bridge.separate()
	if err != nil {
		fail(err)
	}
	if err := l.bridge.ip("link add br0 type bridge", "link set br0 up"); err != nil {
		fail(err)
	}
	// The other end goes with the switch's network.
	l.own = fmt.Sprintf("monarch%07x", rand.Uint32N(1<<28))
	if err := launcher.ip(
		fmt.Sprintf("link add %s type veth peer name test netns %d", l.own, id),
		fmt.Sprintf("address add %v dev %s", netip.PrefixFrom(prefix.Addr().Next(), prefix.Bits()), l.own),
		fmt.Sprintf("link set %s up", l.own),
	); err != nil {
		fail(err)
	}
	t.Cleanup(func() {
		if err := launcher.ip("link delete " + l.own); err != nil {
			t.Errorf("remove the test from its switch: %v", err)
		}
	})
	if err := l.bridge.ip("link set test master br0 up"); err != nil {
		fail(err)
	}
	l.ports++
	return l
}

// host wires another host to the switch.
func (l *lan) host(name string) *Host {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ports++
	addr := l.prefix.Addr().As4()
	addr[3] += byte(l.ports)
	h := &Host{Name: name, addr: netip.AddrFrom4(addr), thread: newThread()}
	l.t.Cleanup(h.thread.stop)
	fail := func(err error) { l.t.Fatalf("give %s a host of its own: %v", name, err) }
	id, err := h.thread.separate()
	if err != nil {
		fail(err)
	}
	port := fmt.Sprintf("port%d", l.ports)
	if err := l.bridge.ip(
		fmt.Sprintf("link add %s type veth peer name eth0 netns %d", port, id),
		fmt.Sprintf("link set %s master br0 up", port),
	); err != nil {
		fail(err)
	}
	if err := h.ip(
		"link set lo up",
		fmt.Sprintf("address add %v dev eth0", netip.PrefixFrom(h.addr, l.prefix.Bits())),
		"link set eth0 up",
	); err != nil {
		fail(err)
	}
	return h
}

// prefixTries is how many networks are looked at until one is found free.
const prefixTries = 100

// freePrefix returns a private network that this machine has no part in.
func freePrefix() (netip.Prefix, error) {
	taken, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("find a free network: %w", err)
	}
	for range prefixTries {
		r := rand.Uint32()
		prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(r >> 8), byte(r), 0}), 24)
		if !slices.ContainsFunc(taken, func(a net.Addr) bool {
			other, err := netip.ParsePrefix(a.String())
			return err == nil && prefix.Overlaps(other.Masked())
		}) {
			return prefix, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("find a free network below 10.0.0.0/8: %d tries found none", prefixTries)
}
