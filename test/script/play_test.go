package script

import (
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"
)

// head is the header that the cases of these tests share.
const head = `A case of the engine's own tests.

dialects: all
account ann@example.com Ann

`

// playOn plays the conversation for MSNP7 and gives the failure, nil if none.
func playOn(t *testing.T, f *fake, text string, patience time.Duration) *Failure {
	t.Helper()
	s, err := Parse("case.txt", head+text)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Play(t.Context(), f, "MSNP7", patience)
	var failure *Failure
	if err != nil && !errors.As(err, &failure) {
		t.Fatal(err)
	}
	return failure
}

// answers are what the fake says besides logging in.
var answers = map[string]string{
	"CHG 9 AWY":           "CHG 9 AWY\r\nILN 9 NLN bob@example.com Bob\r\nILN 9 BSY cat@example.com Cat\r\n",
	"GTC 10 N":            "GTC 10 41 N\r\n",
	"GTC 11 A":            "GTC 11 42 A\r\n",
	"GTC 43 A":            "",
	"one":                 "201 1\r\n",
	"two":                 "201 2\r\n",
	"both":                "201 1\r\n201 2\r\n",
	"\x00\xff\\":          "201 3\r\n",
	"REA ann@example.com": "REA 7 ann@example.com ann%40example%2Ecom\r\n",
	"xxxxx":               "201 9\r\n",
	"none":                "",
	"letters":             "MSG a b 5\r\nab\r\nc",
	"bare LF":             "201 1\n",
	"double  blank":       "201  1\r\n",
	"trailing":            "PRP PHH \r\n",
	"eight bits":          "REA \xe9\r\n",
	"empty":               "\r\n",
	"length":              "MSG a b c\r\n",
	"short payload":       "MSG a b 9\r\nabc" + closing,
	"half a line":         "20" + closing,
	"refuse":              "911 1\r\n" + closing,
}

