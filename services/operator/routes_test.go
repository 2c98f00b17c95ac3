package operator

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

func TestTokenIsAskedFor(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	fill := strings.NewReplacer("{email}", "alice@example.com", "{node}", "x")
	for _, rt := range n.service.routes() {
		method, path, _ := strings.Cut(rt.pattern, " ")
		path = fill.Replace(path)
		for _, authorization := range []string{"", "Bearer", "Bearer ", "Bearer wrong", testToken, "Basic " + testToken, "Bearer " + testToken + "x"} {
			status, body := n.callWith(method, path, "{}", authorization)
			if rt.open && status != http.StatusOK {
				t.Errorf("%s with %q: status %d, want 200", rt.pattern, authorization, status)
			}
			if !rt.open && status != http.StatusUnauthorized {
				t.Errorf("%s with %q: status %d, want 401: %s", rt.pattern, authorization, status, body)
			}
		}
		if status, _ := n.call(method, path, "{}"); status == http.StatusUnauthorized {
			t.Errorf("%s with the token: status 401", rt.pattern)
		}
	}
	if status, _ := n.callWith("GET", "/api/v1/accounts", "", "bearer  "+testToken); status != http.StatusOK {
		t.Errorf("scheme in lower case: status %d, want 200", status)
	}
}

// Of two tokens each opens the interface, until one of them goes.
func TestTokenIsChanged(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	var tokens atomic.Pointer[[]string]
	n.server.Config.Handler = New(Config{}, Deps{
		Accounts: n.accounts, Cluster: n.cluster, Tokens: func() []string { return *tokens.Load() },
	})
	for _, now := range [][]string{{"old"}, {"old", "new"}, {"new", "old"}, {"new"}} {
		tokens.Store(&now)
		for _, token := range []string{"old", "new"} {
			want := http.StatusUnauthorized
			if slices.Contains(now, token) {
				want = http.StatusOK
			}
			if status, _ := n.callWith("GET", "/api/v1/accounts", "", "Bearer "+token); status != want {
				t.Errorf("%s while there are %v: status %d, want %d", token, now, status, want)
			}
		}
	}
}

func TestEmptyTokenOpensNothing(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	bare := New(Config{}, Deps{Accounts: n.accounts, Cluster: n.cluster})
	if err := bare.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "token") {
		t.Errorf("run without a token: %v, want a refusal that names it", err)
	}
	n.server.Config.Handler = bare
	for _, authorization := range []string{"", "Bearer ", "Bearer"} {
		if status, _ := n.callWith("GET", "/api/v1/accounts", "", authorization); status != http.StatusUnauthorized {
			t.Errorf("with %q: status %d, want 401", authorization, status)
		}
	}
}

