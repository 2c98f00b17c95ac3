package msnp

import (
	"bytes"
	"io"
)

// Grammar says who wrote the bytes that a Reader reads.
type Grammar uint8

const (
	// FromClient is the tolerant grammar of requests: LF alone ends a line,
	// blanks come in runs, empty lines mean nothing. Its words are those of
	// Verbs.
	FromClient Grammar = iota
	// FromServer is the exact grammar of replies: CRLF, one space between
	// words, printable ASCII only. Clients of the time count on it, so a
	// departure is an error and not a matter of taste.
	FromServer
)

// What a Reader allows where its fields are zero.
const (
	DefaultLine          = 8192    // bytes of a line with its terminator
	DefaultArgs          = 64      // arguments of a line
	DefaultPayload       = 1664    // payload bytes of a request ("yellows' MSNP wiki", hypothetic.org)
	DefaultServerPayload = 1 << 16 // payload bytes of a reply
)

// startBuffer is the size of a fresh buffer. Nearly every command fits; the
// buffer grows towards Line+Payload for the one that does not.
const startBuffer = 2048

// A Reader cuts a stream of bytes into commands. It holds one buffer, from
// which a Command is sliced, and allocates nothing once that has grown.
//
// The zero limits are the defaults above; they may be set before the first
// Next. A Reader is used by one goroutine at a time.
type Reader struct {
	Line    int // longest line, terminator included; 0 means DefaultLine
	Args    int // most arguments kept; 0 means DefaultArgs
	Payload int // longest payload; 0 means the default of the grammar

	src     io.Reader
	grammar Grammar
	buf     []byte
	start   int // first byte of the command at hand
	end     int // end of what was read
	scanned int // bytes after start known to hold no LF
	used    int // bytes of the command that the last Next returned
	words   [][]byte
	err     error // came from src together with bytes, not yet reported
}

// NewReader returns a Reader of src. The buffer is taken with the first
// Next.
func NewReader(src io.Reader, g Grammar) *Reader {
	return &Reader{src: src, grammar: g}
}

// Reset makes r read from src as if new, keeping limits and buffer. What was
// buffered is lost.
func (r *Reader) Reset(src io.Reader) {
	r.src = src
	r.start, r.end, r.scanned, r.used = 0, 0, 0, 0
	clear(r.words[:cap(r.words)])
	r.err = nil
}

// Buffered returns how many bytes were read from the source and belong to no
// command returned so far. A Reader may go back to a pool only when it is 0.
func (r *Reader) Buffered() int { return r.end - r.start - r.used }

// Next reads one command with its payload into cmd, whose slices are valid
// until the next call.
//
// It returns io.EOF where the source ends between commands,
// io.ErrUnexpectedEOF where it ends amid one, a *SyntaxError for bytes after
// which the connection cannot go on, and any other error of the source as it
// is. After such a one, a deadline for instance, Next may be called again: no
// byte is lost.
func (r *Reader) Next(cmd *Command) error {
	*cmd = Command{}
	r.start += r.used
	r.used = 0
	for {
		n, err := r.findLine()
		if err != nil {
			return err
		}
		size, err := r.parse(cmd, r.buf[r.start:r.start+n])
		if err != nil {
			*cmd = Command{}
			return err
		}
		if cmd.Verb == "" { // an empty line
			r.start += n
			r.scanned = 0
			continue
		}
		if r.end-r.start < n+size {
			for r.end-r.start < n+size {
				if err := r.fill(); err != nil {
					*cmd = Command{}
					return err
				}
			}
			// The buffer may have moved under the words.
			if _, err := r.parse(cmd, r.buf[r.start:r.start+n]); err != nil {
				return err
			}
		}
		if size > 0 {
			p := r.start + n
			cmd.Payload = r.buf[p : p+size : p+size]
		}
		r.used = n + size
		r.scanned = 0
		return nil
	}
}

