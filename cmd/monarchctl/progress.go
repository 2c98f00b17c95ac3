package main

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far an import is, on a terminal and nowhere else.
type progress struct{ bar *progressbar.ProgressBar }

// newProgress begins with total lines to come; -1 where nobody knows, which
// makes a counter of it.
func newProgress(w io.Writer, noun string, total int64) progress {
	if _, ok := terminal(w); !ok || total == 0 {
		return progress{}
	}
	return progress{progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription("importing "+noun),
		progressbar.OptionSetWidth(30),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("lines"),
		progressbar.OptionThrottle(65*time.Millisecond),
		progressbar.OptionSetRenderBlankState(true),
		progressbar.OptionUseANSICodes(true),
		progressbar.OptionClearOnFinish(),
	)}
}

// add shows that more lines are done. What it cannot draw is not worth failing
// an import for. Any goroutine may call it.
func (p progress) add(lines int) {
	if p.bar != nil {
		_ = p.bar.Add(lines)
	}
}

// set shows how many lines are done in all.
func (p progress) set(lines int) {
	if p.bar != nil {
		_ = p.bar.Set(lines)
	}
}

// clear makes room for a line of text; the next set draws the bar again.
func (p progress) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

// end takes the bar off the terminal.
func (p progress) end() {
	if p.bar != nil {
		_ = p.bar.Clear()
		_ = p.bar.Exit()
	}
}
