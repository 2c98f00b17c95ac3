package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCommandsWithinAWindow(t *testing.T) {
	at := func(seconds float64) time.Time {
		return time.Unix(100, 0).Add(time.Duration(seconds * float64(time.Second)))
	}
	s := samples{{at(0), 0}, {at(1), 100}, {at(2), 500}, {at(3), 500}}
	for _, c := range []struct {
		from, seconds, want float64
	}{{0, 1, 100}, {0.5, 1, 250}, {1, 1.5, 400}, {2, 0.5, 0}} {
		if got := s.within(at(c.from), time.Duration(c.seconds*float64(time.Second))); got != c.want {
			t.Errorf("from %g for %g s: want %g, got %g", c.from, c.seconds, c.want, got)
		}
	}
}

// TestTheTableOfADocumentIsReplaced also has a figure that is met by its ratio
// and one that is missed by its amount.
func TestTheTableOfADocumentIsReplaced(t *testing.T) {
	rep := &report{Rounds: 3, Rows: []*entry{
		{Title: "a ratio", Unit: "µs", Ours: []float64{5, 3, 4}, Than: "stub", Beside: []float64{2, 2, 4}, Reach: 1.5, Ratio: true},
		{Title: "an amount", Unit: "KB", Ours: []float64{10}, Than: "stub", Beside: []float64{20}, Reach: 9},
	}}
	file := filepath.Join(t.TempDir(), "doc.md")
	if err := os.WriteFile(file, []byte("ahead\n"+beginMark+"old\n"+endMark+"behind\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := rep.write(file); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := string(b)
	for _, want := range []string{
		"| a ratio   | 4.00 µs | stub: 2.00 µs | 1.50  | 1.50 x   | met ",
		"| an amount | 10.0 KB | stub: 20.0 KB | 0.500 | 9.00 KB  | missed ",
	} {
		if strings.Count(got, want) != 1 {
			t.Errorf("want once %q, got\n%s", want, got)
		}
	}
	if !strings.HasPrefix(got, "ahead\n"+beginMark) || !strings.HasSuffix(got, endMark+"behind\n") || strings.Contains(got, "old") {
		t.Errorf("want the table alone replaced, got\n%s", got)
	}
	if err := os.WriteFile(file, []byte("no marks"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := rep.write(file); err == nil {
		t.Error("want a document without marks refused")
	}
}
