package script

import (
	"strconv"
	"strings"
)

// String is the message as a transcript shows it.
func (m message) String() string {
	if !m.loaded {
		return m.line
	}
	var b strings.Builder
	b.WriteString(m.line)
	rest := string(m.payload)
	for rest != "" {
		line, tail, found := strings.Cut(rest, "\r\n")
		if found {
			b.WriteString("\n   |" + line)
		} else {
			b.WriteString("\n   =" + line)
		}
		rest = tail
	}
	return b.String()
}

// shown makes sent bytes readable: a command that ends in CRLF as it is,
// anything else quoted.
func shown(b []byte) string {
	text := string(b)
	if line, ok := strings.CutSuffix(text, "\r\n"); ok && !strings.ContainsAny(line, "\r\n\t\x00") {
		return abbreviated(line)
	}
	return abbreviated(strconv.Quote(text))
}

// abbreviated keeps a report readable where a script sends thousands of bytes.
func abbreviated(text string) string {
	const most = 400
	if len(text) <= most {
		return text
	}
	return text[:most] + "... (" + strconv.Itoa(len(text)) + " bytes)"
}

func lastSpace(line string) int { return strings.LastIndexByte(line, ' ') }

// watch notes what the play itself must know of a line: that the login, or the
// way into a chat, succeeded and where the client is sent.
func (c *conn) watch(line string) {
	words := strings.Split(line, " ")
	switch {
	case len(words) >= 5 && words[0] == "USR" && words[2] == "OK":
		c.authenticated = true
	case len(words) == 3 && words[0] == "ANS" && words[2] == "OK":
		c.authenticated = true
	case len(words) >= 4 && words[0] == "XFR" && words[2] == "NS":
		c.referral = words[3]
	}
}