func TestBadRequests(t *testing.T) {
	n := startNetwork(t, Config{BodyBytes: 1000}, nil)
	for _, tt := range []struct {
		name, method, path, body string
		want                     int
	}{
		{"no body", "POST", "/api/v1/accounts", "", http.StatusBadRequest},
		{"not JSON", "POST", "/api/v1/accounts", "email=alice", http.StatusBadRequest},
		{"JSON cut off", "POST", "/api/v1/accounts", `{"email":"alice@example.com"`, http.StatusBadRequest},
		{"another type", "POST", "/api/v1/accounts", `{"email":1}`, http.StatusBadRequest},
		{"an array", "POST", "/api/v1/accounts", `[]`, http.StatusBadRequest},
		{"an unknown field", "POST", "/api/v1/accounts", `{"email":"alice@example.com","pass":"secret"}`, http.StatusBadRequest},
		{"two values", "POST", "/api/v1/accounts", `{"email":"alice@example.com","password":"x"}{}`, http.StatusBadRequest},
		{"text behind", "POST", "/api/v1/accounts", `{"email":"alice@example.com","password":"x"} x`, http.StatusBadRequest},
		{"too long", "POST", "/api/v1/accounts", `{"email":"` + strings.Repeat("x", 1000) + `"}`, http.StatusRequestEntityTooLarge},
		{"blanks too long", "POST", "/api/v1/accounts", `{"email":"alice@example.com","password":"x"}` + strings.Repeat(" ", 1000), http.StatusRequestEntityTooLarge},
		{"an unknown path", "GET", "/api/v1/people", "", http.StatusNotFound},
		{"an unknown root", "GET", "/", "", http.StatusNotFound},
		{"a wrong method", "PATCH", "/api/v1/accounts", "", http.StatusMethodNotAllowed},
	} {
		t.Run(tt.name, func(t *testing.T) { n.refused(tt.want, tt.method, tt.path, tt.body) })
	}
	req, err := http.NewRequest("PATCH", n.server.URL+"/api/v1/accounts", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := n.server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, want := resp.Header.Get("Allow"), "GET, HEAD, POST"; got != want {
		t.Errorf("Allow: %q, want %q", got, want)
	}
}

func TestDescriptionIsServed(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	if status, body := n.callWith("GET", "/api/v1/openapi.yaml", "", ""); status != http.StatusOK || body != string(openAPI) {
		t.Errorf("status %d and %d bytes, want 200 and the %d bytes of openapi.yaml", status, len(body), len(openAPI))
	}
	if status, body := n.callWith("GET", "/healthz", "", ""); status != http.StatusOK || body != "ok\n" {
		t.Errorf("health: status %d and %q", status, body)
	}
}

// heldAccounts lets a call wait until the test goes on.
type heldAccounts struct {
	directoryv1.AccountsClient
	entered, release chan struct{}
}

func (h heldAccounts) ListAccounts(ctx context.Context, _ *directoryv1.ListAccountsRequest, _ ...grpc.CallOption) (*directoryv1.ListAccountsResponse, error) {
	h.entered <- struct{}{}
	select {
	case <-h.release:
		return &directoryv1.ListAccountsResponse{}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func newHeldAccounts() heldAccounts {
	return heldAccounts{entered: make(chan struct{}, 1), release: make(chan struct{})}
}

func TestRequestsAtOnceAreBounded(t *testing.T) {
	held := newHeldAccounts()
	n := startNetwork(t, Config{MaxRequests: 1}, held)
	first := make(chan int, 1)
	go func() {
		status, _ := n.call("GET", "/api/v1/accounts", "")
		first <- status
	}()
	n.wait(held.entered, "the first request")
	n.refused(http.StatusServiceUnavailable, "GET", "/api/v1/nodes", "")
	if status, _ := n.call("GET", "/healthz", ""); status != http.StatusOK {
		t.Errorf("health meanwhile: status %d, want 200", status)
	}
	close(held.release)
	if status := <-first; status != http.StatusOK {
		t.Errorf("first request: status %d, want 200", status)
	}
	// The slot was given back before the answer was written.
	if status, _ := n.call("GET", "/api/v1/nodes", ""); status != http.StatusOK {
		t.Errorf("request afterwards: status %d, want 200", status)
	}
}

// TestRunEndsGracefully ends a service while a request is under way: that
// request is answered, no other connection is taken, and Run returns nil.
func TestRunEndsGracefully(t *testing.T) {
	held := newHeldAccounts()
	n := startNetwork(t, Config{}, nil)
	ln := listen(t)
	s := New(Config{}, Deps{Accounts: held, Cluster: n.cluster, Timing: quick, Tokens: testTokens, Listener: ln})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	answered := make(chan string, 1)
	go func() {
		req, _ := http.NewRequest("GET", "http://"+ln.Addr().String()+"/api/v1/accounts", http.NoBody)
		req.Header.Set("Authorization", "Bearer "+testToken)
		resp, err := http.DefaultTransport.(*http.Transport).Clone().RoundTrip(req)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		answered <- resp.Status + " " + string(body)
	}()
	n.wait(held.entered, "the request")
	cancel()
	n.eventually("the listener to close", func() bool {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	close(held.release)
	if got, want := <-answered, "200 OK {\"accounts\":[]}\n"; got != want {
		t.Errorf("request under way: %q, want %q", got, want)
	}
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
}

func TestSecretsStayOutOfTheLog(t *testing.T) {
	n := startNetwork(t, Config{}, nil)
	n.call("POST", "/api/v1/accounts", `{"email":"alice@example.com","password":"sesame"}`)
	n.call("POST", "/api/v1/accounts", `{"email":"alice@example.com","password":"sesame"}`)
	n.call("POST", "/api/v1/accounts", `{"email":"alice","password":"sesame"}`)
	n.call("POST", "/api/v1/accounts/batch", `{"accounts":[{"email":"bob@example.com","password":"sesame"}]}`)
	n.call("PUT", "/api/v1/accounts/bob@example.com/password", `{"password":"sesame2"}`)
	n.callWith("GET", "/api/v1/accounts", "", "Bearer sesame")
	log := n.log.String()
	for _, secret := range []string{testToken, `"sesame`, "=sesame"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q:\n%s", secret, log)
		}
	}
	for _, trail := range []string{"email=bob@example.com", `route="POST /api/v1/accounts"`, "status=401"} {
		if !strings.Contains(log, trail) {
			t.Errorf("the log lacks %q:\n%s", trail, log)
		}
	}
}

func TestRequestsAreCounted(t *testing.T) {
	reader := metric.NewManualReader()
	meter := metric.NewMeterProvider(metric.WithReader(reader)).Meter("test")
	n := startNetwork(t, Config{}, nil)
	n.server.Config.Handler = New(Config{}, Deps{Accounts: n.accounts, Cluster: n.cluster, Timing: quick, Tokens: testTokens, Meter: meter})
	n.call("GET", "/api/v1/accounts", "")
	n.call("GET", "/api/v1/accounts/alice@example.com", "")
	var got metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	labels := func(set attribute.Set) string {
		var values []string
		for _, key := range []attribute.Key{"service", "verb", "result"} {
			value, _ := set.Value(key)
			values = append(values, value.AsString())
		}
		return strings.Join(values, "|")
	}
	counted, timed := map[string]int64{}, map[string]uint64{}
	for _, scope := range got.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					counted[m.Name+"|"+labels(p.Attributes)] = p.Value
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					timed[m.Name+"|"+labels(p.Attributes)] = p.Count
				}
			}
		}
	}
	for _, want := range []string{
		"operator|GET /api/v1/accounts|ok",
		"operator|GET /api/v1/accounts/{email}|refused",
	} {
		if c, s := counted["monarch_commands|"+want], timed["monarch_command_seconds|"+want]; c != 1 || s != 1 {
			t.Errorf("%s: counted %d and timed %d, want 1 each, of %v and %v", want, c, s, counted, timed)
		}
	}
}
