package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// event is one line of "go test -json", see "go doc test2json".
type event struct {
	Action      string
	Package     string
	Test        string
	Output      string
	Elapsed     float64 // seconds
	ImportPath  string  // of build-output
	FailedBuild string  // with fail: the import path whose build failed
}

// summary is what the events so far amount to.
type summary struct {
	w                       io.Writer
	passed, failed, skipped int
	packages                map[string]*pkg
	builds                  map[string]*strings.Builder
	skips                   []string
}

// pkg is a package whose tests run.
type pkg struct {
	passed int
	failed []string
	out    map[string]*strings.Builder // by test; "" is the package itself
	open   map[string]bool             // begun and not ended
}

func newSummary(w io.Writer) *summary {
	return &summary{w: w, packages: map[string]*pkg{}, builds: map[string]*strings.Builder{}}
}

func (s *summary) pkg(name string) *pkg {
	p := s.packages[name]
	if p == nil {
		p = &pkg{out: map[string]*strings.Builder{}, open: map[string]bool{}}
		s.packages[name] = p
	}
	return p
}

func add(m map[string]*strings.Builder, key, text string) {
	b := m[key]
	if b == nil {
		b = new(strings.Builder)
		m[key] = b
	}
	b.WriteString(text)
}

func (s *summary) handle(e event) {
	switch {
	case e.Action == "build-output":
		add(s.builds, e.ImportPath, e.Output)
	case e.Package == "":
	case e.Test == "":
		s.handlePackage(e)
	default:
		s.handleTest(e)
	}
}

func (s *summary) handleTest(e event) {
	p := s.pkg(e.Package)
	switch e.Action {
	case "run":
		p.open[e.Test] = true
	case "output":
		if !strings.HasPrefix(e.Output, "=== ") { // that it runs or waits
			add(p.out, e.Test, e.Output)
		}
	case "pass":
		s.passed++
		p.passed++
		s.showFigures(e, p.out[e.Test])
		delete(p.out, e.Test)
		delete(p.open, e.Test)
	case "fail":
		s.failed++
		p.failed = append(p.failed, e.Test)
		delete(p.open, e.Test)
	case "skip":
		s.skipped++
		s.skips = append(s.skips, e.Package+" "+e.Test+reason(p.out[e.Test]))
		delete(p.out, e.Test)
		delete(p.open, e.Test)
	}
}

// figure is a line that a test logs to be read also if all is well.
var figure = regexp.MustCompile(`^\s+\S+\.go:\d+: ((?:promise|figure): .*)`)

// showFigures prints what a test that has passed has promised and measured. Of
// one that fails everything is shown in the end.
func (s *summary) showFigures(e event, out *strings.Builder) {
	if out == nil {
		return
	}
	named := false
	for line := range strings.Lines(out.String()) {
		match := figure.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		if !named {
			fmt.Fprintf(s.w, "      %s  %.1fs\n", e.Test, e.Elapsed)
			named = true
		}
		fmt.Fprintf(s.w, "          %s\n", match[1])
	}
}

// reason is what a skipped test said, in one line.
func reason(out *strings.Builder) string {
	if out == nil {
		return ""
	}
	for line := range strings.Lines(out.String()) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "---") {
			return ": " + line
		}
	}
	return ""
}

func (s *summary) handlePackage(e event) {
	p := s.pkg(e.Package)
	switch e.Action {
	case "output":
		add(p.out, "", e.Output)
	case "pass":
		fmt.Fprintf(s.w, "ok    %s  %.1fs  %d passed\n", e.Package, e.Elapsed, p.passed)
		delete(s.packages, e.Package)
	case "skip": // it has no tests
		delete(s.packages, e.Package)
	case "fail":
		s.failPackage(e, p)
		delete(s.packages, e.Package)
	}
}

// maxOpen is how many tests that did not end are named.
const maxOpen = 10

// failPackage shows what there is to know about a package that failed.
func (s *summary) failPackage(e event, p *pkg) {
	fmt.Fprintf(s.w, "FAIL  %s  %.1fs\n", e.Package, e.Elapsed)
	// Among the tests that began and never ended is the one that ended the
	// process.
	var open []string
	for test := range p.open {
		s.failed++
		p.failed = append(p.failed, test)
		open = append(open, test)
	}
	slices.Sort(p.failed)
	slices.Sort(open)
	if n := len(open) - maxOpen; n > 0 {
		open = append(open[:maxOpen], fmt.Sprintf("and %d more", n))
	}
	if len(open) > 0 {
		fmt.Fprintf(s.w, "      did not end: %s\n", strings.Join(open, ", "))
	}
	if len(p.failed) == 0 {
		s.failed++
		if out := s.builds[e.FailedBuild]; out != nil {
			fmt.Fprint(s.w, indent(out.String()))
		}
	}
	for _, test := range p.failed {
		if out := p.out[test]; out != nil {
			fmt.Fprint(s.w, indent(out.String()))
		}
	}
	if out := p.out[""]; out != nil {
		fmt.Fprint(s.w, indent(out.String()))
	}
}

func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("      " + line)
	}
	if !strings.HasSuffix(text, "\n") {
		b.WriteByte('\n')
	}
	return b.String()
}

// finish prints the end. err is how go test ended; it counts if the events do
// not show a failure themselves.
func (s *summary) finish(err error) {
	names := make([]string, 0, len(s.packages))
	for name := range s.packages {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names { // cut off in the midst
		s.failPackage(event{Package: name}, s.packages[name])
	}
	if err != nil && s.failed == 0 {
		fmt.Fprintf(s.w, "FAIL  go test: %v\n", err)
		s.failed++
	}
	if err == nil && s.passed == 0 && s.failed == 0 {
		fmt.Fprintln(s.w, "FAIL  nothing was tested")
		s.failed++
	}
	for _, skip := range s.skips {
		fmt.Fprintf(s.w, "SKIP  %s\n", skip)
	}
	fmt.Fprintf(s.w, "%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
}

func (s *summary) good() bool { return s.passed > 0 && s.failed == 0 && s.skipped == 0 }
