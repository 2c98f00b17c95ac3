package front

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"testing"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/monarch-msn/monarch/msnp"
)

// speaker is a session that stands where the test puts it.
type speaker struct {
	phase   msnp.Phase
	dialect *msnp.Dialect
	out     msnp.Line
}

func (s *speaker) Phase() msnp.Phase      { return s.phase }
func (s *speaker) Dialect() *msnp.Dialect { return s.dialect }
func (s *speaker) Lines() *msnp.Line      { return &s.out }
func (s *speaker) Log() *slog.Logger      { return slog.New(slog.DiscardHandler) }
func (s *speaker) Entered() bool          { return s.phase == msnp.Present }

func TestHandleTurnsWhatAHandlerReturnsIntoALine(t *testing.T) {
	c, err := NewCommands(msnp.Notification, "notification", metricnoop.Meter{}, tracenoop.Tracer{})
	if err != nil {
		t.Fatal(err)
	}
	fault := errors.New("disk on fire")
	for _, test := range []struct {
		name    string
		phase   msnp.Phase
		dialect *msnp.Dialect
		verb    string
		args    int
		returns error
		line    string
		closes  Reason
	}{
		{"success says nothing of its own", msnp.Present, msnp.MSNP7, "CHG", 1, nil, "", ""},
		{"a code is answered and the connection stays", msnp.Present, msnp.MSNP7, "ADD", 3, fmt.Errorf("add: %w", msnp.CodeAlreadyThere), "215 7\r\n", ""},
		{"a code that the dialect does not know closes", msnp.Present, msnp.MSNP2, "FND", 0, msnp.CodeDisabled, "", ReasonProtocol},
		{"a close is silent", msnp.Present, msnp.MSNP7, "CHG", 1, Closing(ReasonClient, nil), "", ReasonClient},
		{"a close with a code says it first", msnp.Challenged, msnp.MSNP7, "USR", 3, Closing(ReasonRefused, msnp.CodeAuthentication), "911 7\r\n", ReasonRefused},
		{"malformed input closes without a word", msnp.Present, msnp.MSNP7, "CHG", 1, msnp.ErrMalformed, "", ReasonProtocol},
		{"a fault is answered with 500 and the connection stays", msnp.Present, msnp.MSNP7, "CHG", 1, fault, "500 7\r\n", ""},
		{"a fault at login ends the connection behind the 500", msnp.Challenged, msnp.MSNP7, "USR", 3, fault, "500 7\r\n", ReasonInternal},
		{"a command at the wrong moment closes", msnp.Connected, nil, "CHG", 1, nil, "", ReasonProtocol},
		{"a repeated login command is told so", msnp.Versioned, msnp.MSNP7, "VER", 1, nil, "715 7\r\n", ReasonProtocol},
		{"USR after login is refused and the connection stays", msnp.Present, msnp.MSNP7, "USR", 3, nil, "207 7\r\n", ""},
		{"a command without its arguments closes", msnp.Present, msnp.MSNP7, "ADD", 1, nil, "", ReasonProtocol},
		{"a command of a later dialect closes", msnp.Present, msnp.MSNP2, "PRP", 1, nil, "", ReasonProtocol},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &speaker{phase: test.phase, dialect: test.dialect}
			handlers := map[string]Handler[*speaker]{test.verb: {
				Do: func(*speaker, context.Context, *msnp.Command) error { return test.returns },
			}}
			cmd := &msnp.Command{Verb: test.verb, TrID: []byte("7"), Args: make([][]byte, test.args)}
			err := Handle(t.Context(), c, handlers, s, cmd)
			if got := string(s.out.Bytes()); got != test.line {
				t.Errorf("line: want %q, got %q", test.line, got)
			}
			var end *Close
			got := Reason("")
			if errors.As(err, &end) {
				got = end.Reason
			}
			if got != test.closes {
				t.Errorf("close: want %q, got %q (%v)", test.closes, got, err)
			}
		})
	}
}

func TestAPanicInAHandlerEndsItsConnectionOnly(t *testing.T) {
	c, err := NewCommands(msnp.Notification, "notification", metricnoop.Meter{}, tracenoop.Tracer{})
	if err != nil {
		t.Fatal(err)
	}
	s := &speaker{phase: msnp.Present, dialect: msnp.MSNP7}
	handlers := map[string]Handler[*speaker]{"SYN": {
		Do: func(*speaker, context.Context, *msnp.Command) error { panic("no such thing") }, Traced: true,
	}}
	err = Handle(t.Context(), c, handlers, s, &msnp.Command{Verb: "SYN", TrID: []byte("7"), Args: make([][]byte, 1)})
	if got := ReasonOf(err); got != ReasonInternal {
		t.Errorf("want the connection to end for %q, got %q (%v)", ReasonInternal, got, err)
	}
}

// Servers of one kind in a process have the same labels.
func TestCommandsOfSeveralServersAddUp(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test")
	handlers := map[string]Handler[*speaker]{"CHG": {
		Do: func(*speaker, context.Context, *msnp.Command) error { return nil },
	}}
	for range 2 {
		c, err := NewCommands(msnp.Notification, "notification", meter, tracenoop.Tracer{})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			s := &speaker{phase: msnp.Present, dialect: msnp.MSNP7}
			if err := Handle(t.Context(), c, handlers, s, &msnp.Command{Verb: "CHG", TrID: []byte("7"), Args: make([][]byte, 1)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var got metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	counts := make(map[string]int64)
	for _, m := range got.ScopeMetrics[0].Metrics {
		if data, ok := m.Data.(metricdata.Sum[int64]); ok {
			for _, p := range data.DataPoints {
				verb, _ := p.Attributes.Value("verb")
				result, _ := p.Attributes.Value("result")
				counts[verb.AsString()+" "+result.AsString()] += p.Value
			}
		}
	}
	if want := map[string]int64{"CHG ok": 6}; !maps.Equal(counts, want) {
		t.Errorf("commands: want %v, got %v", want, counts)
	}
}
