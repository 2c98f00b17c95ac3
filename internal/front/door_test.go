package front

import (
	"net/netip"
	"testing"
	"time"
)

// manyAddresses are as many IPv4 addresses.
func manyAddresses(n int) []netip.Addr {
	all := make([]netip.Addr, n)
	for i := range all {
		all[i] = netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
	}
	return all
}

func TestTableOfRatesIsBounded(t *testing.T) {
	d := newDoor(Config{AcceptRate: 1, AcceptBurst: 1})
	now := time.Unix(1e9, 0)
	for _, a := range manyAddresses(maxRecent + 1000) {
		if got := d.enter(a, now); got != "" {
			t.Fatalf("first connection of %v: refused for %q", a, got)
		}
		if len(d.recent) > maxRecent {
			t.Fatalf("addresses known: want at most %d, got %d", maxRecent, len(d.recent))
		}
	}
}

func TestAddressesWithAWholeBurstAreForgottenFirst(t *testing.T) {
	d := newDoor(Config{AcceptRate: 1, AcceptBurst: 1})
	now := time.Unix(1e9, 0)
	all := manyAddresses(maxRecent + 1)
	for _, a := range all[:maxRecent-1] {
		d.enter(a, now)
	}
	now = now.Add(time.Minute)
	busy, stranger := all[maxRecent-1], all[maxRecent]
	d.enter(busy, now)
	d.enter(stranger, now)
	if got := len(d.recent); got != 2 {
		t.Errorf("addresses known: want 2, got %d", got)
	}
	if got := d.enter(busy, now); got != refusedRate {
		t.Errorf("second connection at the same moment: want it refused for %q, got %q", refusedRate, got)
	}
}

func TestHouseholds(t *testing.T) {
	d := newDoor(Config{ConnectionsPerAddress: 1})
	now := time.Now()
	for _, tt := range []struct {
		addr string
		want refusal
	}{
		{"192.0.2.1", ""},
		{"192.0.2.2", ""},
		{"::ffff:192.0.2.1", refusedAddress},
		{"2001:db8::1", ""},
		{"2001:db8::2", refusedAddress},
		{"2001:db8:0:1::1", ""},
	} {
		if got := d.enter(netip.MustParseAddr(tt.addr), now); got != tt.want {
			t.Errorf("%s: want %q, got %q", tt.addr, tt.want, got)
		}
	}
	for range 3 {
		if got := d.enter(netip.Addr{}, now); got != "" {
			t.Errorf("a connection without an address: refused for %q", got)
		}
	}
	for _, a := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::ffff", "2001:db8:0:1::2"} {
		d.leave(netip.MustParseAddr(a))
	}
	d.leave(netip.Addr{})
	if len(d.open) != 0 {
		t.Errorf("addresses counted after all left: want none, got %v", d.open)
	}
}
