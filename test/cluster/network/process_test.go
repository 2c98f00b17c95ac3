package network

import (
	"os"
	"syscall"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func TestSumSeries(t *testing.T) {
	const text = `# HELP seen_total what was seen
# TYPE seen_total counter
seen_total{kind="a } b",from="x y"} 3
seen_total{kind="c"} 4.5 1395066363000
seen_total_created 7
seen 2
seen_bucket{le="+Inf"} 12
`
	for name, want := range map[string]float64{"seen_total": 7.5, "seen": 2, "seen_bucket": 12, "unseen": 0} {
		if got, err := sumSeries(text, name); err != nil || got != want {
			t.Errorf("%s: want %v, got %v, %v", name, want, got, err)
		}
	}
	if got, err := sumSeries("seen{} much\n", "seen"); err == nil {
		t.Errorf("want an error for a value that is no number, got %v", got)
	}
}

// A process that has ended can be started again in place, and is another one
// then; what both wrote is kept.
func TestStartAgain(t *testing.T) {
	p := run(t, "sleeper", "", nil, "sh", "-c", "echo here; exec sleep 1000")
	first := p.PID()
	if err := p.Start(); err == nil {
		t.Error("want no second start of a process that runs")
	}
	for range 2 {
		p.Kill()
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
	}
	if p.PID() == first || p.Starts() != 3 {
		t.Errorf("want a third process, got id %d after %d, start %d", p.PID(), first, p.Starts())
	}
	if err := p.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("want it to run: %v", err)
	}
}
