package front_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/pires/go-proxyproto"

	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
)

// header is what a balancer says ahead of a client.
func header(t *testing.T, version byte, source, destination string, extensions ...proxyproto.TLV) string {
	t.Helper()
	from := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(source))
	to := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(destination))
	h := proxyproto.HeaderProxyFromAddrs(version, from, to)
	if err := h.SetTLVs(extensions); err != nil {
		t.Fatal(err)
	}
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// behind serves clients of balancers in a network; the addresses of each are
// the answer to its commands.
func behind(t *testing.T, cfg front.Config, balancers string) *network {
	t.Helper()
	cfg.ProxyFrom = balancers
	return overTCP(t, cfg, func(_ context.Context, c *front.Conn) front.Session {
		return session{do: func(context.Context, *msnp.Command) error {
			c.Send([]byte(c.RemoteAddr().String() + " " + c.LocalAddr().String() + "\r\n"))
			return nil
		}}
	})
}

const (
	// balancers has the test itself in it, elsewhere has not.
	balancers, elsewhere = "10.0.0.0/8, 127.0.0.0/8", "10.0.0.0/8"
	ask                  = "VER 1 MSNP7\r\n"
)

func TestBalancerNamesTheClient(t *testing.T) {
	n := behind(t, front.Config{}, balancers)
	for name, c := range map[string]struct{ says, want string }{
		"version 1":             {header(t, 1, "192.0.2.7:4000", "198.51.100.1:1863"), "192.0.2.7:4000 198.51.100.1:1863"},
		"version 1 of IPv6":     {header(t, 1, "[2001:db8::7]:4000", "[2001:db8::1]:1863"), "[2001:db8::7]:4000 [2001:db8::1]:1863"},
		"version 2":             {header(t, 2, "192.0.2.7:4000", "198.51.100.1:1863"), "192.0.2.7:4000 198.51.100.1:1863"},
		"version 2 of IPv6":     {header(t, 2, "[2001:db8::7]:4000", "[2001:db8::1]:1863"), "[2001:db8::7]:4000 [2001:db8::1]:1863"},
		"with extensions":       {header(t, 2, "192.0.2.7:4000", "198.51.100.1:1863", proxyproto.TLV{Type: proxyproto.PP2_TYPE_UNIQUE_ID, Value: make([]byte, 100)}), "192.0.2.7:4000 198.51.100.1:1863"},
		"of itself, version 1":  {"PROXY UNKNOWN\r\n", ""},
		"of itself, version 2":  {"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", ""},
		"the longest of a line": {"PROXY UNKNOWN " + strings.Repeat("f", 107-len("PROXY UNKNOWN \r\n")) + "\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, pieces := range [][]string{{c.says + ask}, {c.says, ask}, strings.Split(c.says+ask, "")} {
				client := n.client()
				for _, piece := range pieces {
					client.say(piece)
				}
				want := c.want
				if want == "" {
					want = client.LocalAddr().String() + " " + client.RemoteAddr().String()
				}
				client.hears(want + "\r\n")
				client.say(ask) // and it is a connection like any other
				client.hears(want + "\r\n")
			}
		})
	}
}

func TestConnectionsFromElsewhereHaveNoHeader(t *testing.T) {
	n := behind(t, front.Config{}, elsewhere)
	c := n.client()
	c.say(ask)
	c.hears(c.LocalAddr().String() + " " + c.RemoteAddr().String() + "\r\n")
	forged := n.client()
	forged.say(header(t, 1, "192.0.2.7:4000", "198.51.100.1:1863"))
	if got, _ := io.ReadAll(forged.in); strings.Contains(string(got), "192.0.2.7") {
		t.Errorf("a header from elsewhere was believed: %q", got)
	}
}

func TestBalancerWithoutAHeaderIsRefused(t *testing.T) {
	for name, says := range map[string]string{
		"none":                         ask + ask,
		"a line without an end":        "PROXY TCP4 " + strings.Repeat("x", 200),
		"a line that says nothing":     "PROXY TCP4 somebody somewhere\r\n",
		"a length beyond every bound":  "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff" + strings.Repeat("x", 1000),
		"a family that does not exist": "\r\n\r\n\x00\r\nQUIT\n\x21\xff\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			n := behind(t, front.Config{}, balancers)
			c := n.client()
			c.say(says)
			if got, _ := io.ReadAll(c.in); len(got) > 0 { // a reset will do, too
				t.Errorf("want no answer, got %q", got)
			}
			if got := n.sums("monarch_connections_refused_total", "limit")["proxy"]; got != 1 {
				t.Errorf("refused: want 1, got %d", got)
			}
		})
	}
	t.Run("half of one", func(t *testing.T) {
		n := behind(t, front.Config{}, balancers)
		c := n.client()
		c.say("PROXY TCP4 192.0.2.7")
		c.Close()
		eventually(t, "it is refused", func() bool {
			return n.sums("monarch_connections_refused_total", "limit")["proxy"] == 1
		})
	})
	t.Run("nothing at all, which asks whether somebody is there", func(t *testing.T) {
		n := behind(t, front.Config{}, balancers)
		n.client().Close()
		c := n.client()
		c.say("PROXY UNKNOWN\r\n" + ask)
		c.hears("127.0.0.1:")
		n.stop()
		if got := n.sums("monarch_connections_refused_total", "limit")["proxy"]; got != 0 {
			t.Errorf("refused: want 0, got %d", got)
		}
	})
}

// Those who have said nothing yet keep nobody waiting, nor Serve from its end.
func TestMissingHeadersKeepNobodyWaiting(t *testing.T) {
	n := behind(t, front.Config{}, balancers)
	for range 20 {
		n.client()
	}
	c := n.client()
	c.say("PROXY UNKNOWN\r\n" + ask)
	c.hears("127.0.0.1:")
	n.stop()
}

func TestLimitsAreThoseOfTheClientBehindTheBalancer(t *testing.T) {
	n := behind(t, front.Config{ConnectionsPerAddress: 1}, balancers)
	for _, c := range []struct{ from, hears string }{
		{"192.0.2.7:4000", "192.0.2.7:4000 "}, {"192.0.2.8:4000", "192.0.2.8:4000 "}, {"192.0.2.7:4001", "600 1\r\n"},
	} {
		client := n.client()
		client.say(header(t, 1, c.from, "198.51.100.1:1863") + ask)
		client.hears(c.hears)
	}
}
