package script

import (
	"bytes"
	"crypto/rand"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
)

// An alias gives the accounts of one play addresses that no other play has:
// ann@example.com is ann.k3x0a1@example.com on the wire. It turns one into the
// other inside any text, in any case and where @ and the dots are escaped, so
// that a transcript reads as if its accounts were alone in the world.
type alias struct {
	mark   []byte // ".k3x0a1"
	plain  *regexp.Regexp
	marked *regexp.Regexp
}

var (
	plays atomic.Uint64
	// process tells plays of different processes on the same stores apart.
	process = strings.ToLower(rand.Text()[:6])
)

// newAlias makes an alias for the given emails under a mark of its own.
func newAlias(emails []string) *alias {
	a := &alias{mark: []byte("." + process + strconv.FormatUint(plays.Add(1), 36))}
	if len(emails) == 0 {
		return a
	}
	var plain, marked []string
	for _, email := range emails {
		local, domain, _ := strings.Cut(email, "@")
		at := "((?:@|%40)" + escapable(domain) + ")"
		plain = append(plain, "("+escapable(local)+")"+at)
		marked = append(marked, "("+escapable(local)+")"+regexp.QuoteMeta(string(a.mark))+at)
	}
	a.plain = regexp.MustCompile("(?i)" + strings.Join(plain, "|"))
	a.marked = regexp.MustCompile("(?i)" + strings.Join(marked, "|"))
	return a
}

// escapable matches the text with its dots written as they are or as %2E.
func escapable(text string) string {
	return strings.ReplaceAll(regexp.QuoteMeta(text), `\.`, `(?:\.|%2e)`)
}

// out replaces the script's addresses by those on the wire.
func (a *alias) out(text []byte) []byte { return a.replace(text, a.plain, a.mark) }

// in replaces the addresses on the wire by those of the script.
func (a *alias) in(text []byte) []byte { return a.replace(text, a.marked, nil) }

// email is the wire form of one address.
func (a *alias) email(email string) string { return string(a.out([]byte(email))) }

// replace writes each match as its local part, the mark and the rest. A match
// that is the tail or the head of a longer word is left alone.
func (a *alias) replace(text []byte, pattern *regexp.Regexp, mark []byte) []byte {
	if pattern == nil {
		return text
	}
	var b bytes.Buffer
	done := 0
	for _, m := range pattern.FindAllSubmatchIndex(text, -1) {
		if m[0] > 0 && wordByte(text[m[0]-1]) || m[1] < len(text) && wordByte(text[m[1]]) {
			continue
		}
		for g := 2; g < len(m); g += 4 {
			if m[g] < 0 {
				continue
			}
			b.Write(text[done:m[g+1]])
			b.Write(mark)
			b.Write(text[m[g+2]:m[g+3]])
			done = m[g+3]
		}
	}
	b.Write(text[done:])
	return b.Bytes()
}

// wordByte reports whether c can be part of a longer address.
func wordByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_'
}
