package script

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// vars are the values that $names stand for in one play.
type vars map[string]string

var (
	// reference matches $name, $name+1, $name-1 and $function(arguments).
	reference = regexp.MustCompile(`\$([A-Za-z][A-Za-z0-9]*)(?:([+-][0-9]+)|\(([^()]*)\))?`)
	// capture matches a word that is one name and nothing else.
	capture = regexp.MustCompile(`^\$([A-Za-z][A-Za-z0-9]*)$`)
)

// expand replaces every reference in the text. The error names the first that
// has no value.
func (v vars) expand(text string) (string, error) {
	var failed error
	out := reference.ReplaceAllStringFunc(text, func(found string) string {
		m := reference.FindStringSubmatch(found)
		value, err := v.value(m[1], m[2], m[3], strings.HasSuffix(found, ")"))
		if err != nil && failed == nil {
			failed = fmt.Errorf("%s: %w", found, err)
		}
		return value
	})
	return out, failed
}

func (v vars) value(name, plus, args string, call bool) (string, error) {
	if call {
		return v.call(name, args)
	}
	value, ok := v[name]
	if !ok {
		return "", fmt.Errorf("has no value yet")
	}
	if plus == "" {
		return value, nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return "", fmt.Errorf("%q is not a number", value)
	}
	d, err := strconv.ParseInt(plus, 10, 64)
	if err != nil {
		return "", err
	}
	return strconv.FormatInt(n+d, 10), nil
}

// call evaluates $md5(challenge,password), the same in upper-case digits as
// $MD5, and $repeat(text,times).
func (v vars) call(name, args string) (string, error) {
	args, err := v.expand(args)
	if err != nil {
		return "", err
	}
	first, second, ok := strings.Cut(args, ",")
	if !ok {
		return "", fmt.Errorf("needs two arguments")
	}
	switch name {
	case "md5":
		return respond(first, second), nil
	case "MD5":
		return strings.ToUpper(respond(first, second)), nil
	case "repeat":
		n, err := strconv.Atoi(second)
		if err != nil || n < 0 || n*len(first) > 1<<20 {
			return "", fmt.Errorf("not a number of times: %q", second)
		}
		return strings.Repeat(first, n), nil
	}
	return "", fmt.Errorf("no such function")
}

// respond is the answer to a challenge: MD5 of it and the password, in
// lower-case digits.
func respond(challenge, password string) string {
	sum := md5.Sum([]byte(challenge + password))
	return hex.EncodeToString(sum[:])
}

// match compares words separated by single spaces with the pattern: * is any
// one word, a $name without a value takes the word. The names taken are stored
// only if everything matches. The error says that the pattern itself is at
// fault.
func (v vars) match(pattern, text string) (bool, error) {
	got := strings.Split(text, " ")
	taken := make(vars)
	for word := range strings.SplitSeq(pattern, " ") {
		name := ""
		if m := capture.FindStringSubmatch(word); m != nil && v[m[1]] == "" {
			name = m[1]
		}
		if name != "" || word == "*" {
			if len(got) == 0 || got[0] == "" {
				return false, nil
			}
			if value, twice := taken[name]; twice && value != got[0] {
				return false, nil
			}
			if name != "" {
				taken[name] = got[0]
			}
			got = got[1:]
			continue
		}
		exact, err := v.expand(word)
		if err != nil {
			return false, err
		}
		// A value may be several words: $offer is.
		n := strings.Count(exact, " ") + 1
		if len(got) < n || strings.Join(got[:n], " ") != exact {
			return false, nil
		}
		got = got[n:]
	}
	if len(got) > 0 {
		return false, nil
	}
	for name, value := range taken {
		v[name] = value
	}
	return true, nil
}

// unescape reads the escapes of raw text: \r \n \t \0 \\ and \xNN.
func unescape(text string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			b.WriteByte(text[i])
			continue
		}
		i++
		if i == len(text) {
			return "", fmt.Errorf(`lone \ at the end`)
		}
		switch text[i] {
		case 'r':
			b.WriteByte('\r')
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case '0':
			b.WriteByte(0)
		case '\\':
			b.WriteByte('\\')
		case 'x':
			if i+2 >= len(text) {
				return "", fmt.Errorf(`\x needs two digits`)
			}
			n, err := strconv.ParseUint(text[i+1:i+3], 16, 8)
			if err != nil {
				return "", fmt.Errorf(`\x needs two digits, not %q`, text[i+1:i+3])
			}
			b.WriteByte(byte(n))
			i += 2
		default:
			return "", fmt.Errorf(`no such escape: \%c`, text[i])
		}
	}
	return b.String(), nil
}
