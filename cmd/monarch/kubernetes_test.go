package main

import (
	"context"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/internal/node"
)

// apiServer answers GETs with the object at each path, "" if none is to be seen,
// for those who bring the token that stands in the pod's file at that time.
func apiServer(t *testing.T, object func(path string) string) (open func() (*kubernetes, error), credentials string, asked *atomic.Int64) {
	t.Helper()
	credentials, asked = t.TempDir(), new(atomic.Int64)
	file := func(name string) string { return filepath.Join(credentials, name) }
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		token, err := os.ReadFile(file("token"))
		found := object(r.URL.EscapedPath())
		switch {
		case err != nil || r.Header.Get("Authorization") != "Bearer "+strings.TrimSpace(string(token)):
			w.WriteHeader(http.StatusUnauthorized)
		case found == "" || r.Method != http.MethodGet:
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `{"kind":"Status","message":"%s is forbidden"}`, r.URL.Path)
		default:
			fmt.Fprint(w, found)
		}
	}))
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, content := range map[string]string{"ca.crt": string(ca), "token": "t0ken\n", "namespace": "chat\n"} {
		if err := os.WriteFile(file(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	host, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
	return func() (*kubernetes, error) {
		return openKubernetes(func(name string) string { return env[name] }, credentials)
	}, credentials, asked
}

// fixed are objects that stay as they are.
func fixed(objects map[string]string) func(path string) string {
	return func(path string) string { return objects[path] }
}

const (
	serviceOf = "/api/v1/namespaces/chat/services/"
	pending   = `{"kind":"Service","status":{"loadBalancer":{}}}`
)

func balanced(ingress string) string {
	return `{"kind":"Service","status":{"loadBalancer":{"ingress":[` + ingress + `]}}}`
}

func TestKubernetesIsAsked(t *testing.T) {
	open, _, _ := apiServer(t, fixed(map[string]string{
		serviceOf + "byIP":   balanced(`{"ip":"203.0.113.5","ports":[{"port":1863}]}`),
		serviceOf + "byName": balanced(`{},{"hostname":"lb.example.org"}`),
		serviceOf + "none":   pending,
		serviceOf + "broken": `{"status":[]}`,
		"/api/v1/nodes/out":  `{"status":{"addresses":[{"type":"InternalIP","address":"10.0.0.1"},{"type":"ExternalIP","address":"198.51.100.7"}]}}`,
		"/api/v1/nodes/in":   `{"status":{"addresses":[{"type":"InternalIP","address":"10.0.0.2"}]}}`,
	}))
	k, err := open()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ask               func(context.Context, string) (string, error)
		name, want, fault string
	}{
		{k.loadBalancer, "byIP", "203.0.113.5", ""},
		{k.loadBalancer, "byName", "lb.example.org", ""},
		{k.loadBalancer, "none", "", "the load balancer of the Service none has no address yet"},
		{k.loadBalancer, "broken", "", "ask Kubernetes for services/broken: json: "},
		{k.loadBalancer, "a/b", "", "services/a/b: 403 Forbidden: /api/v1/namespaces/chat/services/a/b is forbidden"},
		{k.externalIP, "out", "198.51.100.7", ""},
		{k.externalIP, "in", "", "the node in has no ExternalIP"},
		{k.externalIP, "other", "", "ask Kubernetes for nodes/other: 403 Forbidden: /api/v1/nodes/other is forbidden"},
	} {
		got, err := c.ask(t.Context(), c.name)
		switch {
		case c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)):
			t.Errorf("%s: want the fault %q, got %v", c.name, c.fault, err)
		case c.fault == "" && (err != nil || got != c.want):
			t.Errorf("%s: want %q, got %q and %v", c.name, c.want, got, err)
		}
	}
}

func TestKubernetesIsNotThere(t *testing.T) {
	open, credentials, _ := apiServer(t, fixed(nil))
	none := func(string) string { return "" }
	if _, err := openKubernetes(none, credentials); err == nil || !strings.Contains(err.Error(), "this is no pod") {
		t.Errorf("outside a pod: got %v", err)
	}
	k, err := open()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(credentials, "token")); err != nil {
		t.Fatal(err)
	}
	if _, err := k.externalIP(t.Context(), "n"); err == nil || !strings.Contains(err.Error(), "read the token") {
		t.Errorf("without a token: got %v", err)
	}
	ca := filepath.Join(credentials, "ca.crt")
	if err := os.WriteFile(ca, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(); err == nil || !strings.Contains(err.Error(), "there is no certificate in "+ca) {
		t.Errorf("with a bad certificate: got %v", err)
	}
	if err := os.Remove(ca); err != nil {
		t.Fatal(err)
	}
	if _, err := open(); err == nil || !strings.Contains(err.Error(), "automountServiceAccountToken") {
		t.Errorf("without credentials: got %v", err)
	}
}

