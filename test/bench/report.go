package main

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// report collects what was measured.
type report struct {
	Machine machine `json:"machine"`
	Rounds  int     `json:"rounds"`
	// Busy is how much of the machine others used ahead of each measurement, on
	// average, and Stolen what the host took of it meanwhile. Both are shares.
	Busy   float64  `json:"busy"`
	Stolen float64  `json:"stolen"`
	Rows   []*entry `json:"rows"`
	Faults []string `json:"faults"` // of lines that did not come as they had to

	begin cpuTimes
	busy  []float64
}

// entry is one figure of one row.
type entry struct {
	Row    string    `json:"row"`
	Title  string    `json:"title"`
	Unit   string    `json:"unit,omitempty"`
	Ours   []float64 `json:"ours"` // one of each round
	Beside []float64 `json:"beside"`
	On     string    `json:"on"`
	Than   string    `json:"than"`
	// CPU time of Redis and its commands, for each.
	Redis    []float64 `json:"redis,omitempty"`
	Commands []float64 `json:"commands,omitempty"`
	// Roles is where the CPU time goes.
	Roles map[string][]float64 `json:"roles,omitempty"`
	Reach float64              `json:"reach"`
	// Strive is 0 where nothing is aimed at beyond.
	Strive float64 `json:"strive,omitempty"`
	// Ratio says that Reach and Strive are times what is beside.
	Ratio bool `json:"ratio"`
}

func newReport() *report {
	rep := &report{Machine: thisMachine()}
	rep.begin, _ = readCPU() // where it cannot be read nothing is said of it
	return rep
}

// add takes in a measurement and says in a few words what it was.
func (rep *report) add(r row, on setup, m measurement, busy float64) string {
	rep.busy = append(rep.busy, busy)
	var says []string
	for i, f := range r.figures {
		e, value := rep.entry(r, i, f), f.of(m)
		says = append(says, amount(value, f.unit))
		if on != r.on {
			e.Beside = append(e.Beside, value)
			continue
		}
		e.Ours = append(e.Ours, value)
		rep.Rounds = max(rep.Rounds, len(e.Ours))
		if f.n == nil {
			continue
		}
		e.Commands = append(e.Commands, m.commands/float64(f.n(m)))
		e.Redis = append(e.Redis, f.each(m.redis.cpu, m))
		for role, u := range m.roles {
			e.Roles[role] = append(e.Roles[role], f.each(u.cpu, m))
		}
	}
	if faults := m.faults(); faults != "" {
		rep.Faults = append(rep.Faults, fmt.Sprintf("%s on %s: %s", r.name, on, faults))
		says = append(says, faults)
	}
	if busy > quietShare {
		says = append(says, fmt.Sprintf("(%.0f %% of the machine was busy)", 100*busy))
	}
	return strings.Join(says, "  ")
}

// amount is a value with its unit, to three digits.
func amount(v float64, unit string) string {
	if math.IsNaN(v) {
		return "-"
	}
	digits := 2 - int(math.Floor(math.Log10(math.Max(math.Abs(v), 0.001))))
	return strings.TrimSpace(strconv.FormatFloat(v, 'f', min(max(digits, 0), 3), 64) + " " + unit)
}

// quietShare is the share of the machine that others may use without a word.
const quietShare = 0.1

func (rep *report) entry(r row, i int, f figure) *entry {
	title := r.title
	if f.title != "" {
		title += ": " + f.title
	}
	for _, e := range rep.Rows {
		if e.Title == title {
			return e
		}
	}
	e := &entry{
		Row: r.name, Title: title, Unit: f.unit, On: r.on.String(), Than: r.beside.String(),
		Reach: f.reach, Strive: f.strive, Ratio: f.ratio, Roles: make(map[string][]float64),
	}
	rep.Rows = append(rep.Rows, e)
	return e
}

