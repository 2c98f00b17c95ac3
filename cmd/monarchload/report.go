package main

import (
	"fmt"
	"html/template"
	"math"
	"os"
	"strings"

	"github.com/monarch-msn/monarch/cmd/monarchload/load"
)

// checkReport finds out ahead of a run whether its page can be written. What the
// file holds stays.
func checkReport(name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	return f.Close()
}

// writeReport writes a page with everything that was seen, which needs no other
// file.
func writeReport(name string, r *load.Result) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := page.Execute(f, reportOf(r)); err != nil {
		_ = f.Close() // The first fault is the one to be told.
		return fmt.Errorf("write %s: %w", name, err)
	}
	return f.Close()
}

// pageData is what the page shows.
type pageData struct {
	*load.Result
	Summary string
	Plots   []plot
}

func reportOf(r *load.Result) pageData {
	var b strings.Builder
	_ = printResult(&b, r) // A builder takes everything.
	d := pageData{Result: r, Summary: b.String()}

	var ops, deliveries, logins, p50, p90, p99, most []point
	for _, s := range r.Seconds {
		ops = append(ops, point{s.At, float64(s.Operations)})
		deliveries = append(deliveries, point{s.At, float64(s.Deliveries)})
		logins = append(logins, point{s.At, float64(s.Logins)})
		if s.Operations > 0 && s.Latency.Max > 0 {
			p50 = append(p50, point{s.At, s.Latency.P50})
			p90 = append(p90, point{s.At, s.Latency.P90})
			p99 = append(p99, point{s.At, s.Latency.P99})
			most = append(most, point{s.At, s.Latency.Max})
		}
	}
	d.Plots = []plot{
		newPlot("Throughput", "a second, over the seconds of the run", axis{tick: seconds}, axis{tick: count, zero: true},
			curve{"operations", ops}, curve{"deliveries", deliveries}, curve{"logins", logins}),
		newPlot("Latency over time", "of operations done in each second", axis{tick: seconds}, axis{tick: short, log: true},
			curve{"half", p50}, curve{"90 %", p90}, curve{"99 %", p99}, curve{"all", most}),
		newPlot("Latency by percentile", "of the measured time; to the right ever rarer", axis{tick: share, log: true}, axis{tick: short, log: true},
			curve{"operations", rarity(r.OperationPercentiles())}, curve{"deliveries", rarity(r.DeliveryPercentiles())}),
	}
	return d
}

// rarity places percentiles so that each further nine has as much room.
func rarity(all []load.Percentile) []point {
	var points []point
	for _, p := range all {
		if p.Percent < 100 && p.Seconds > 0 {
			points = append(points, point{100 / (100 - p.Percent), p.Seconds})
		}
	}
	return points
}

func seconds(x float64) string { return fmt.Sprintf("%.6g s", x) }

func count(y float64) string {
	switch {
	case y >= 1e6:
		return fmt.Sprintf("%.6g M", y/1e6)
	case y >= 1e4:
		return fmt.Sprintf("%.6g k", y/1e3)
	}
	return fmt.Sprintf("%.6g", y)
}

func share(x float64) string { return fmt.Sprintf("%.6g %%", 100-100/x) }

// The plane of a plot within its picture.
const (
	left, right, top, bottom = 70.0, 690.0, 10.0, 230.0
)

type point struct{ x, y float64 }

type curve struct {
	name   string
	points []point
}

// axis says how numbers become places and words.
type axis struct {
	tick      func(float64) string
	log, zero bool // zero: begins at 0
	low, high float64
}

// fit sets the ends so that all values lie between them, on round numbers.
func (a *axis) fit(values []float64) {
	a.low, a.high = math.Inf(1), math.Inf(-1)
	for _, v := range values {
		a.low, a.high = min(a.low, v), max(a.high, v)
	}
	switch {
	case len(values) == 0:
		a.low, a.high = 1, 10
	case a.log:
		a.low, a.high = math.Pow(10, math.Floor(math.Log10(a.low))), math.Pow(10, math.Ceil(math.Log10(a.high)))
		if a.low == a.high {
			a.high *= 10
		}
	default:
		if a.zero {
			a.low = 0
		}
		if a.high <= a.low {
			a.high = a.low + 1
		}
		step := a.step()
		a.low, a.high = math.Floor(a.low/step)*step, math.Ceil(a.high/step)*step
	}
}

