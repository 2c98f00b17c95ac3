package cluster

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/monarch-msn/monarch/test/cluster/network"
)

// A collector takes spans as a collector of OpenTelemetry does, by OTLP over
// HTTP.
type collector struct {
	t      *testing.T
	server *httptest.Server

	mu      sync.Mutex
	spans   []span
	arrived chan struct{} // closed and replaced when spans arrive
}

// span is what a test wants to know of one.
type span struct {
	name              string
	trace, id, parent string
	// service is the role that it comes from, instance the process.
	service, instance string
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{t: t, arrived: make(chan struct{})}
	c.server = httptest.NewServer(c)
	t.Cleanup(c.server.Close)
	return c
}

// env has a process export its spans here, without waiting for many of them.
func (c *collector) env() []string {
	return []string{
		"OTEL_TRACES_EXPORTER=otlp",
		"OTEL_METRICS_EXPORTER=none",
		"OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.server.URL,
		"OTEL_BSP_SCHEDULE_DELAY=50",
	}
}

// maxExport bounds one request.
const maxExport = 16 << 20

// ServeHTTP takes one batch of spans.
func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(http.MaxBytesReader(w, r.Body, maxExport))
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = unzipped
	}
	b, err := io.ReadAll(body)
	request := new(collectorv1.ExportTraceServiceRequest)
	if err == nil {
		err = proto.Unmarshal(b, request)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		c.t.Errorf("%s %s is no export of spans: %v", r.Method, r.URL.Path, err)
		http.Error(w, "not an export of spans", http.StatusBadRequest)
		return
	}
	c.take(request.GetResourceSpans())
	answer, err := proto.Marshal(new(collectorv1.ExportTraceServiceResponse))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(answer) // an exporter that hung up tries again
}

func (c *collector) take(resources []*tracev1.ResourceSpans) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range resources {
		var from span
		for _, a := range resource.GetResource().GetAttributes() {
			switch a.GetKey() {
			case "service.name":
				from.service = a.GetValue().GetStringValue()
			case "service.instance.id":
				from.instance = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				from.name = s.GetName()
				from.trace, from.id, from.parent = string(s.GetTraceId()), string(s.GetSpanId()), string(s.GetParentSpanId())
				c.spans = append(c.spans, from)
			}
		}
	}
	close(c.arrived)
	c.arrived = make(chan struct{})
}

// await waits until the spans that have arrived satisfy a condition, and fails
// the test with what was waited for if they never do.
func (c *collector) await(what string, satisfied func([]span) bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), network.Patience)
	defer cancel()
	for {
		c.mu.Lock()
		spans, arrived := c.spans, c.arrived
		c.mu.Unlock()
		if satisfied(spans) {
			return
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			for _, s := range spans {
				c.t.Logf("trace %x span %x parent %x: %s of %s %s", s.trace, s.id, s.parent, s.name, s.service, s.instance)
			}
			c.t.Fatalf("no %s within %v", what, network.Patience)
		}
	}
}

// contains reports whether one of the spans is what match says.
func contains(spans []span, match func(span) bool) bool {
	for _, s := range spans {
		if match(s) {
			return true
		}
	}
	return false
}
