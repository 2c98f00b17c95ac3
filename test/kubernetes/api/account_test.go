package api

import (
	"slices"
	"strings"
	"testing"

	"github.com/monarch-msn/monarch/test/kubernetes/lab"
)

// rights are the lines of what an account may do in a namespace.
func rights(t *testing.T, namespace, account string) []string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(kubectl(t, "", "auth", "can-i", "--list", "--no-headers", "--namespace", namespace,
		"--as=system:serviceaccount:"+namespace+":"+account,
		"--as-group=system:serviceaccounts", "--as-group=system:serviceaccounts:"+namespace, "--as-group=system:authenticated")) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines
}

// TestAddressAccount compares what the account of pods that ask for their address
// may do with what every account may.
func TestAddressAccount(t *testing.T) {
	t.Log("promise: who asks for the addresses of load balancers may get the Services concerned, who asks for that of his node may get nodes, and nobody more")
	for name, c := range map[string]struct {
		file, level string
		want        []string
	}{
		"load-balancers": {"loadbalancer.yaml", lab.Restricted, []string{
			"services [] [monarch-dispatch] [get]", "services [] [monarch-notification-0] [get]", "services [] [monarch-notification-1] [get]",
			"services [] [monarch-switchboard-0] [get]", "services [] [monarch-switchboard-1] [get]",
		}},
		"one-load-balancer": {"shared.yaml", lab.Restricted, []string{
			"services [] [monarch-dispatch] [get]", "services [] [monarch-notification-clients] [get]", "services [] [monarch-switchboard-clients] [get]",
		}},
		"nodes": {"external-ip.yaml", lab.Privileged, []string{"nodes [] [] [get]"}},
	} {
		t.Run(name, func(t *testing.T) {
			namespace(t, name, c.level)
			secret(t, name, "monarch")
			if err := install(t, name, c.file); err != nil {
				t.Fatal(err)
			}
			defer uninstall(t, name)
			all := rights(t, name, "default")
			var got []string
			for _, line := range rights(t, name, "monarch-address") {
				if !slices.Contains(all, line) {
					got = append(got, line)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("want more than everybody: %q, got %q", c.want, got)
			}
			if own := rights(t, name, "monarch"); !slices.Equal(own, all) {
				t.Errorf("want no more for all other pods than for everybody, got %q and %q", own, all)
			}
		})
	}
}
