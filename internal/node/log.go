package node

import (
	"context"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// newLogger logs to w in the format of flags.
func newLogger(w io.Writer, flags LogFlags) *slog.Logger {
	opts := &slog.HandlerOptions{Level: flags.LogLevel}
	var h slog.Handler = slog.NewTextHandler(w, opts)
	if flags.LogFormat == "json" {
		h = slog.NewJSONHandler(w, opts)
	}
	return slog.New(traced{h})
}

// traced adds trace_id and span_id to records that are logged in the context
// of a span, so that a line leads to its trace.
type traced struct{ slog.Handler }

func (h traced) Handle(ctx context.Context, r slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		r = r.Clone()
		r.AddAttrs(
			slog.String("trace_id", span.TraceID().String()),
			slog.String("span_id", span.SpanID().String()),
		)
	}
	return h.Handler.Handle(ctx, r)
}

func (h traced) WithAttrs(attrs []slog.Attr) slog.Handler {
	return traced{h.Handler.WithAttrs(attrs)}
}

func (h traced) WithGroup(name string) slog.Handler {
	return traced{h.Handler.WithGroup(name)}
}
