package rpc

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/grpc/resolver"
)

// list is a target that names its servers one by one, each by host:port: what
// stands where no name stands for all of them. A host is looked up again
// whenever its server is connected to.
type list []string

// listScheme marks the target within gRPC. It is never written by anybody.
const listScheme = "monarch-list"

// CheckTarget says what is wrong with a target of [Dial]; nil if nothing is.
func CheckTarget(target string) error {
	_, err := parseTarget(target)
	return err
}

// parseTarget returns the servers of "host:port,host:port", none of a target
// that is no list.
func parseTarget(target string) (list, error) {
	if !strings.Contains(target, ",") {
		return nil, checkSingle(target)
	}
	var l list
	for entry := range strings.SplitSeq(target, ",") {
		entry = strings.TrimSpace(entry)
		if err := checkServer(entry); err != nil {
			return nil, err
		}
		l = append(l, entry)
	}
	return l, nil
}

// checkSingle checks what gRPC would take as it is: a scheme that it does not
// know it would look up as part of a name, and where a port is missing it would
// call the one of HTTPS.
func checkSingle(target string) error {
	name := target
	if u, err := url.Parse(target); err == nil && resolver.Get(u.Scheme) != nil {
		if u.Scheme != "dns" {
			return nil // what it looks like is up to the scheme
		}
		name = cmp.Or(u.Opaque, strings.TrimPrefix(u.Path, "/"))
	}
	return checkServer(name)
}

func checkServer(entry string) error {
	host, port, err := net.SplitHostPort(entry)
	n, notNumber := strconv.ParseUint(port, 10, 16)
	if err != nil || notNumber != nil || n == 0 || host == "" || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r == '/' }) {
		return fmt.Errorf("want host:port, not %q", entry)
	}
	return nil
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
