package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/monarch-msn/monarch/cmd/monarchload/load"
)

// print prints the result as the flags say.
func (c *common) print(w io.Writer, r *load.Result) error {
	if c.JSON {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	return printResult(w, r)
}

// printSecond prints a line of progress.
func printSecond(w io.Writer, s load.Second) {
	line := fmt.Sprintf("%5.0fs  %d online", s.At, s.Clients)
	if s.Logins > 0 {
		line += fmt.Sprintf("  %d logins/s", s.Logins)
	}
	if s.Operations > 0 {
		line += fmt.Sprintf("  %d operations/s  %d deliveries/s  p50 %s  p99 %s", s.Operations, s.Deliveries, short(s.Latency.P50), short(s.Latency.P99))
	}
	if s.Errors > 0 {
		line += fmt.Sprintf("  %d errors", s.Errors)
	}
	fmt.Fprintln(w, line)
}

// short is a time in seconds, as people read it.
func short(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(100 * time.Nanosecond).String()
}

// printResult prints the result for people.
func printResult(w io.Writer, r *load.Result) error {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-18s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	row("mode", "%s, %d clients, %.1f s measured", r.Mode, r.Clients, r.DurationSeconds)
	if r.Operations > 0 {
		row("operations", "%d, %.1f a second", r.Operations, r.Rate)
	}
	if r.Deliveries > 0 {
		row("deliveries", "%d, %.1f a second", r.Deliveries, r.DeliveryRate)
	}
	latency := func(name string, l load.Latency) {
		if l.Max > 0 {
			row(name, "p50 %s  p90 %s  p99 %s  p99.9 %s  max %s  mean %s",
				short(l.P50), short(l.P90), short(l.P99), short(l.P999), short(l.Max), short(l.Mean))
		}
	}
	latency("latency", r.Latency)
	latency("of deliveries", r.DeliveryLatency)
	for _, kind := range slices.Sorted(maps.Keys(r.Kinds)) {
		k := r.Kinds[kind]
		row(kind, "%d, %.1f a second, %d deliveries", k.Operations, k.Rate, k.Deliveries)
		latency("", k.Latency)
	}
	if r.Mode != load.Login {
		latency(fmt.Sprintf("of %d logins", r.Logins), r.LoginLatency)
	}
	for _, p := range r.Processes {
		row("process", "%d %s: %.3f s CPU, %.1f MB", p.PID, p.Name, p.CPUSeconds, float64(p.RSSBytes)/1e6)
	}
	if len(r.Processes) > 0 {
		line := fmt.Sprintf("%.3f s CPU, %.1f MB", r.CPUSeconds, float64(r.RSSBytes)/1e6)
		if r.Operations > 0 {
			line += fmt.Sprintf("; %s an operation", short(r.CPUPerOperation))
		}
		if r.Deliveries > 0 {
			line += fmt.Sprintf(", %s a delivery", short(r.CPUPerDelivery))
		}
		if r.RSSPerSession != 0 {
			line += fmt.Sprintf("; grew by %.0f bytes a session", r.RSSPerSession)
		}
		row("all of them", "%s", line)
	}
	if r.Generator.PID != 0 {
		row("monarchload itself", "%.3f s CPU, %.1f MB", r.Generator.CPUSeconds, float64(r.Generator.RSSBytes)/1e6)
	}
	for _, kind := range r.ErrorKinds() {
		row("error", "%s: %d", kind, r.Errors[kind])
	}
	row("faults", "%d lost, %d doubled, %d changed, %d out of order (%d late)", r.Lost, r.Doubled, r.Changed, r.OutOfOrder, r.Late)
	for _, e := range r.Examples {
		row("", "%s", e)
	}
	for _, t := range r.Targets {
		met := "missed"
		if t.Met {
			met = "met"
		}
		in := func(v float64) string { return fmt.Sprintf("%.6g", v) }
		if t.Seconds() {
			in = short
		}
		row("target", "%s %s: wanted %s, seen %s", t.Name, met, in(t.Wanted), in(t.Seen))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