// close ends the measuring.
func (rep *report) close() {
	for _, b := range rep.busy {
		rep.Busy += b / float64(len(rep.busy))
	}
	if end, err := readCPU(); err == nil && end.total > rep.begin.total {
		rep.Stolen = float64(end.steal-rep.begin.steal) / float64(end.total-rep.begin.total)
	}
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// ratios are ours to what is beside, round by round.
func (e *entry) ratios() []float64 {
	var all []float64
	for i := range min(len(e.Ours), len(e.Beside)) {
		all = append(all, e.Ours[i]/e.Beside[i])
	}
	return all
}

// judged is what Reach is about.
func (e *entry) judged() float64 {
	if e.Ratio {
		return median(e.ratios())
	}
	return median(e.Ours)
}

func (e *entry) goal(v float64) string {
	if e.Ratio {
		return amount(v, "x")
	}
	return amount(v, e.Unit)
}

// text is the report as Markdown that is read as it is, too.
func (rep *report) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s. Medians of %d.\n\n", rep.Machine, rep.Rounds)
	table(&b, []string{"work", "Monarch", "beside", "ratio", "to reach", "", "CPU of Redis", "its commands"}, func(row func(...string)) {
		for _, e := range rep.Rows {
			met := "missed"
			if e.judged() <= e.Reach {
				met = "met"
			}
			beside, ratio, redis, commands := "", "", "", ""
			if m := median(e.Beside); m > 0 {
				beside = fmt.Sprintf("%s: %s", e.Than, amount(m, e.Unit))
				ratio = amount(median(e.ratios()), "")
			}
			if len(e.Redis) > 0 {
				redis, commands = amount(median(e.Redis), e.Unit), amount(median(e.Commands), "")
			}
			row(e.Title, amount(median(e.Ours), e.Unit), beside, ratio, e.goal(e.Reach), met, redis, commands)
		}
	})
	b.WriteString("\nWhere the CPU time goes, by role:\n\n")
	roles := []string{"notification", "switchboard", "dispatch", "directory", "operator"}
	table(&b, append([]string{"work"}, roles...), func(row func(...string)) {
		for _, e := range rep.Rows {
			if len(e.Roles) == 0 {
				continue
			}
			cells := []string{e.Title}
			for _, role := range roles {
				cells = append(cells, amount(median(e.Roles[role]), e.Unit))
			}
			row(cells...)
		}
	})
	for _, w := range rep.warnings() {
		fmt.Fprintf(&b, "\n%s\n", w)
	}
	return b.String()
}

// warnings say why the figures may be other than they look.
func (rep *report) warnings() []string {
	var all []string
	if rep.Busy > quietShare {
		all = append(all, fmt.Sprintf("Others used %.0f %% of the machine meanwhile: operations cost more CPU time than on an idle one.", 100*rep.Busy))
	}
	if rep.Stolen > 0.01 {
		all = append(all, fmt.Sprintf("The host took %.0f %% of the machine meanwhile.", 100*rep.Stolen))
	}
	for _, f := range rep.Faults {
		all = append(all, "Fault: "+f)
	}
	return all
}

// table writes a table whose columns are aligned.
func table(b *strings.Builder, heading []string, fill func(row func(cells ...string))) {
	rows := [][]string{heading, nil}
	fill(func(cells ...string) { rows = append(rows, cells) })
	width := make([]int, len(heading))
	for _, cells := range rows {
		for i, c := range cells {
			width[i] = max(width[i], utf8.RuneCountInString(c), 3)
		}
	}
	for _, cells := range rows {
		for i, w := range width {
			if cells == nil {
				fmt.Fprintf(b, "| %s ", strings.Repeat("-", w))
			} else {
				fmt.Fprintf(b, "| %s%s ", cells[i], strings.Repeat(" ", w-utf8.RuneCountInString(cells[i])))
			}
		}
		b.WriteString("|\n")
	}
}

// The table of a document stands between these lines.
const (
	beginMark = "<!-- make bench: begin -->\n"
	endMark   = "<!-- make bench: end -->\n"
)

// write replaces the table of a document.
func (rep *report) write(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(b), beginMark)
	_, after, ends := strings.Cut(rest, endMark)
	if !begins || !ends {
		return fmt.Errorf("write %s: it lacks the lines %q and %q", file, beginMark, endMark)
	}
	return os.WriteFile(file, []byte(before+beginMark+"\n"+rep.text()+"\n"+endMark+after), 0o644)
}
