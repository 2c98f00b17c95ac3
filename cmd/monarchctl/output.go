package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable replaces what a terminal might obey. Names are chosen by users,
// and a name must not be able to move the cursor or hide text.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}

// printJSON prints one value on one line.
func printJSON(w io.Writer, value any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(value)
}

// say prints value as JSON, or else one sentence for people.
func (a *app) say(value any, format string, args ...any) error {
	if a.json {
		return printJSON(a.out, value)
	}
	_, err := fmt.Fprintln(a.out, printable(fmt.Sprintf(format, args...)))
	return err
}

// list prints rows as they come: as a table, or as one JSON array with an
// element a line. It holds no more than listBlock of them.
type list struct {
	out    *bufio.Writer
	json   bool
	widths []int
	block  [][]string
	rows   int
	err    error
}

// listBlock is how many rows of a table are aligned together. A later block
// may be wider, never narrower.
const listBlock = 1000

// newList begins a list. The headings are those of the table, if it has any.
func (a *app) newList(headings ...string) *list {
	l := &list{out: bufio.NewWriter(a.out), json: a.json}
	switch {
	case l.json:
		l.write("[")
	case len(headings) > 0:
		l.block = append(l.block, headings)
	}
	return l
}

// row adds one row: value in JSON, cells in the table.
func (l *list) row(value any, cells ...string) {
	l.rows++
	if l.json {
		if l.rows > 1 {
			l.write(",")
		}
		l.write("\n")
		text, err := json.Marshal(value)
		if err != nil && l.err == nil {
			l.err = err
		}
		l.write(string(text))
		return
	}
	for i := range cells {
		cells[i] = printable(cells[i])
	}
	l.block = append(l.block, cells)
	if len(l.block) >= listBlock {
		l.flush()
	}
}

// end finishes the list and returns the first error there was. The note is
// for people, in place of rows, where there is none.
func (l *list) end(note string) error {
	switch {
	case l.json && l.rows == 0:
		l.write("]\n")
	case l.json:
		l.write("\n]\n")
	case l.rows == 0:
		l.write(note + "\n")
	default:
		l.flush()
	}
	if err := l.out.Flush(); l.err == nil {
		l.err = err
	}
	return l.err
}

func (l *list) flush() {
	for _, cells := range l.block {
		for i, cell := range cells {
			if i == len(l.widths) {
				l.widths = append(l.widths, 0)
			}
			l.widths[i] = max(l.widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, cells := range l.block {
		var line strings.Builder
		for i, cell := range cells {
			line.WriteString(cell)
			line.WriteString(strings.Repeat(" ", l.widths[i]-utf8.RuneCountInString(cell)+2))
		}
		l.write(strings.TrimRight(line.String(), " ") + "\n")
	}
	l.block = l.block[:0]
}

func (l *list) write(s string) {
	if l.err == nil {
		_, l.err = l.out.WriteString(s)
	}
}
