package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/monarch-msn/monarch/internal/node"
)

// lookupTimeout bounds one question to the resolver.
const lookupTimeout = 10 * time.Second

// lookup asks the resolver for the addresses of a host.
type lookup func(ctx context.Context, host string) ([]netip.Addr, error)

// resolve is the lookup of this machine.
func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// reachable looks once at the addresses that clients are sent to, and tells log
// and /readyz?verbose of those that cannot be right. It does not connect: a
// router may lead only those who come from outside to an address, and the other
// way round.
func reachable(p *node.Process, points []endpoint, look lookup) node.Service {
	return node.Service{Name: "look at the addresses", Run: func(ctx context.Context) error {
		for _, point := range points {
			if point.advertise == "" {
				continue
			}
			if doubt := doubtful(ctx, point, look); doubt != "" {
				p.Log.Warn("clients may not reach the advertised address", "address", point.advertise, "because", doubt)
				p.Detail("doubt about "+point.advertise, doubt)
			}
		}
		<-ctx.Done()
		return nil
	}}
}

// doubtful says what speaks against an address; "" if nothing does.
func doubtful(ctx context.Context, point endpoint, look lookup) string {
	listens, _, err := net.SplitHostPort(point.listen)
	if err != nil {
		return "" // the listener has its own words for that
	}
	if ip, err := netip.ParseAddr(listens); err == nil && ip.IsLoopback() {
		return "" // a network on one machine, or behind something on it
	}
	host, _, err := net.SplitHostPort(point.advertise)
	if err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	addrs, err := look(ctx, host) // of an address: itself
	if err != nil || len(addrs) == 0 {
		return fmt.Sprintf("%s is no name that this machine can resolve: %v", host, err)
	}
	for _, addr := range addrs {
		if !addr.Unmap().IsLoopback() {
			return ""
		}
	}
	return "it leads each client back to its own machine"
}
