package rpc

import (
	"fmt"
	"net"
	"strings"

	"google.golang.org/grpc/resolver"
)

// list is a target that names its servers one by one, each by host:port: what
// stands where no name stands for all of them. A host is looked up again
// whenever its server is connected to.
type list []string

// listScheme marks the target within gRPC. It is never written by anybody.
const listScheme = "monarch-list"

// parseList reads "host:port,host:port". ok is false if the target is no list.
func parseList(target string) (l list, ok bool, err error) {
	if !strings.Contains(target, ",") {
		return nil, false, nil
	}
	for entry := range strings.SplitSeq(target, ",") {
		entry = strings.TrimSpace(entry)
		host, port, err := net.SplitHostPort(entry)
		if err == nil && (host == "" || port == "") {
			err = fmt.Errorf("%q is not host:port", entry)
		}
		if err != nil {
			return nil, true, err
		}
		l = append(l, entry)
	}
	return l, true, nil
}

// Build implements resolver.Builder.
func (l list) Build(_ resolver.Target, conn resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	var state resolver.State
	for _, addr := range l {
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: addr}}})
	}
	return l, conn.UpdateState(state)
}

// Scheme implements resolver.Builder.
func (list) Scheme() string { return listScheme }

// ResolveNow implements resolver.Resolver: a list never changes.
func (list) ResolveNow(resolver.ResolveNowOptions) {}

// Close implements resolver.Resolver.
func (list) Close() {}
