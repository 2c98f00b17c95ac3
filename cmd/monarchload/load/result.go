package load

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A Result is what was seen. Its fields are those of --json, which keep their
// names. Unless it says otherwise a figure is of the window of Duration.
type Result struct {
	Mode            Mode      `json:"mode"`
	Started         time.Time `json:"started"`
	Began           time.Time `json:"began"` // when the window began
	DurationSeconds float64   `json:"duration_seconds"`
	// Clients are those that were online to the end; of Login those that came and
	// went.
	Clients int `json:"clients"`

	Operations int64   `json:"operations"` // done
	Deliveries int64   `json:"deliveries"` // lines that operations caused at other clients
	Rate       float64 `json:"rate"`       // operations a second
	// DeliveryRate is deliveries a second.
	DeliveryRate float64 `json:"delivery_rate"`

	// These are of the whole run.
	Errors     map[string]int64 `json:"errors"` // by kind: what was refused or broke
	Lost       int64            `json:"lost"`
	Doubled    int64            `json:"doubled"`
	Changed    int64            `json:"changed"`
	OutOfOrder int64            `json:"out_of_order"`
	Late       int64            `json:"late"` // came when it was counted as lost already
	Examples   []string         `json:"examples,omitempty"`

	// Latency is of whole operations, from when they were due; a delivery's is
	// until that one line.
	Latency         Latency `json:"latency_seconds"`
	DeliveryLatency Latency `json:"delivery_latency_seconds"`
	// Logins are those of the whole run.
	Logins       int64   `json:"logins"`
	LoginLatency Latency `json:"login_latency_seconds"`
	// Kinds has the same for each kind of operation, where there are several.
	Kinds map[string]Kind `json:"kinds,omitempty"`

	Processes       []Process `json:"processes"`
	CPUSeconds      float64   `json:"cpu_seconds"`
	CPUPerOperation float64   `json:"cpu_per_operation_seconds"`
	CPUPerDelivery  float64   `json:"cpu_per_delivery_seconds"`
	RSSBytes        int64     `json:"rss_bytes"` // at the end of the window
	// RSSPerSession is by how much memory has grown since before the first
	// client came, for each of Clients.
	RSSPerSession        float64  `json:"rss_per_session_bytes"`
	Generator            Process  `json:"generator"` // this process
	Targets              []Target `json:"targets"`
	Seconds              []Second `json:"-"`
	latency, ofDelivered *hdrhistogram.Histogram
}

// A Kind is what was seen of one kind of operation.
type Kind struct {
	Operations      int64   `json:"operations"`
	Deliveries      int64   `json:"deliveries"`
	Rate            float64 `json:"rate"`
	Latency         Latency `json:"latency_seconds"`
	DeliveryLatency Latency `json:"delivery_latency_seconds"`
}

// Latency has the percentiles of a latency in seconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
	Mean float64 `json:"mean"`
}

func latencyOf(h *hdrhistogram.Histogram) Latency {
	if h.TotalCount() == 0 {
		return Latency{}
	}
	at := func(p float64) float64 { return float64(h.ValueAtQuantile(p)) / 1e9 }
	return Latency{P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: float64(h.Max()) / 1e9, Mean: h.Mean() / 1e9}
}

// A Process is one that was measured: its CPU time within the window, and its
// resident memory at the end of it.
type Process struct {
	PID        int     `json:"pid"`
	Name       string  `json:"name"`
	CPUSeconds float64 `json:"cpu_seconds"`
	RSSBytes   int64   `json:"rss_bytes"`
	// RSSBefore is the memory before the first client came.
	RSSBefore int64 `json:"rss_before_bytes"`
}

// reading is what counters and clocks say at one end of the window.
type reading struct {
	at                     int64
	operations, deliveries map[*tally]int64
	processes              []Process
	self                   []Process
}

func (r *run) read() (reading, error) {
	now := reading{operations: make(map[*tally]int64), deliveries: make(map[*tally]int64)}
	var err error
	if now.processes, err = measure(r.cfg.Measure); err != nil {
		return now, err
	}
	now.self = measureSelf()
	for _, t := range r.worked {
		now.operations[t], now.deliveries[t] = t.operations.Load(), t.deliveries.Load()
	}
	now.at = r.now()
	return now, nil
}

// open begins the window.
func (r *run) open(pacers []*pacer) (reading, error) {
	start, err := r.read()
	until := start.at + int64(r.cfg.Duration)
	r.until.Store(until)
	r.from.Store(start.at)
	for _, p := range pacers {
		p.until.Store(until)
		if r.cfg.Operations > 0 {
			p.tally.goal.Store(p.tally.operations.Load() + max(1, int64(p.share*float64(r.cfg.Operations)+0.5)))
		}
	}
	return start, err
}

