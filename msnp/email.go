package msnp

import (
	"errors"
	"strings"
	"unique"
)

// MaxEmail is the longest address in bytes, as sent (IETF draft movva,
// hypothetic.org).
const MaxEmail = 129

// What ParseEmail refuses.
var (
	ErrEmailTooLong = errors.New("address too long")
	ErrEmailSyntax  = errors.New("not an address")
)

// An Email is the address that names an account, in the one spelling that
// servers emit: lower case. It is comparable and one word wide; equal
// addresses share their text. The zero Email is no address.
type Email struct{ h unique.Handle[string] }

// ParseEmail reads an address from outside: %XX is decoded, ASCII letters
// become lower case. It must have a local part of characters that need no
// quoting, and a domain with a dot: a@b is refused with ErrEmailSyntax, more
// than MaxEmail bytes with ErrEmailTooLong. The result holds no byte that
// would have to be encoded, no colon and no comma.
func ParseEmail(b []byte) (Email, error) {
	if len(b) > MaxEmail {
		return Email{}, ErrEmailTooLong
	}
	var space [MaxEmail]byte
	s := appendDecoded(space[:0], b)
	at := -1
	for i, c := range s {
		switch {
		case 'A' <= c && c <= 'Z':
			s[i] = c + 'a' - 'A'
		case c == '@' && at < 0:
			at = i
		case at < 0 && !localByte[c], at >= 0 && !domainByte(c):
			return Email{}, ErrEmailSyntax
		}
	}
	if at < 1 || !validDomain(s[at+1:]) {
		return Email{}, ErrEmailSyntax
	}
	return Email{unique.Make(string(s))}, nil
}

// MakeEmail returns the Email of a canonical address that was parsed before,
// such as one from the directory. The empty string makes the zero Email.
func MakeEmail(s string) Email {
	if s == "" {
		return Email{}
	}
	return Email{unique.Make(s)}
}

// String returns the address, or "" for the zero Email.
func (e Email) String() string {
	if e.IsZero() {
		return ""
	}
	return e.h.Value()
}

// IsZero reports whether e is no address.
func (e Email) IsZero() bool { return e == Email{} }

// localByte has what may stand unquoted before the @ (RFC 5322 atext and the
// dot), less the percent sign, which would read as an escape on the wire.
var localByte = func() (t [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyz0123456789!#$&'*+-/=?^_`{|}~.") {
		t[c] = true
	}
	return t
}()

func domainByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.'
}

// validDomain wants two labels or more, none empty.
func validDomain(d []byte) bool {
	s := string(d)
	return strings.Contains(s, ".") && !strings.Contains(s, "..") && s[0] != '.' && s[len(s)-1] != '.'
}