// step is a round number of which some five fit in.
func (a *axis) step() float64 {
	rough := (a.high - a.low) / 5
	unit := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, f := range []float64{1, 2, 5} {
		if f*unit >= rough {
			return f * unit
		}
	}
	return 10 * unit
}

// ticks are the numbers that are named.
func (a *axis) ticks() []float64 {
	var all []float64
	if a.log {
		for v := a.low; v <= a.high*1.001; v *= 10 {
			all = append(all, v)
		}
		return all
	}
	for v, step := a.low, a.step(); v <= a.high+step/1000; v += step {
		all = append(all, v)
	}
	return all
}

// at is where a value lies, between 0 and 1.
func (a *axis) at(v float64) float64 {
	if a.log {
		return math.Log10(v/a.low) / math.Log10(a.high/a.low)
	}
	return (v - a.low) / (a.high - a.low)
}

// plot is what the page draws.
type plot struct {
	Title, Unit string
	X, Y        []mark
	Curves      []drawn
}

// mark is a number at an axis.
type mark struct {
	At   string
	Text string
}

// drawn is a curve as SVG has it.
type drawn struct {
	Name   string
	Number int // of the colour
	Points string
}

func newPlot(title, unit string, x, y axis, curves ...curve) plot {
	var xs, ys []float64
	for _, c := range curves {
		for _, p := range c.points {
			xs, ys = append(xs, p.x), append(ys, p.y)
		}
	}
	x.fit(xs)
	y.fit(ys)
	p := plot{Title: title, Unit: unit}
	toX := func(v float64) float64 { return left + x.at(v)*(right-left) }
	toY := func(v float64) float64 { return bottom - y.at(v)*(bottom-top) }
	for _, v := range x.ticks() {
		p.X = append(p.X, mark{fmt.Sprintf("%.1f", toX(v)), x.tick(v)})
	}
	for _, v := range y.ticks() {
		p.Y = append(p.Y, mark{fmt.Sprintf("%.1f", toY(v)), y.tick(v)})
	}
	for i, c := range curves {
		if len(c.points) == 0 {
			continue
		}
		var b strings.Builder
		for _, q := range c.points {
			fmt.Fprintf(&b, "%.1f,%.1f ", toX(q.x), toY(q.y))
		}
		p.Curves = append(p.Curves, drawn{c.name, i + 1, b.String()})
	}
	return p
}

var page = template.Must(template.New("report").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>monarchload {{.Mode}}</title>
<style>
:root { color-scheme: light dark; --ground: #fcfcfb; --ink: #1b1b1a; --faint: #6b6a66; --line: #e2e1dc;
  --c1: #2a6fc9; --c2: #1a8a5a; --c3: #c2620a; --c4: #8a4bb0; }
@media (prefers-color-scheme: dark) { :root { --ground: #1a1a19; --ink: #ededea; --faint: #a09f99; --line: #383835;
  --c1: #6ba6f2; --c2: #4fc08d; --c3: #f0a050; --c4: #c493e6; } }
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.05rem; margin: 2rem 0 0; }
p { margin: 0; color: var(--faint); }
pre { overflow-x: auto; font-size: 13px; line-height: 1.5; }
svg { width: 100%; height: auto; } svg text { fill: var(--faint); font: 11px system-ui, sans-serif; }
svg line { stroke: var(--line); } svg polyline { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.key span { margin-right: 1.2rem; } .key i { display: inline-block; width: 1.1rem; height: 3px; margin: 0 .4rem 4px 0; }
</style>
<h1>monarchload {{.Mode}}</h1>
<p>{{.Started.Format "2006-01-02 15:04:05 MST"}}</p>
<pre>{{.Summary}}</pre>
{{range .Plots}}<h2>{{.Title}}</h2>
<p>{{.Unit}}</p>
<p class="key">{{range .Curves}}<span><i style="background: var(--c{{.Number}})"></i>{{.Name}}</span>{{end}}</p>
<svg viewBox="0 0 715 255" role="img" aria-label="{{.Title}}">
{{range .Y}}<line x1="70" x2="690" y1="{{.At}}" y2="{{.At}}"/><text x="64" y="{{.At}}" dy="4" text-anchor="end">{{.Text}}</text>
{{end}}{{range .X}}<text x="{{.At}}" y="248" text-anchor="middle">{{.Text}}</text>
{{end}}{{range .Curves}}<polyline style="stroke: var(--c{{.Number}})" points="{{.Points}}"/>
{{end}}</svg>
{{end}}</html>
`))
