package main

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/monarch-msn/monarch/internal/node"
)

func TestHealth(t *testing.T) {
	clearEnv(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			_, _ = w.Write([]byte("ok\n"))
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte("not ready: starting\nstore: away\n"))
	}))
	addr := server.Listener.Addr().String()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	check := func(status int, stdout, stderr string, args ...string) {
		t.Helper()
		var out, complaint bytes.Buffer
		got := run(t.Context(), append([]string{"health"}, args...), &out, &complaint)
		if got != status || out.String() != stdout || !strings.Contains(complaint.String(), stderr) || strings.Count(complaint.String(), "\n") > 1 {
			t.Errorf("%v: want status %d, %q and %q, got %d, %q and %q", args, status, stdout, stderr, got, out.String(), complaint.String())
		}
	}
	check(node.ExitOK, "ok\n", "", "--telemetry.listen", addr)
	check(node.ExitFault, "", "monarch: not ready: starting; store: away\n", "--telemetry.listen", addr, "--ready")
	// A process that listens on a wildcard is asked by the same value.
	for _, wildcard := range []string{":", "0.0.0.0:"} {
		t.Setenv("MONARCH_TELEMETRY_LISTEN", wildcard+port)
		check(node.ExitOK, "ok\n", "")
	}
	check(node.ExitUsage, "", "names no listener", "--telemetry.listen", "")
	server.Close()
	check(node.ExitFault, "", "monarch: ask http://"+addr+"/healthz: ", "--telemetry.listen", addr)
}