// shut ends the window and notes what lies between its ends.
func (r *run) shut(res *Result, before []Process, start reading) error {
	end, err := r.read()
	if err != nil {
		return err
	}
	if end.at < r.until.Load() {
		r.until.Store(end.at) // It was interrupted.
	}
	if res.Clients = int(r.online.Load()); r.cfg.Mode == Login {
		res.Clients = len(r.clients)
	}
	res.Began = r.base.Add(time.Duration(start.at)).UTC()
	res.DurationSeconds = float64(end.at-start.at) / 1e9
	res.Kinds = make(map[string]Kind)
	for _, t := range r.worked {
		k := Kind{
			Operations: end.operations[t] - start.operations[t],
			Deliveries: end.deliveries[t] - start.deliveries[t],
		}
		k.Rate = float64(k.Operations) / res.DurationSeconds
		res.Operations += k.Operations
		res.Deliveries += k.Deliveries
		res.Kinds[t.name] = k
	}
	res.Rate = float64(res.Operations) / res.DurationSeconds
	res.DeliveryRate = float64(res.Deliveries) / res.DurationSeconds

	var grown int64
	for i, p := range end.processes {
		p.CPUSeconds -= start.processes[i].CPUSeconds
		p.RSSBefore = before[i].RSSBytes
		res.Processes = append(res.Processes, p)
		res.CPUSeconds += p.CPUSeconds
		res.RSSBytes += p.RSSBytes
		grown += p.RSSBytes - p.RSSBefore
	}
	if len(end.self) > 0 {
		res.Generator = end.self[0]
		res.Generator.CPUSeconds -= start.self[0].CPUSeconds
	}
	if res.Operations > 0 {
		res.CPUPerOperation = res.CPUSeconds / float64(res.Operations)
	}
	if res.Deliveries > 0 {
		res.CPUPerDelivery = res.CPUSeconds / float64(res.Deliveries)
	}
	if res.Clients > 0 && r.cfg.Mode != Login {
		res.RSSPerSession = float64(grown) / float64(res.Clients)
	}
	return nil
}

// report completes the result once everything is over.
func (r *run) report(res *Result) {
	res.latency, res.ofDelivered = newHistogram(), newHistogram()
	for _, t := range r.worked {
		t.mu.Lock()
		res.latency.Merge(t.latency)
		res.ofDelivered.Merge(t.delivery)
		k := res.Kinds[t.name]
		k.Latency, k.DeliveryLatency = latencyOf(t.latency), latencyOf(t.delivery)
		res.Kinds[t.name] = k
		t.mu.Unlock()
	}
	if len(res.Kinds) < 2 {
		res.Kinds = nil
	}
	res.Latency, res.DeliveryLatency = latencyOf(res.latency), latencyOf(res.ofDelivered)
	r.logins.mu.Lock()
	res.LoginLatency = latencyOf(r.logins.all)
	r.logins.mu.Unlock()
	res.Logins = r.logins.operations.Load()

	f := &r.faults
	res.Lost, res.Doubled = f.lost.Load(), f.doubled.Load()
	res.Changed, res.OutOfOrder, res.Late = f.changed.Load(), f.outOfOrder.Load(), f.late.Load()
	f.mu.Lock()
	res.Errors = maps.Clone(f.errors)
	res.Examples = slices.Clone(f.examples)
	f.mu.Unlock()
	if res.Errors == nil {
		res.Errors = map[string]int64{}
	}
	res.Seconds = r.series.all()
	res.Targets = r.cfg.Targets.judge(res)
}

// Faultless reports whether nothing was lost, doubled, changed or out of order,
// and every stated target was met.
func (r *Result) Faultless() bool {
	for _, t := range r.Targets {
		if !t.Met {
			return false
		}
	}
	return r.Lost+r.Doubled+r.Changed+r.OutOfOrder == 0
}

// Targets are what a run has to reach, in the units of Result; a field that is
// nil is no target.
type Targets struct {
	MaxP50, MaxP99, MaxP999, MaxLoginP99 *time.Duration
	MinRate                              *float64
	MaxErrors                            *int64
}

// A Target is what became of one.
type Target struct {
	Name   string  `json:"name"`
	Wanted float64 `json:"wanted"`
	Seen   float64 `json:"seen"`
	Met    bool    `json:"met"`
}

// Seconds says whether it is a time.
func (t Target) Seconds() bool { return t.Name != "min_rate" && t.Name != "max_errors" }

// judge compares. A latency is no good where nothing was done.
func (t Targets) judge(r *Result) []Target {
	all := []Target{}
	most := func(name string, wanted *time.Duration, seen float64, any bool) {
		if wanted != nil {
			all = append(all, Target{name, wanted.Seconds(), seen, any && seen <= wanted.Seconds()})
		}
	}
	some := r.Operations > 0 && r.latency.TotalCount() > 0
	most("max_p50", t.MaxP50, r.Latency.P50, some)
	most("max_p99", t.MaxP99, r.Latency.P99, some)
	most("max_p999", t.MaxP999, r.Latency.P999, some)
	most("max_login_p99", t.MaxLoginP99, r.LoginLatency.P99, r.Logins > 0)
	if t.MinRate != nil {
		all = append(all, Target{"min_rate", *t.MinRate, r.Rate, r.Rate >= *t.MinRate})
	}
	if t.MaxErrors != nil {
		var n int64
		for _, k := range r.Errors {
			n += k
		}
		all = append(all, Target{"max_errors", float64(*t.MaxErrors), float64(n), n <= *t.MaxErrors})
	}
	return all
}

// A Percentile says within which time so many of a hundred were done.
type Percentile struct{ Percent, Seconds float64 }

// OperationPercentiles is the curve of Latency.
func (r *Result) OperationPercentiles() []Percentile { return percentiles(r.latency) }

// DeliveryPercentiles is the curve of DeliveryLatency.
func (r *Result) DeliveryPercentiles() []Percentile { return percentiles(r.ofDelivered) }

func percentiles(h *hdrhistogram.Histogram) []Percentile {
	var all []Percentile
	for _, b := range h.CumulativeDistribution() {
		all = append(all, Percentile{b.Quantile, float64(b.ValueAt) / 1e9})
	}
	return all
}

// ErrorKinds are the kinds of errors in order, the most frequent first.
func (r *Result) ErrorKinds() []string {
	return slices.SortedFunc(maps.Keys(r.Errors), func(a, b string) int {
		return cmp.Or(-cmp.Compare(r.Errors[a], r.Errors[b]), cmp.Compare(a, b))
	})
}
