package msnp

import (
	"bytes"
	"errors"
)

// ErrMalformed is a command that deserves no answer: the connection is
// closed. Servers of the time did so for missing arguments, unknown words and
// over-long names alike ("yellows' MSNP wiki").
var ErrMalformed = errors.New("malformed command")

// Params reads the arguments of a command one after another. The first fault
// sticks: later reads return zero values and Err reports it, so a handler
// reads all it needs and asks once.
//
//	p := cmd.Params()
//	list, email := p.List(), p.Email(msnp.CodeInvalidParameter)
//	if err := p.Err(); err != nil {
//		return err // ErrMalformed: close; a Code: answer it
//	}
type Params struct {
	rest [][]byte
	err  error
}

// More reports whether another argument follows and nothing was wrong so
// far.
func (p *Params) More() bool { return p.err == nil && len(p.rest) > 0 }

// Err returns the first fault: ErrMalformed or the Code that the reading
// method was given.
func (p *Params) Err() error { return p.err }

func (p *Params) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// Word returns the next argument as it was sent. A missing one is
// ErrMalformed.
func (p *Params) Word() []byte {
	if p.err != nil {
		return nil
	}
	if len(p.rest) == 0 {
		p.fail(ErrMalformed)
		return nil
	}
	w := p.rest[0]
	p.rest = p.rest[1:]
	return w
}

// Uint32 reads a decimal number up to 2^32-1; anything else is ErrMalformed.
func (p *Params) Uint32() uint32 {
	n, ok := parseUint32(p.Word())
	if !ok {
		p.fail(ErrMalformed)
	}
	return n
}

// Version reads the number of a list version. One that is past any that there is
// counts as 0, as of lists that the server does not know; anything but digits is
// ErrMalformed.
func (p *Params) Version() uint32 {
	w := p.Word()
	n, ok := parseUint32(w)
	if !ok && (len(w) == 0 || len(bytes.Trim(w, "0123456789")) > 0) {
		p.fail(ErrMalformed)
	}
	return n
}

// Email reads an account's address, decoding escapes. A missing one, or one
// over MaxEmail bytes, is ErrMalformed; one that is no address is bad.
func (p *Params) Email(bad Code) Email {
	w := p.Word()
	if p.err != nil {
		return Email{}
	}
	e, err := ParseEmail(w)
	switch err {
	case nil:
	case ErrEmailTooLong:
		p.fail(ErrMalformed)
	default:
		p.fail(bad)
	}
	return e
}

// Handle reads the address with which somebody logs in. One without a domain is
// CodeNoDomain. Another that is no address is the zero Email, without an error:
// nobody has it, and that is said where the password is judged.
func (p *Params) Handle() Email {
	w := p.Word()
	if p.err != nil {
		return Email{}
	}
	e, err := ParseEmail(w)
	switch {
	case err == ErrEmailTooLong:
		p.fail(ErrMalformed)
	case err != nil:
		if _, domain, _ := bytes.Cut(appendDecoded(nil, w), []byte("@")); len(domain) == 0 {
			p.fail(CodeNoDomain)
		}
	}
	return e
}

// List reads FL, AL, BL or RL; anything else is ErrMalformed.
func (p *Params) List() List {
	l, ok := ParseList(p.Word())
	if !ok {
		p.fail(ErrMalformed)
	}
	return l
}

// Status reads one of the states of CHG, FLN among them; anything else is
// ErrMalformed.
func (p *Params) Status() Status {
	s, ok := ParseStatus(p.Word())
	if !ok {
		p.fail(ErrMalformed)
	}
	return s
}

// Nick reads a name of at most limit encoded bytes. A missing or longer one is
// ErrMalformed, one that is not UTF-8 is bad.
func (p *Params) Nick(limit int, bad Code) Nick {
	w := p.Word()
	if p.err != nil {
		return ""
	}
	n, err := ParseNick(w, limit)
	switch err {
	case nil:
	case ErrNickTooLong:
		p.fail(ErrMalformed)
	default:
		p.fail(bad)
	}
	return n
}

// OneOf reads one of words, case-sensitively, and returns it; anything else
// is ErrMalformed.
func (p *Params) OneOf(words ...string) string {
	w := p.Word()
	if p.err != nil {
		return ""
	}
	for _, s := range words {
		if string(w) == s {
			return s
		}
	}
	p.fail(ErrMalformed)
	return ""
}
