package msnp

import "errors"

// The kinds of syntax error, for errors.Is. After any of them the position in
// the stream is uncertain, or the peer is no messenger: the connection is
// closed, and no error line is sent (hypothetic.org: real servers closed).
var (
	ErrLineTooLong   = errors.New("line too long")
	ErrControlByte   = errors.New("control byte in a line")
	ErrUnknownVerb   = errors.New("unknown command")
	ErrTrID          = errors.New("bad transaction id")
	ErrPayloadLength = errors.New("bad payload length")
	ErrTooManyArgs   = errors.New("too many arguments") // from a server; a client's surplus is ignored
	ErrForm          = errors.New("not in a server's form")
)

// A SyntaxError tells why a stream cannot be read any further. It quotes
// nothing of the line but a known verb, so it can be logged.
type SyntaxError struct {
	Kind error  // one of the sentinels
	Verb string // empty if the line was not understood that far
	What string // detail, may be empty
}

// Error says what was read and what was wrong with it.
func (e *SyntaxError) Error() string {
	s := "read command"
	if e.Verb != "" {
		s += " " + e.Verb
	}
	s += ": " + e.Kind.Error()
	if e.What != "" {
		s += ": " + e.What
	}
	return s
}

// Unwrap returns the kind.
func (e *SyntaxError) Unwrap() error { return e.Kind }