// findLine returns the length of the line at start, LF included.
func (r *Reader) findLine() (int, error) {
	limit := or(r.Line, DefaultLine)
	for {
		held := r.buf[r.start:r.end]
		if i := bytes.IndexByte(held[r.scanned:], '\n'); i >= 0 {
			n := r.scanned + i + 1
			if n > limit {
				return 0, &SyntaxError{Kind: ErrLineTooLong}
			}
			// Not counted as scanned: a payload may still be awaited and
			// the search then starts over at this LF.
			r.scanned += i
			return n, nil
		}
		r.scanned = len(held)
		if len(held) >= limit {
			return 0, &SyntaxError{Kind: ErrLineTooLong}
		}
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
}

// fill reads once from the source. It makes room first by moving the command
// at hand to the front, then by doubling the buffer.
func (r *Reader) fill() error {
	if err := r.err; err != nil {
		r.err = nil
		return r.ended(err)
	}
	switch {
	case r.start == r.end:
		r.start, r.end = 0, 0
		if r.buf == nil {
			r.buf = make([]byte, min(startBuffer, r.most()))
		}
	case r.end == len(r.buf) && r.start > 0:
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	case r.end == len(r.buf):
		// most is never reached by an incomplete command: the limits of
		// line and payload were checked before more is asked for.
		grown := make([]byte, min(2*len(r.buf), r.most()))
		copy(grown, r.buf[:r.end])
		r.buf = grown
	}
	for range 100 {
		n, err := r.src.Read(r.buf[r.end:])
		if n > 0 {
			r.end += n
			r.err = err
			return nil
		}
		if err != nil {
			return r.ended(err)
		}
	}
	return io.ErrNoProgress
}

// most is the longest command that the limits allow.
func (r *Reader) most() int { return or(r.Line, DefaultLine) + r.payloadLimit() }

func (r *Reader) payloadLimit() int {
	if r.grammar == FromServer {
		return or(r.Payload, DefaultServerPayload)
	}
	return or(r.Payload, DefaultPayload)
}

// ended turns the end of the source amid a command into ErrUnexpectedEOF.
func (r *Reader) ended(err error) error {
	if err == io.EOF && r.end > r.start {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parse fills cmd from a whole line and returns the size of the payload that
// follows. An empty line leaves cmd.Verb empty.
func (r *Reader) parse(cmd *Command, line []byte) (size int, err error) {
	var last []byte
	if r.grammar == FromServer {
		last, err = r.splitExact(line)
	} else {
		last, err = r.split(line)
	}
	if err != nil || len(r.words) == 0 {
		return 0, err
	}
	w, ok := r.grammar.word(r.words[0])
	if !ok {
		return 0, &SyntaxError{Kind: ErrUnknownVerb}
	}
	rest := r.words[1:]
	if w.trid {
		if len(rest) == 0 || !isTrID(rest[0]) {
			return 0, &SyntaxError{Kind: ErrTrID, Verb: w.verb}
		}
		cmd.TrID, rest = rest[0], rest[1:]
	}
	cmd.Verb = w.verb
	cmd.Args = rest
	if !w.payload {
		return 0, nil
	}
	if len(rest) == 0 {
		return 0, &SyntaxError{Kind: ErrPayloadLength, Verb: w.verb, What: "missing"}
	}
	n, ok := parseUint32(last)
	switch {
	case !ok:
		return 0, &SyntaxError{Kind: ErrPayloadLength, Verb: w.verb, What: "not a number"}
	case w.exact > 0 && n != uint32(w.exact), int64(n) > int64(r.payloadLimit()):
		return 0, &SyntaxError{Kind: ErrPayloadLength, Verb: w.verb, What: "not allowed"}
	}
	return int(n), nil
}

// split cuts the line of a client into r.words and returns the last word,
// which is not among them where the client sent more than Args: surplus
// arguments are ignored, but a payload's length stands at the very end.
func (r *Reader) split(line []byte) (last []byte, err error) {
	r.words = r.words[:0]
	body := line[:len(line)-1] // without the LF
	if len(bytes.Trim(body, "\r \t")) == 0 {
		return nil, nil
	}
	body = bytes.TrimRight(body, "\r")
	most := or(r.Args, DefaultArgs) + 2 // and the verb, and the TrID
	for i := 0; i < len(body); {
		if body[i] == ' ' || body[i] == '\t' {
			i++
			continue
		}
		j := i
		for j < len(body) && body[j] > ' ' && body[j] != 0x7f {
			j++
		}
		if j < len(body) && body[j] != ' ' && body[j] != '\t' {
			return nil, &SyntaxError{Kind: ErrControlByte}
		}
		last = body[i:j:j]
		if len(r.words) < most {
			r.words = append(r.words, last)
		}
		i = j
	}
	return last, nil
}

// splitExact cuts the line of a server into r.words.
func (r *Reader) splitExact(line []byte) (last []byte, err error) {
	r.words = r.words[:0]
	body, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok {
		return nil, &SyntaxError{Kind: ErrForm, What: "a line that does not end in CRLF"}
	}
	most := or(r.Args, DefaultArgs) + 1
	for i := 0; ; {
		j := i
		for j < len(body) && body[j] > ' ' && body[j] < 0x7f {
			j++
		}
		switch {
		case j == i:
			return nil, &SyntaxError{Kind: ErrForm, What: "an empty word"}
		case j < len(body) && body[j] >= 0x80:
			return nil, &SyntaxError{Kind: ErrForm, What: "a byte that is not ASCII"}
		case j < len(body) && body[j] != ' ':
			return nil, &SyntaxError{Kind: ErrControlByte}
		case len(r.words) == most:
			return nil, &SyntaxError{Kind: ErrTooManyArgs}
		}
		last = body[i:j:j]
		r.words = append(r.words, last)
		if j == len(body) {
			return last, nil
		}
		i = j + 1
	}
}

// or returns n, or def where n is zero.
func or(n, def int) int {
	if n == 0 {
		return def
	}
	return n
}
