package load

import (
	"fmt"
	"math"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"
)

func TestPercentiles(t *testing.T) {
	h := newHistogram()
	for ms := int64(1); ms <= 1000; ms++ {
		record(h, ms*int64(time.Millisecond))
	}
	got := latencyOf(h)
	want := Latency{P50: 0.5, P90: 0.9, P99: 0.99, P999: 0.999, Max: 1, Mean: 0.5005}
	for _, tt := range []struct {
		name      string
		want, got float64
	}{
		{"p50", want.P50, got.P50},
		{"p90", want.P90, got.P90},
		{"p99", want.P99, got.P99},
		{"p999", want.P999, got.P999},
		{"max", want.Max, got.Max},
		{"mean", want.Mean, got.Mean},
	} {
		if math.Abs(tt.got-tt.want) > tt.want/1000 {
			t.Errorf("%s: want %g, got %g", tt.name, tt.want, tt.got)
		}
	}
	if got := latencyOf(newHistogram()); got != (Latency{}) {
		t.Errorf("of nothing: %+v", got)
	}
	record(h, 0)
	record(h, math.MaxInt64)
	if h.TotalCount() != 1002 {
		t.Errorf("want what is out of bounds counted too, got %d values", h.TotalCount())
	}
}

func TestTargetsDecide(t *testing.T) {
	of := func(d time.Duration) *time.Duration { return &d }
	number := func(n int64) *int64 { return &n }
	rate := func(r float64) *float64 { return &r }
	seen := func() *Result {
		r := &Result{Operations: 1, Rate: 100, Errors: map[string]int64{"a": 2, "b": 1}, Logins: 1, latency: newHistogram()}
		record(r.latency, int64(5*time.Millisecond))
		r.Latency, r.LoginLatency = latencyOf(r.latency), Latency{P99: 0.2}
		return r
	}
	for _, tt := range []struct {
		name    string
		targets Targets
		want    bool
	}{
		{"none", Targets{}, true},
		{"latency met", Targets{MaxP50: of(time.Second), MaxP99: of(6 * time.Millisecond), MaxP999: of(time.Second)}, true},
		{"p99 missed", Targets{MaxP99: of(4 * time.Millisecond)}, false},
		{"login met", Targets{MaxLoginP99: of(time.Second)}, true},
		{"login missed", Targets{MaxLoginP99: of(100 * time.Millisecond)}, false},
		{"rate met", Targets{MinRate: rate(100)}, true},
		{"rate missed", Targets{MinRate: rate(101)}, false},
		{"errors met", Targets{MaxErrors: number(3)}, true},
		{"errors missed", Targets{MaxErrors: number(2)}, false},
	} {
		r := seen()
		r.Targets = tt.targets.judge(r)
		if got := r.Faultless(); got != tt.want {
			t.Errorf("%s: want %v, got %v: %+v", tt.name, tt.want, got, r.Targets)
		}
	}
	// A latency that nothing was seen of is not met.
	r := &Result{latency: newHistogram()}
	if r.Targets = (Targets{MaxP99: of(time.Hour)}).judge(r); r.Faultless() {
		t.Error("a target is met by a run in which nothing was done")
	}
	// Nor is one of nothing but operations that were given up.
	r = seen()
	r.Operations = 0
	if r.Targets = (Targets{MaxP99: of(time.Hour)}).judge(r); r.Faultless() {
		t.Error("a target is met by a run whose operations were all given up")
	}
	for _, r := range []*Result{{Lost: 1}, {Doubled: 1}, {Changed: 1}, {OutOfOrder: 1}} {
		if r.Faultless() {
			t.Errorf("%+v is without fault", r)
		}
	}
}

func TestSources(t *testing.T) {
	for _, tt := range []struct {
		source      string
		want        int
		first, last string
	}{
		{"127.0.0.5", 1, "127.0.0.5", "127.0.0.5"},
		{"127.1.0.7/29", 6, "127.1.0.1", "127.1.0.6"},
		{"127.0.0.1/32", 1, "127.0.0.1", "127.0.0.1"},
		{"127.0.0.0/8", 0, "", ""},
		{"203.0.113.1", 0, "", ""},
		{"203.0.113.0/24", 0, "", ""},
		{"localhost", 0, "", ""},
	} {
		got, err := ParseSource(tt.source)
		if (err == nil) != (tt.want > 0) || len(got) != tt.want {
			t.Errorf("%s: want %d addresses, got %d, %v", tt.source, tt.want, len(got), err)
			continue
		}
		if tt.want > 0 && (got[0] != netip.MustParseAddr(tt.first) || got[len(got)-1] != netip.MustParseAddr(tt.last)) {
			t.Errorf("%s: from %s to %s", tt.source, got[0], got[len(got)-1])
		}
	}
}

func TestAProcessIsMeasured(t *testing.T) {
	before, err := measure([]int{os.Getpid()})
	if runtime.GOOS != "linux" {
		if err == nil {
			t.Error("want processes refused on this system")
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		after, err := measure([]int{os.Getpid()})
		if err != nil {
			t.Fatal(err)
		}
		if after[0].CPUSeconds > before[0].CPUSeconds {
			break
		}
		if n == 1_000_000 {
			t.Fatal("the CPU clock of this process stands still")
		}
	}
	if before[0].RSSBytes < 1<<20 || before[0].Name == "" {
		t.Errorf("measured %+v", before[0])
	}
	for _, pid := range []int{1<<22 + 1, 1 << 30} { // No system has so many.
		want := fmt.Sprintf("measure process %d: there is no such process", pid)
		if _, err := measure([]int{pid}); err == nil || err.Error() != want {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := func() Config {
		return Config{
			Mode: Mixed, Dispatch: "localhost:1863", Accounts: []Account{{Email: "a@example.com"}, {Email: "b@example.com"}},
			UnderWay: 1, LoginsUnderWay: 1, Duration: 1, Deadline: 1, LoginDeadline: 1,
			RoomSize: 2, MessageBytes: MinMessage, Pipeline: 1, Statuses: 1,
		}
	}
	if c := good(); c.Validate() != nil {
		t.Fatal(c.Validate())
	}
	for name, spoil := range map[string]func(*Config){
		"dispatch":      func(c *Config) { c.Dispatch = "localhost" },
		"a port":        func(c *Config) { c.Dispatch = "localhost:msnp" },
		"a host":        func(c *Config) { c.Dispatch = ":1863" },
		"clients":       func(c *Config) { c.Clients = 3 },
		"an account":    func(c *Config) { c.Accounts[1] = c.Accounts[0] },
		"duration":      func(c *Config) { c.Duration = 0 },
		"deadline":      func(c *Config) { c.Deadline = 0 },
		"login-dead":    func(c *Config) { c.LoginDeadline = -1 },
		"warmup":        func(c *Config) { c.Warmup = -1 },
		"rate":          func(c *Config) { c.Rate = -1 },
		"under-way":     func(c *Config) { c.UnderWay = 0 },
		"logins":        func(c *Config) { c.LoginsUnderWay = 0 },
		"room-size":     func(c *Config) { c.RoomSize = 1 },
		"message-bytes": func(c *Config) { c.MessageBytes = MaxMessage + 1 },
		"pipeline":      func(c *Config) { c.Pipeline = 0 },
		"weights":       func(c *Config) { c.Statuses = 0 },
		"a weight":      func(c *Config) { c.Edits = -1 },
	} {
		c := good()
		spoil(&c)
		if c.Validate() == nil {
			t.Errorf("%s: want it refused", name)
		}
	}
}
