package client

import (
	"strings"

	"github.com/monarch-msn/monarch/msnp"
)

// A Message is one line from a server with its payload, independent of the
// connection it was read from.
type Message struct {
	Text    string // the line without CRLF: "NLN AWY bob@example.com Bob"
	Verb    string // first word: "NLN", or the three digits of an error
	Args    []string
	Payload []byte // nil where there is none
}

// newMessage copies cmd, which was read by the exact grammar: one space
// between words.
func newMessage(cmd *msnp.Command) Message {
	size := len(cmd.Verb)
	for _, a := range cmd.Args {
		size += 1 + len(a)
	}
	var b strings.Builder
	b.Grow(size)
	b.WriteString(cmd.Verb)
	for _, a := range cmd.Args {
		b.WriteByte(' ')
		b.Write(a)
	}
	m := Message{Text: b.String(), Verb: cmd.Verb}
	if len(cmd.Args) > 0 {
		m.Args = make([]string, len(cmd.Args))
		at := len(cmd.Verb) + 1
		for i, a := range cmd.Args {
			m.Args[i] = m.Text[at : at+len(a)]
			at += len(a) + 1
		}
	}
	if len(cmd.Payload) > 0 {
		m.Payload = append([]byte(nil), cmd.Payload...)
	}
	return m
}

// String returns the line.
func (m Message) String() string { return m.Text }

// Arg returns word i after the verb, or "" if there is none.
func (m Message) Arg(i int) string {
	if i < 0 || i >= len(m.Args) {
		return ""
	}
	return m.Args[i]
}

// TrID returns the transaction id of the command that m answers: "0" in what
// no command asked for, "" in lines that have none.
func (m Message) TrID() string {
	switch m.Verb {
	case "NLN", "FLN", "BPR", "RNG", "MSG", "NOT", "IPG", "QNG", "OUT", "JOI", "BYE":
		return ""
	}
	return m.Arg(0)
}

// Code returns the number of an error line; ok tells whether m is one.
func (m Message) Code() (c msnp.Code, ok bool) {
	if m.Verb == "" || m.Verb[0] < '0' || m.Verb[0] > '9' {
		return 0, false
	}
	for _, d := range m.Verb {
		c = 10*c + msnp.Code(d-'0')
	}
	return c, true
}
