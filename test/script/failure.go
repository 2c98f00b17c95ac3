package script

import (
	"fmt"
	"slices"
	"strings"
)

// A Failure says where a play went another way than its script.
type Failure struct {
	// File, Line and Text are the place in the script.
	File string
	Line int
	Text string
	// Dialect is the one the script was played for.
	Dialect string
	// Want and Got are what was expected and what came instead; Got is empty
	// when Err says why nothing did.
	Want, Got string
	Err       error
	// Recent are the last lines of the connection, sent and received.
	Recent []string
}

// Error shows the place, what was expected, what came, and what came before.
func (f *Failure) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d: %s: %s", f.File, f.Line, f.Dialect, f.Text)
	row := func(title, text string) {
		fmt.Fprintf(&b, "\n\t%-5s %s", title, strings.ReplaceAll(text, "\n", "\n\t      "))
	}
	if f.Want != "" {
		row("want", f.Want)
	}
	if f.Got != "" {
		row("got", f.Got)
	}
	if f.Err != nil {
		row("error", f.Err.Error())
	}
	if len(f.Recent) > 0 {
		row("after", strings.Join(f.Recent, "\n"))
	}
	return b.String()
}

// Unwrap gives the cause, if there is one besides a wrong line.
func (f *Failure) Unwrap() error { return f.Err }

// A mismatch is what an action found on a connection.
type mismatch struct {
	conn      *conn
	want, got string
	err       error
}

func (m *mismatch) Error() string { return fmt.Sprintf("want %q, got %q: %v", m.want, m.got, m.err) }

// failure puts an action's error at its place in the script.
func (p *play) failure(line int, text string, err error) *Failure {
	f := &Failure{File: p.script.Name, Line: line, Text: text, Dialect: p.dialect, Err: err}
	if m, ok := err.(*mismatch); ok {
		f.Want, f.Got, f.Err = m.want, m.got, m.err
		f.Recent = append([]string{"(" + m.conn.name + ")"}, slices.Clone(m.conn.recent)...)
	}
	return f
}
