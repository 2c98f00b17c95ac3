package node

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

func TestLogCarriesTheTrace(t *testing.T) {
	tracers := sdktrace.NewTracerProvider()
	ctx, span := tracers.Tracer("test").Start(t.Context(), "span")
	defer span.End()

	var b bytes.Buffer
	log := newLogger(&b, LogFlags{LogFormat: "json"}).With("node", "n1")
	log.InfoContext(ctx, "in a span")
	log.Info("outside")

	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("want 2 lines, got %d:\n%s", len(lines), b.String())
	}
	var in, out map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &in); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(lines[1]), &out); err != nil {
		t.Fatal(err)
	}
	if want, got := span.SpanContext().TraceID().String(), in["trace_id"]; got != want {
		t.Errorf("trace_id: want %q, got %q", want, got)
	}
	if want, got := span.SpanContext().SpanID().String(), in["span_id"]; got != want {
		t.Errorf("span_id: want %q, got %q", want, got)
	}
	if in["node"] != "n1" {
		t.Errorf("node: want n1, got %v", in["node"])
	}
	if _, ok := out["trace_id"]; ok {
		t.Errorf("outside a span: want no trace_id, got %v", out)
	}
}

func TestLogLevel(t *testing.T) {
	var b bytes.Buffer
	log := newLogger(&b, LogFlags{LogFormat: "text", LogLevel: slog.LevelWarn})
	log.Info("less")
	log.WithGroup("g").Warn("more", "k", 1)
	if got := b.String(); strings.Contains(got, "less") || !strings.Contains(got, "msg=more g.k=1") {
		t.Errorf("at level warn: want only the warning, got %q", got)
	}
}
