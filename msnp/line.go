package msnp

import "strconv"

// A Line renders reply lines, one behind another, into its own buffer:
//
//	l.Verb("NLN").Status(msnp.AWY).Email(e).Nick(n)
//	conn.Send(l.Bytes())
//
// No method lets a byte through that would break a client's tokeniser, and
// none writes an empty argument: what must be encoded is encoded, and an
// empty word goes out as an encoded blank, so that the count of words stays
// right. The zero Line is ready. It allocates only to grow its buffer.
type Line struct {
	buf     []byte
	scratch []byte // a payload under construction
	open    bool   // the last line has no CRLF yet
}

// Verb begins a line, ending one that is open.
func (l *Line) Verb(v string) *Line {
	l.finish()
	l.buf = append(l.buf, v...)
	l.open = true
	return l
}

// TrID appends the transaction id of the command that is answered. Without
// one it appends 0, the id of what no command asked for.
func (l *Line) TrID(t []byte) *Line {
	if len(t) == 0 {
		t = zeroTrID
	}
	return l.Echo(t)
}

var zeroTrID = []byte("0")

// Word appends a word of the protocol.
func (l *Line) Word(s string) *Line {
	l.buf = append(l.buf, ' ')
	if s == "" {
		l.buf = append(l.buf, emptyWord...)
	}
	for i := range len(s) {
		l.buf = appendClean(l.buf, s[i])
	}
	return l
}

// emptyWord stands for a word that ought not to be empty.
const emptyWord = "%20"

// Echo appends a word that a client sent, such as the version in CVR, with
// its raw bytes encoded.
func (l *Line) Echo(b []byte) *Line {
	l.buf = append(l.buf, ' ')
	if len(b) == 0 {
		l.buf = append(l.buf, emptyWord...)
	}
	for _, c := range b {
		l.buf = appendClean(l.buf, c)
	}
	return l
}

// Uint appends a number.
func (l *Line) Uint(n uint64) *Line {
	l.buf = append(l.buf, ' ')
	l.buf = strconv.AppendUint(l.buf, n, 10)
	return l
}

// Email appends an address, raw.
func (l *Line) Email(e Email) *Line { return l.Word(e.String()) }

// Nick appends a name in the form it is stored in, byte for byte.
func (l *Line) Nick(n Nick) *Line { return l.Word(string(n)) }

// Status appends a state. A session without one is offline, FLN.
func (l *Line) Status(s Status) *Line {
	if s == StatusNone {
		s = FLN
	}
	return l.Word(s.String())
}

// List appends the name of one list.
func (l *Line) List(x List) *Line { return l.Word(x.String()) }

// Groups appends group ids, ascending, with commas: "0,2". A contact in no
// group is shown in group 0.
func (l *Line) Groups(g GroupSet) *Line {
	if g.Empty() {
		return l.Word("0")
	}
	sep := byte(' ')
	for id := range g.All() {
		l.buf = append(l.buf, sep)
		l.buf = strconv.AppendUint(l.buf, uint64(id), 10)
		sep = ','
	}
	return l
}

// Flag appends Y or N.
func (l *Line) Flag(yes bool) *Line {
	if yes {
		return l.Word("Y")
	}
	return l.Word("N")
}

// Optional appends s unless it is empty: an unset phone number is no
// argument at all (the seed session's "PRP 8 9 PHW").
func (l *Line) Optional(s string) *Line {
	if s == "" {
		return l
	}
	return l.Word(s)
}

// Payload appends the length of p, ends the line and appends p. Nothing
// follows a payload; the next Verb stands on the next byte.
func (l *Line) Payload(p []byte) {
	l.Uint(uint64(len(p)))
	l.finish()
	l.buf = append(l.buf, p...)
}

// Code appends the whole line of an error.
func (l *Line) Code(c Code, trid []byte) {
	l.finish()
	l.buf = append(l.buf, byte('0'+c/100%10), byte('0'+c/10%10), byte('0'+c%10))
	l.open = true
	if len(trid) > 0 {
		l.Echo(trid)
	}
	l.finish()
}

// Bytes ends an open line and returns all lines. They are valid until Reset.
func (l *Line) Bytes() []byte {
	l.finish()
	return l.buf
}

// Len returns how many bytes Bytes would return.
func (l *Line) Len() int {
	if l.open {
		return len(l.buf) + len("\r\n")
	}
	return len(l.buf)
}

// Reset empties l and keeps its buffer.
func (l *Line) Reset() *Line {
	l.buf = l.buf[:0]
	l.open = false
	return l
}

func (l *Line) finish() {
	if l.open {
		l.buf = append(l.buf, '\r', '\n')
		l.open = false
	}
}
