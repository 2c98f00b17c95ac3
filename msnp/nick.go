package msnp

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// Limits of names, in encoded bytes: an escape counts three, and so does a
// raw byte that will be encoded.
const (
	MaxNick        = 387 // friendly names, nicknames of contacts (IETF draft movva)
	MaxGroupName   = 61  // ADG beyond it: 229 ("yellows' MSNP wiki")
	MaxGroupRename = 127 // REG, and the length from which ADG closes
	MaxPhone       = 95  // hypothetic.org
)

// What ParseNick refuses.
var (
	ErrNickTooLong = errors.New("name too long")
	ErrNickNotUTF8 = errors.New("name is not UTF-8")
)

// A Nick is a name in the URL-encoded form that it has on the wire: friendly
// names, nicknames of contacts, names of groups, phone numbers. It keeps the
// spelling of the client that sent it, over-encoded or not, because clients
// compare echoes byte by byte. "" is an unset name and never sent.
type Nick string

// ParseNick reads a name from outside. Raw bytes that cannot stand in a
// server's line are encoded, nothing else is altered: aMSN sends raw UTF-8,
// Gaim encodes every punctuation mark, and both get back what they meant.
// More than limit encoded bytes are ErrNickTooLong, bytes that are not UTF-8
// when decoded ErrNickNotUTF8.
func ParseNick(b []byte, limit int) (Nick, error) {
	n, plain := len(b), true
	for _, c := range b {
		if unclean(c) {
			n += 2
			plain = false
		} else if c == '%' {
			plain = false
		}
	}
	if n > limit {
		return "", ErrNickTooLong
	}
	if plain {
		return Nick(b), nil
	}
	var space [2 * MaxNick]byte
	if !utf8.Valid(appendDecoded(space[:0], b)) {
		return "", ErrNickNotUTF8
	}
	enc := space[:0]
	for _, c := range b {
		enc = appendClean(enc, c)
	}
	return Nick(enc), nil
}

// EncodeNick returns text in wire form, encoding as little as possible.
// Broken UTF-8 becomes U+FFFD.
func EncodeNick(text string) Nick {
	text = strings.ToValidUTF8(text, "\uFFFD")
	var enc []byte
	for i := range len(text) {
		if text[i] == '%' {
			enc = append(enc, "%25"...)
		} else {
			enc = appendClean(enc, text[i])
		}
	}
	return Nick(enc)
}

// Decode returns the name as text for people.
func (n Nick) Decode() string {
	if !strings.Contains(string(n), "%") {
		return string(n)
	}
	return string(appendDecoded(nil, string(n)))
}

// Or returns n, or the address e where n is unset: a server never sends an
// empty name.
func (n Nick) Or(e Email) Nick {
	if n == "" {
		return Nick(e.String())
	}
	return n
}
