package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/monarch-msn/monarch/internal/node"
)

func TestReachable(t *testing.T) {
	names := map[string]string{
		"chat.example.org": "192.0.2.1", "192.0.2.1": "192.0.2.1", "127.0.0.1": "127.0.0.1", "::ffff:127.0.0.1": "::ffff:127.0.0.1",
		"thishost": "127.0.1.1",
	}
	look := func(_ context.Context, host string) ([]netip.Addr, error) {
		if ip, ok := names[host]; ok {
			return []netip.Addr{netip.MustParseAddr(ip)}, nil
		}
		return nil, errors.New("no such host")
	}
	for name, c := range map[string]struct{ listen, advertise, doubt string }{
		"a name":                       {":1863", "chat.example.org:1863", ""},
		"an address":                   {":1863", "192.0.2.1:1863", ""},
		"nothing":                      {":1863", "", ""},
		"a slip of the finger":         {":1863", "chat.exmaple.org:1863", "chat.exmaple.org is no name that this machine can resolve: no such host"},
		"loopback":                     {":1863", "127.0.0.1:1863", "back to its own machine"},
		"loopback within IPv6":         {":1863", "[::ffff:127.0.0.1]:1863", "back to its own machine"},
		"a name for loopback":          {"0.0.0.0:1863", "thishost:1863", "back to its own machine"},
		"loopback, and nowhere else":   {"127.0.0.1:1863", "127.0.0.1:1863", ""},
		"behind something on loopback": {"127.0.0.1:1863", "other.example.org:1863", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				ctx, cancel := context.WithCancel(t.Context())
				p := &node.Process{Log: slog.New(slog.NewTextHandler(&log, nil))}
				service := reachable(p, []endpoint{{listen: c.listen, advertise: c.advertise}}, look)
				go func() { synctest.Wait(); cancel() }()
				if err := service.Run(ctx); err != nil {
					t.Fatal(err)
				}
				if got := log.String(); (c.doubt == "") != (got == "") || !strings.Contains(got, c.doubt) {
					t.Errorf("want the doubt %q, got %q", c.doubt, got)
				}
			})
		})
	}
}
