package cluster

import (
	"fmt"
	"net"
	"net/netip"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// AddressFor returns where a client that came in by the named listener reaches
// node n, as host:port. A node that has no listener of that name is reached by
// its first. An address without a host means the host under which the client
// reached this process, local: that is how a network in one process, bound to
// a wildcard, needs no configured name.
func AddressFor(n *clusterv1.Node, listener string, local netip.Addr) (string, error) {
	if len(n.GetAddresses()) == 0 {
		return "", fmt.Errorf("node %s has no address", n.GetId())
	}
	chosen := n.GetAddresses()[0]
	for _, a := range n.GetAddresses() {
		if a.GetListener() == listener {
			chosen = a
			break
		}
	}
	host, port, err := net.SplitHostPort(chosen.GetAddress())
	if err != nil {
		return "", fmt.Errorf("address %q of node %s: %w", chosen.GetAddress(), n.GetId(), err)
	}
	if host == "" {
		host = local.Unmap().String()
	}
	return net.JoinHostPort(host, port), nil
}
