package msnp_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/monarch-msn/monarch/msnp"
)

// cut hands out data in pieces of the given sizes, over and over; before a
// piece of size 0 it reports a deadline.
type cut struct {
	data  []byte
	sizes []byte
	at    int
}

func (c *cut) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	size := len(c.data)
	if len(c.sizes) > 0 {
		size = int(c.sizes[c.at%len(c.sizes)])
		c.at++
		if size == 0 && c.at <= len(c.sizes) { // once around, or it would never end
			return 0, os.ErrDeadlineExceeded
		}
	}
	n := copy(p, c.data[:min(max(size, 1), len(c.data))])
	c.data = c.data[n:]
	return n, nil
}

// FuzzRead: arbitrary bytes cut at arbitrary places, with deadlines between
// them, give the same commands and the same end as uncut.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		"VER 1 MSNP7 MSNP6 MSNP5 MSNP4 CVR0\r\nINF 2\r\nUSR 3 MD5 I ann@example.com\r\n",
		"CHG 9 NLN\nMSG 3 N 4\r\nOUT\n\r\n \t\r\nPNG\r\n",
		"QRY 11 msmsgs@msnmsgr.com 32\r\n5900baf7ab746df3bef2c20e04dd1f94PNG\r\n",
		"MSG 1 N 1665\r\n", "CHG\x00\r\n", "VER MSNP7\r\n", "MSG 3 N 4\r\nhi",
		"NLN AWY bob@example.com Bob\r\n217 4\r\nMSG Hotmail Hotmail 2\r\nhiOUT OTH\r\n",
		"REA 1 " + strings.Repeat("a", 9000) + "\r\n",
		"MSG 1 U 1664\r\n" + strings.Repeat("PNG\r\n", 400),
	} {
		f.Add([]byte(s), []byte{1})
		f.Add([]byte(s), []byte{7, 0, 1, 200})
	}
	f.Fuzz(func(t *testing.T, data, sizes []byte) {
		for _, g := range []msnp.Grammar{msnp.FromClient, msnp.FromServer} {
			want, wantErr := readAll(msnp.NewReader(bytes.NewReader(data), g))
			r := msnp.NewReader(&cut{data: data, sizes: sizes}, g)
			var got []string
			var gotErr error
			for {
				more, err := readAll(r)
				got = append(got, more...)
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					gotErr = err
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("grammar %d, cut at %v:\nwant %q\n got %q", g, sizes, want, got)
			}
			if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
				t.Errorf("grammar %d, cut at %v: want %v, got %v", g, sizes, wantErr, gotErr)
			}
		}
	})
}

// FuzzLine: whatever goes into a Line is read back by the exact grammar as
// the same number of words, none altered beyond encoding.
func FuzzLine(f *testing.F) {
	f.Add("AWY", []byte("4.6.0042"), "Bob Roe", []byte("hi"))
	f.Add("", []byte(nil), "", []byte(nil))
	f.Add("a b\r\nOUT", []byte("\r\nOUT\r\n"), "é\x00%41", []byte("\r\n"))
	f.Fuzz(func(t *testing.T, word string, echo []byte, text string, payload []byte) {
		var l msnp.Line
		l.Verb("MSG").Word(word).Echo(echo).Nick(msnp.EncodeNick(text)).Nick(msnp.Nick(text)).Optional(word).Payload(payload)
		l.Code(msnp.CodeNotOnline, echo)
		l.Verb("QNG")
		if l.Len() != len(l.Bytes()) {
			t.Errorf("Len: want %d, got %d", len(l.Bytes()), l.Len())
		}
		r := msnp.NewReader(bytes.NewReader(l.Bytes()), msnp.FromServer)
		r.Line, r.Payload = 1<<20, 1<<20

		sent := []string{or(word), or(string(echo)), or(strings.ToValidUTF8(text, "\uFFFD")), or(text)}
		if word != "" {
			sent = append(sent, word)
		}
		var cmd msnp.Command
		if err := r.Next(&cmd); err != nil {
			t.Fatalf("read back %q: %v", l.Bytes(), err)
		}
		if len(cmd.Args) != len(sent)+1 {
			t.Fatalf("read back %q: want %d words, got %s", l.Bytes(), len(sent)+1, cmd.Args)
		}
		for i, s := range sent {
			// EncodeNick alone escapes the percent sign.
			if i != 2 {
				s = msnp.Nick(s).Decode()
			}
			if got := msnp.Nick(cmd.Args[i]).Decode(); got != s {
				t.Errorf("word %d: want %q, got %q", i, s, got)
			}
		}
		if !bytes.Equal(cmd.Payload, payload) {
			t.Errorf("payload: want %q, got %q", payload, cmd.Payload)
		}
		if err := r.Next(&cmd); err != nil || cmd.Verb != "217" {
			t.Errorf("behind the payload: want 217, got %s, %v", cmd.Verb, err)
		}
		if err := r.Next(&cmd); err != nil || cmd.Verb != "QNG" || len(cmd.Args) != 0 {
			t.Errorf("behind the error: want QNG, got %s, %v", show(&cmd), err)
		}
		if err := r.Next(&cmd); err != io.EOF {
			t.Errorf("want the end, got %v", err)
		}
	})
}