func TestConversations(t *testing.T) {
	for _, test := range []struct{ name, text string }{
		{"through dispatch, by hand", `connect ann dispatch
ann> VER 1 $offer
ann< VER 1 MSNP7
ann> USR 3 MD5 I ann@example.com
[MSNP2] ann< XFR 3 NS *
[MSNP3-6] ann< XFR 3 NS * 0
[MSNP7] ann< XFR 3 NS $node 0 $dispatch
follow ann
ann> VER 4 $dialect
ann< VER 4 $dialect
ann> USR 6 MD5 I ANN@Example.com
ann< USR 6 MD5 S $salt
ann> USR 7 MD5 S $md5($salt,secret-ann)
ann< USR 7 OK ann@example.com Ann 1
ann< MSG Hotmail Hotmail 35
   |PreferredEmail: ann@example.com
   |
drop ann
`},
		{"second connections", `login ann ann2 MSNP2
online ann3 HDN
settle
ann2> OUT
ann2< OUT
ann2< closed
`},
		{"a reset is a close", "connect ann notification 2\nann> refuse\nann< 911 1\nann< closed\n"},
		{"lines in any order", `login ann
ann> CHG 9 AWY
ann< CHG 9 AWY
ann<~ ILN 9 BSY cat@example.com Cat
-- not the end of the run
[MSNP2] ann<~ ILN 9 LUN dan@example.com Dan
ann<~ ILN 9 $state bob@example.com Bob
`},
		{"numbers that grow", `login ann
ann> GTC 10 N
ann< GTC 10 $v N
ann> GTC 11 A
ann< GTC 11 $v+1 A
ann> GTC $v+2 A
`},
		{"several lines in one write", "login ann\nann>+ one\nann> two\nann< 201 1\nann< 201 2\n"},
		{"raw bytes", "login ann\nann>! one\\n\\x00\\xff\\\\\\r\\n\nann< 201 1\nann< 201 3\n"},
		{"a byte at a time", "login ann\nbytewise ann\nann> one\nann< 201 1\n"},
		{"repetition", "login ann\nann> $repeat(x,5)\nann< 201 9\n"},
		{"addresses of other accounts", `login ann
ann> REA ann@example.com
ann< REA 7 ann@example.com ann%40example%2Ecom
`},
		{"payloads", `login ann
ann> SAY $len
   |$dialect ann@example.com
[MSNP2]   |nothing
   |
   =and the rest
ann< MSG Hotmail Hotmail $len
   |MSNP7 ann@example.com
   |
[MSNP2]   |nothing
   =and the *
ann> SAY 0
ann< MSG Hotmail Hotmail 0
ann> letters
ann< MSG * * 5
   *
ann> letters
ann< MSG a b 5
   =ab
   |
   =c
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, nodes := range []int{1, 3} {
				if failure := playOn(t, newFake(t, nodes, answers), test.text, 10*time.Second); failure != nil {
					t.Errorf("%d nodes: %v", nodes, failure)
				}
			}
		})
	}
}

func TestFailures(t *testing.T) {
	const soon = 50 * time.Millisecond
	for _, test := range []struct {
		name, text string
		line       int // of the conversation, from 1
		want, got  string
		err        string
	}{
		{"another line", "login ann\nann> one\nann< 201 2\n", 3, "201 2", "201 1", ""},
		{"fewer words", "login ann\nann> one\nann< 201 1 1\n", 3, "201 1 1", "201 1", ""},
		{"more words", "login ann\nann> one\nann< 201\n", 3, "201", "201 1", ""},
		{"a star is one word", "login ann\nann> one\nann< *\n", 3, "*", "201 1", ""},
		{"a captured word that differs", "login ann\nann> one\nann< 201 $n\nann> two\nann< 201 $n\n", 5, "201 $n", "201 2", ""},
		{"a number that does not fit", "login ann\nann> one\nann< 201 $n\nann> two\nann< 201 $n+2\n", 5, "201 $n+2", "201 2", ""},
		{"a line that does not come", "login ann\nann> none\nann< 201 1\n", 3, "201 1", "", "nothing within"},
		{"a line too many", "login ann\nann> one\n", 2, "nothing more, and QNG", "201 1", ""},
		{"a line too many before settle", "login ann\nann> one\nsettle\nann< 201 1\n", 3, "nothing more, and QNG", "201 1", ""},
		{"a line too many before login", "connect ann notification\nann> VER 1 MSNP7\nann< VER 1 MSNP7\nann> both\nann< 201 1\n", 5, "nothing more", "201 2", ""},
		{"a line too many before login, before settle", "connect ann notification\nann> both\nann< 201 1\nsettle\n", 4, "nothing more", "201 2", ""},
		{"none of the lines in any order", "login ann\nann> CHG 9 AWY\nann< CHG 9 AWY\nann<~ ILN 9 NLN bob@example.com Bob\nann<~ ILN 9 NLN cat@example.com Cat\n", 4, "ILN 9 NLN cat@example.com Cat", "ILN 9 BSY cat@example.com Cat", ""},
		{"closed early", "login ann\nann> refuse\nann< 911 1\nann< 201 1\n", 4, "201 1", "", "EOF"},
		{"closed at the end", "login ann\nann> refuse\nann< 911 1\n", 3, "nothing more, and QNG", "", "EOF"},
		{"not closed", "login ann\nann> one\nann< 201 1\nann< closed\n", 4, "closed by the server", "", "nothing within"},
		{"a line before the close", "login ann\nann> refuse\nann< closed\n", 3, "closed by the server", "911 1", ""},
		{"bare LF", "login ann\nann> bare LF\nann< 201 1\n", 3, "201 1", "", "does not end in CRLF"},
		{"two blanks", "login ann\nann>! double  blank\\n\nann< 201 1\n", 3, "201 1", "", "empty word"},
		{"blank at the end", "login ann\nann> trailing\nann< PRP PHH\n", 3, "PRP PHH", "", "empty word"},
		{"unescaped byte", "login ann\nann> eight bits\nann< REA *\n", 3, "REA *", "", "must be escaped"},
		{"empty line", "login ann\nann> empty\nann< 201 1\n", 3, "201 1", "", "empty line"},
		{"no payload length", "login ann\nann> length\nann< MSG a b c\n", 3, "MSG a b c", "", "payload length"},
		{"payload cut short", "login ann\nann> short payload\nann< MSG a b 9\n   *\n", 3, "MSG a b 9", "", "amid"},
		{"line cut short", "login ann\nann> half a line\nann< 201 1\n", 3, "201 1", "", "amid"},
		{"another payload", "login ann\nann> letters\nann< MSG a b 5\n   |ab\n   =d\n", 3, "MSG a b 5\n   |ab\n   =d", "MSG a b 5\n   |ab\n   =c", ""},
		{"payload that goes on", "login ann\nann> letters\nann< MSG a b 5\n   |ab\n", 3, "MSG a b 5\n   |ab", "MSG a b 5\n   |ab\n   =c", ""},
		{"payload that nobody wrote down", "login ann\nann> letters\nann< MSG a b 5\n", 3, "MSG a b 5", "MSG a b 5\n   |ab\n   =c", ""},
		{"nothing to follow", "connect ann dispatch\nfollow ann\n", 2, "an XFR to follow", "none", ""},
		{"wrong presence of the stage", "online ann\nann> GTC 10 N\n", 2, "nothing more, and QNG", "GTC 10 41 N", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			patience := 10 * time.Second
			if strings.Contains(test.err, "nothing within") {
				patience = soon
			}
			f := playOn(t, newFake(t, 1, answers), test.text, patience)
			if f == nil {
				t.Fatal("passed")
			}
			if line := test.line + strings.Count(head, "\n"); f.File != "case.txt" || f.Line != line || f.Dialect != "MSNP7" {
				t.Errorf("at %s:%d for %s, want case.txt:%d for MSNP7", f.File, f.Line, f.Dialect, line)
			}
			if f.Want != test.want || f.Got != test.got {
				t.Errorf("want %q, got %q; the report should have %q and %q", f.Want, f.Got, test.want, test.got)
			}
			if (f.Err == nil) != (test.err == "") || f.Err != nil && !strings.Contains(f.Err.Error(), test.err) {
				t.Errorf("error %v, want %q", f.Err, test.err)
			}
			if len(f.Recent) < 2 || f.Recent[0] != "(ann)" {
				t.Errorf("recent lines: %q", f.Recent)
			}
		})
	}
}

func TestLineAfterTheNetworkSettled(t *testing.T) {
	f := newFake(t, 1, answers)
	f.onSettle = "NLN NLN bob@example.com Bob\r\n"
	failure := playOn(t, f, "login ann\n", 10*time.Second)
	if failure == nil || failure.Got != "NLN NLN bob@example.com Bob" {
		t.Errorf("got %v, want a complaint about NLN", failure)
	}
	if failure := playOn(t, f, "online ann\n", 10*time.Second); failure == nil || failure.Text != "silence at the end" {
		t.Errorf("got %v, want a complaint about the end alone", failure)
	}
}

func TestReport(t *testing.T) {
	f := playOn(t, newFake(t, 1, answers), "login ann\nann> SAY $len\n   =hello\nann< MSG Hotmail Hotmail 5\n   =hallo\n", 10*time.Second)
	if f == nil {
		t.Fatal("passed")
	}
	want := `case.txt:9: MSNP7: ann< MSG Hotmail Hotmail 5
	want  MSG Hotmail Hotmail 5
	         =hallo
	got   MSG Hotmail Hotmail 5
	         =hello
	after (ann)
	      -- connected to 127.0.0.1:*
	      > VER 4 MSNP7 MSNP6 MSNP5 MSNP4 CVR0
	      < VER 4 MSNP7
	      > INF 5
	      < INF 5 MD5
	      > USR 6 MD5 I ann@example.com
	      < USR 6 MD5 S 1013928519.693957190
	      > USR 7 MD5 S *
	      < USR 7 OK ann@example.com Ann 1
	      < MSG Hotmail Hotmail 35
	         |PreferredEmail: ann@example.com
	         |
	      > "SAY 5\r\nhello"
	      < MSG Hotmail Hotmail 5
	         =hello`
	got := regexp.MustCompile(`(127\.0\.0\.1:|USR 7 MD5 S )\w+`).ReplaceAllString(f.Error(), "$1*")
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if closed := playOn(t, newFake(t, 1, answers), "login ann\nann> refuse\nann< 911 1\n", time.Second); !errors.Is(closed, io.EOF) {
		t.Errorf("%v does not wrap io.EOF", closed)
	}
}