func TestLocate(t *testing.T) {
	objects := map[string]string{
		serviceOf + "chat-notification-2": balanced(`{"ip":"2001:db8::5"}`),
		serviceOf + "chat-clients":        balanced(`{"hostname":"lb.example.org"}`),
		serviceOf + "wildcard":            balanced(`{"ip":"0.0.0.0"}`),
		"/api/v1/nodes/worker-1":          `{"status":{"addresses":[{"type":"ExternalIP","address":"198.51.100.7"}]}}`,
	}
	open, _, asked := apiServer(t, fixed(objects))
	pod := podFlags{Name: "chat-notification-2", NodeName: "worker-1"}
	shared := pod
	shared.Service = "chat-clients"
	wildcard := pod
	wildcard.Service = "wildcard"
	for name, c := range map[string]struct {
		advertise string
		pod       podFlags
		want      string // addresses, or a part of the fault
		fault     bool
		questions int64
	}{
		"nothing is asked":              {advertise: "lan=chat.example.org:1863,wan={podName}:1864", pod: pod, want: "chat.example.org:1863 chat-notification-2:1864"},
		"the Service of the pod":        {advertise: "lan={loadBalancer}:{1863+index},wan=chat.example.org:1", pod: pod, want: "[2001:db8::5]:1865 chat.example.org:1", questions: 1},
		"another Service, for two":      {advertise: "lan={loadBalancer}:1863,wan={loadBalancer}:1864", pod: shared, want: "lb.example.org:1863 lb.example.org:1864", questions: 1},
		"the node":                      {advertise: "lan={externalIP}:1863,wan={loadBalancer}:1864", pod: shared, want: "198.51.100.7:1863 lb.example.org:1864", questions: 2},
		"an address that leads nowhere": {advertise: "lan={loadBalancer}:1863,wan=x:1", pod: wildcard, want: "nobody can be sent to a wildcard", fault: true, questions: 1},
		"what is never answered":        {advertise: "lan={externalIP}:1863,wan=x:1", pod: podFlags{NodeName: "other"}, want: "nodes/other: 403 Forbidden: /api/v1/nodes/other is forbidden", fault: true, questions: 1},
	} {
		t.Run(name, func(t *testing.T) {
			before := asked.Load()
			flags := clientFlags{Listen: "lan=:1863,wan=:1864", Advertise: c.advertise, Pod: c.pod}
			points, err := flags.endpoints()
			if err != nil {
				t.Fatal(err)
			}
			// Who waits is told to stop, and has said what for.
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var waits string
			p := &node.Process{Log: slog.New(onRecord(func(r slog.Record) {
				r.Attrs(func(a slog.Attr) bool { waits += a.String() + " "; return true })
				stop()
			}))}
			err = flags.locate(ctx, p, startFlags{StartTimeout: time.Minute}, points, open)
			if c.fault {
				if err == nil || !strings.Contains(err.Error()+waits, c.want) {
					t.Errorf("want the fault %q, got %v, %s", c.want, err, waits)
				}
			} else if got := points[0].advertise + " " + points[1].advertise; err != nil || got != c.want {
				t.Errorf("want %q, got %q and %v", c.want, got, err)
			}
			if got := asked.Load() - before; got != c.questions {
				t.Errorf("questions: want %d, got %d", c.questions, got)
			}
		})
	}
}

// TestLocateWaits has a load balancer that gets its address after a while.
func TestLocateWaits(t *testing.T) {
	var there atomic.Bool
	open, _, _ := apiServer(t, func(path string) string {
		if path == serviceOf+"p-0" && there.Load() {
			return balanced(`{"ip":"203.0.113.5"}`)
		}
		return pending
	})
	flags := clientFlags{Listen: ":1863", Advertise: "{loadBalancer}:1863", Pod: podFlags{Name: "p-0"}}
	points, err := flags.endpoints()
	if err != nil {
		t.Fatal(err)
	}
	// The first attempt is logged; then the address is there.
	p := &node.Process{Log: slog.New(onRecord(func(slog.Record) { there.Store(true) }))}
	if err := flags.locate(t.Context(), p, startFlags{StartTimeout: time.Minute}, points, open); err != nil {
		t.Fatal(err)
	}
	if got, want := points[0].advertise, "203.0.113.5:1863"; got != want {
		t.Errorf("want %s, got %s", want, got)
	}
}

// onRecord is a handler of log records that is a function.
type onRecord func(slog.Record)

func (f onRecord) Enabled(context.Context, slog.Level) bool { return true }

func (f onRecord) Handle(_ context.Context, r slog.Record) error {
	f(r)
	return nil
}

func (f onRecord) WithAttrs([]slog.Attr) slog.Handler { return f }

func (f onRecord) WithGroup(string) slog.Handler { return f }
