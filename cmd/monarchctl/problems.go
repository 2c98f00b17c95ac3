package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// problemPrinter prints the problems of an import as they are found: a line
// each on standard error for people, the elements of an array for programs.
type problemPrinter struct {
	*app
	bar   progress
	count int
	err   error
}

func (a *app) newProblems(bar progress) *problemPrinter {
	p := &problemPrinter{app: a, bar: bar}
	if a.json {
		p.write(`{"problems":[`)
	}
	return p
}

func (p *problemPrinter) print(one problem) {
	p.count++
	if p.json {
		if p.count > 1 {
			p.write(",")
		}
		text, err := json.Marshal(one)
		if err != nil && p.err == nil {
			p.err = err
		}
		p.write("\n" + string(text))
		return
	}
	p.bar.clear()
	text := one.Error
	if !strings.Contains(strings.ToLower(text), strings.ToLower(one.Row)) {
		text = one.Row + ": " + text
	}
	fmt.Fprintf(p.app.err, "line %d: %s\n", one.Line, printable(text))
}

// end prints the totals, for people as a sentence.
func (p *problemPrinter) end(total tally, summary string) error {
	if !p.json {
		p.write(summary + "\n")
		return p.err
	}
	text, err := json.Marshal(total)
	if err != nil && p.err == nil {
		p.err = err
	}
	if p.count > 0 {
		p.write("\n")
	}
	p.write("]," + string(text[1:]) + "\n") // The object goes on behind the array.
	return p.err
}

func (p *problemPrinter) write(s string) {
	if p.err == nil {
		_, p.err = io.WriteString(p.out, s)
	}
}

// openImport opens the file called name, or standard input for "-". Lines is
// how many it has, for a progress bar; -1 where that is not known or nobody
// will see it.
func (a *app) openImport(name string) (file io.ReadCloser, lines int64, err error) {
	if name == "-" {
		return io.NopCloser(a.in), -1, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, fmt.Errorf("open %s: %w", name, cause(err))
	}
	lines = -1
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		if _, seen := terminal(a.err); seen {
			lines, err = countLines(f)
			if err == nil {
				_, err = f.Seek(0, io.SeekStart)
			}
			if err != nil {
				_ = f.Close() // Nothing was written to it.
				return nil, 0, fmt.Errorf("read %s: %w", name, cause(err))
			}
		}
	}
	return f, lines, nil
}

// countLines counts line endings, and a last line without one.
func countLines(r io.Reader) (lines int64, err error) {
	block := make([]byte, 64<<10)
	last := byte('\n')
	for {
		n, err := r.Read(block)
		for _, c := range block[:n] {
			if c == '\n' {
				lines++
			}
		}
		if n > 0 {
			last = block[n-1]
		}
		switch {
		case err == io.EOF && last != '\n':
			return lines + 1, nil
		case err == io.EOF:
			return lines, nil
		case err != nil:
			return 0, err
		}
	}
}