// or is what an empty word turns into.
func or(s string) string {
	if s == "" {
		return " "
	}
	return s
}

// clean reports whether s can stand in a line as it is.
func clean(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != ""
}

func FuzzParseNick(f *testing.F) {
	for _, s := range []string{"Ann", "Al%20é", "%G1%", "%C3é", "\x00", "ann%40example%2Ecom"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := msnp.ParseNick(b, msnp.MaxNick)
		if err != nil {
			if n != "" {
				t.Errorf("ParseNick(%q): want no name beside %v, got %q", b, err, n)
			}
			return
		}
		if len(b) > 0 && !clean(string(n)) {
			t.Errorf("ParseNick(%q) = %q: want every byte fit for a line", b, n)
		}
		if len(n) > msnp.MaxNick {
			t.Errorf("ParseNick(%q): want at most %d bytes, got %d", b, msnp.MaxNick, len(n))
		}
		if !utf8.ValidString(n.Decode()) {
			t.Errorf("ParseNick(%q) = %q: want it UTF-8 when decoded", b, n)
		}
		if n.Decode() != msnp.Nick(b).Decode() {
			t.Errorf("ParseNick(%q) = %q: want the same text", b, n)
		}
		if clean(string(b)) && string(n) != string(b) {
			t.Errorf("ParseNick(%q) = %q: want it untouched", b, n)
		}
		if again, err := msnp.ParseNick([]byte(n), msnp.MaxNick); again != n || err != nil {
			t.Errorf("ParseNick(%q): want it to stay, got %q, %v", n, again, err)
		}
	})
}

func FuzzParseEmail(f *testing.F) {
	for _, s := range []string{"Ann@Example.com", "ann%40example%2Ecom", "a@b", "a%25@b.c", "{}@b.c"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := msnp.ParseEmail(b)
		if err != nil {
			if !e.IsZero() {
				t.Errorf("ParseEmail(%q): want no address beside %v, got %q", b, err, e)
			}
			return
		}
		s := e.String()
		if !clean(s) || strings.ContainsAny(s, "%:,;\"<>()[]\\ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
			t.Errorf("ParseEmail(%q) = %q: want it canonical and fit for a line", b, e)
		}
		if strings.Count(s, "@") != 1 || len(s) > msnp.MaxEmail {
			t.Errorf("ParseEmail(%q) = %q: want one @ and at most %d bytes", b, e, msnp.MaxEmail)
		}
		if again, err := msnp.ParseEmail([]byte(s)); again != e || err != nil {
			t.Errorf("ParseEmail(%q): want it to stay, got %q, %v", s, again, err)
		}
	})
}
