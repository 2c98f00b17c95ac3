package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// dialer opens connections, from one local address after the other.
type dialer struct {
	dispatch string // with an IP address in place of a name
	sources  []net.Dialer
}

// newDialer looks dispatch up, once for all.
func newDialer(ctx context.Context, dispatch string, sources []netip.Addr) (*dialer, error) {
	host, port, err := net.SplitHostPort(dispatch)
	if err != nil {
		return nil, err
	}
	addrs, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", host, err)
	}
	d := &dialer{dispatch: net.JoinHostPort(addrs[0], port)}
	if len(sources) == 0 {
		d.sources = []net.Dialer{{KeepAlive: -1}}
	}
	for _, s := range sources {
		d.sources = append(d.sources, net.Dialer{
			KeepAlive: -1,
			LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(s, 0)),
			// Ports are then chosen by the whole pair of addresses, so that
			// there are as many from each source to each server.
			ControlContext: bindWithoutPort,
		})
	}
	return d, nil
}

// dial connects a client, always from the same address.
func (d *dialer) dial(ctx context.Context, c *client, addr string) (*conn, error) {
	nc, err := d.sources[int(c.id)%len(d.sources)].DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return newConn(c.run, nc), nil
}

// maxSources bounds what a network of addresses stands for.
const maxSources = 4096

// ParseSource reads a local address to connect from, or a network of them:
// one of loopback stands for all of its hosts, any other for those that are
// this machine's own.
func ParseSource(s string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return own([]netip.Addr{addr}, s)
	}
	network, err := netip.ParsePrefix(s)
	if err != nil {
		return nil, fmt.Errorf("%q is neither an address nor a network", s)
	}
	network = network.Masked()
	if !network.Addr().IsLoopback() {
		return own(nil, s)
	}
	var addrs []netip.Addr
	for a := network.Addr(); network.Contains(a); a = a.Next() {
		if len(addrs) == maxSources {
			return nil, fmt.Errorf("%s has more than %d addresses", s, maxSources)
		}
		addrs = append(addrs, a)
	}
	if len(addrs) > 2 && addrs[0].Is4() {
		addrs = addrs[1 : len(addrs)-1] // All but the network's own and the broadcast address.
	}
	return addrs, nil
}

// own returns those of addrs, or of the network s where there are none, from
// which this machine may connect.
func own(addrs []netip.Addr, s string) ([]netip.Addr, error) {
	if len(addrs) == 1 && addrs[0].IsLoopback() && addrs[0].Is4() {
		return addrs, nil
	}
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list the addresses of this machine: %w", err)
	}
	var found []netip.Addr
	for _, i := range interfaces {
		p, err := netip.ParsePrefix(i.String())
		if err != nil {
			continue
		}
		if len(addrs) == 1 && p.Addr() == addrs[0] {
			return addrs, nil
		}
		if network, err := netip.ParsePrefix(s); err == nil && network.Contains(p.Addr()) {
			found = append(found, p.Addr())
		}
	}
	if len(found) == 0 {
		return nil, errors.New(s + " is not an address of this machine")
	}
	return found, nil
}
