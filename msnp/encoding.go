package msnp

// Percent encoding. A server's line may hold printable ASCII only, so every
// other byte of a name travels as %XX. Nothing else is ever altered: clients
// compare a name they sent with its echo, byte by byte.

const upperHex = "0123456789ABCDEF"

// unclean reports whether c cannot stand in a word of a line.
func unclean(c byte) bool { return c <= ' ' || c >= 0x7f }

// appendClean appends c, encoded if it cannot stand in a word. A percent sign
// is taken as the begin of an escape and stays.
func appendClean(dst []byte, c byte) []byte {
	if unclean(c) {
		return append(dst, '%', upperHex[c>>4], upperHex[c&15])
	}
	return append(dst, c)
}

// appendDecoded appends s with its escapes resolved. What is no escape, such
// as %G1 or a percent sign at the end, is literal text, and so is a plus.
func appendDecoded[T string | []byte](dst []byte, s T) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, ok1 := unhex(s[i+1])
			lo, ok2 := unhex(s[i+2])
			if ok1 && ok2 {
				dst = append(dst, hi<<4|lo)
				i += 2
				continue
			}
		}
		dst = append(dst, s[i])
	}
	return dst
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
