package msnp_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/monarch-msn/monarch/msnp"
)

// show renders a command unambiguously: "CHG 9 [NLN]", "MSG 3 [N 2] "hi"".
func show(c *msnp.Command) string {
	s := c.Verb
	if len(c.TrID) > 0 {
		s += " " + string(c.TrID)
	}
	s += fmt.Sprintf(" %s", c.Args)
	if len(c.Payload) > 0 {
		s += fmt.Sprintf(" %q", c.Payload)
	}
	return s
}

// readAll reads until an error and returns what came, and the error.
func readAll(r *msnp.Reader) (got []string, err error) {
	var cmd msnp.Command
	for {
		if err := r.Next(&cmd); err != nil {
			return got, err
		}
		got = append(got, show(&cmd))
	}
}

// deliveries are the ways in which TCP may hand over the same bytes.
var deliveries = []struct {
	name string
	src  func(io.Reader) io.Reader
}{
	{"at once", func(r io.Reader) io.Reader { return r }},
	{"byte by byte", iotest.OneByteReader},
	{"in halves", iotest.HalfReader},
	{"with the end beside the last bytes", iotest.DataErrReader},
}

type readTest struct {
	name  string
	input string
	want  []string
	err   error
}

func testReads(t *testing.T, g msnp.Grammar, tests []readTest) {
	t.Helper()
	for _, test := range tests {
		for _, d := range deliveries {
			t.Run(test.name+", "+d.name, func(t *testing.T) {
				got, err := readAll(msnp.NewReader(d.src(strings.NewReader(test.input)), g))
				if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", test.want) {
					t.Errorf("read %.60q:\nwant %q\n got %q", test.input, test.want, got)
				}
				if !errors.Is(err, test.err) {
					t.Errorf("read %.60q: want error %v, got %v", test.input, test.err, err)
				}
			})
		}
	}
}

func TestReadFromClient(t *testing.T) {
	long := func(n int) string { // a line of n bytes, LF included
		return "REA 1 " + strings.Repeat("a", n-len("REA 1 \n")) + "\n"
	}
	text := strings.Repeat("x", 1664)
	testReads(t, msnp.FromClient, []readTest{
		// Line ends.
		{"CRLF ends a line", "CHG 9 NLN\r\nINF 2\r\n", []string{"CHG 9 [NLN]", "INF 2 []"}, io.EOF},
		{"LF alone ends a line", "CHG 9 NLN\nINF 2\n", []string{"CHG 9 [NLN]", "INF 2 []"}, io.EOF},
		{"trailing CRs are stripped", "CHG 9 NLN\r\r\n", []string{"CHG 9 [NLN]"}, io.EOF},
		{"CR alone ends nothing", "CHG 9 NLN\rINF 2\r\n", nil, msnp.ErrControlByte},
		{"CR before trailing blanks is amid the line", "CHG 9 NLN\r \r\n", nil, msnp.ErrControlByte},
		// Blanks.
		{"runs of blanks and tabs separate", "CHG \t 9\t\tNLN\r\n", []string{"CHG 9 [NLN]"}, io.EOF},
		{"trailing blanks are no arguments", "INF 2 \r\n", []string{"INF 2 []"}, io.EOF},
		{
			"the empty seventh argument of CVQ is none", "CVQ 2 0x0409 winnt 5.1 i386 MSMSGS 5.0.0537 \r\n",
			[]string{"CVQ 2 [0x0409 winnt 5.1 i386 MSMSGS 5.0.0537]"},
			io.EOF,
		},
		{"leading blanks are skipped", "  INF 2\r\n", []string{"INF 2 []"}, io.EOF},
		// Empty lines.
		{"empty lines are ignored", "\r\n\nINF 2\r\n\r\n \t \r\r\n\r \r\nINF 3\n", []string{"INF 2 []", "INF 3 []"}, io.EOF},
		{
			"an empty line behind a payload is ignored", "MSG 3 N 2\r\nhi\r\nMSG 4 N 0\r\n\r\nOUT\r\n",
			[]string{`MSG 3 [N 2] "hi"`, "MSG 4 [N 0]", "OUT []"},
			io.EOF,
		},
		// Transaction ids.
		{"TrID 0 is legal", "VER 0 MSNP7\r\n", []string{"VER 0 [MSNP7]"}, io.EOF},
		{"TrID is kept as it was", "INF 007\r\n", []string{"INF 007 []"}, io.EOF},
		{"the highest TrID", "INF 4294967295\r\n", []string{"INF 4294967295 []"}, io.EOF},
		{"TrID over 32 bits", "INF 4294967296\r\n", nil, msnp.ErrTrID},
		{"TrID over 64 bits", "INF 18446744073709551617\r\n", nil, msnp.ErrTrID},
		{"TrID missing before arguments", "VER MSNP7\r\n", nil, msnp.ErrTrID},
		{"TrID missing altogether", "INF\r\n", nil, msnp.ErrTrID},
		{"TrID negative", "INF -1\r\n", nil, msnp.ErrTrID},
		{"TrID with a sign", "INF +1\r\n", nil, msnp.ErrTrID},
		{"TrID in hex", "INF 0x1\r\n", nil, msnp.ErrTrID},
		{"PNG and OUT have none", "PNG\r\nOUT\r\n", []string{"PNG []", "OUT []"}, io.EOF},
		{"PNG and OUT tolerate one", "PNG 4\r\nOUT x\r\n", []string{"PNG [4]", "OUT [x]"}, io.EOF},
		{"the same TrID twice", "INF 2\r\nINF 2\r\n", []string{"INF 2 []", "INF 2 []"}, io.EOF},
		// Words.
		{"unknown word", "XYZ 1\r\n", nil, msnp.ErrUnknownVerb},
		{"a word too long", "SNDX 1\r\n", nil, msnp.ErrUnknownVerb},
		{"lower case", "chg 1 NLN\r\n", nil, msnp.ErrUnknownVerb},
		{"a number", "200 1\r\n", nil, msnp.ErrUnknownVerb},
		{"what came before an error is read", "INF 2\r\nXYZ 1\r\n", []string{"INF 2 []"}, msnp.ErrUnknownVerb},
		// Control bytes, encoding.
		{"NUL", "CHG 1 N\x00LN\r\n", nil, msnp.ErrControlByte},
		{"NUL between lines", "INF 1\r\n\x00\r\n", []string{"INF 1 []"}, msnp.ErrControlByte},
		{"escape", "CHG 1 NLN\x1b\r\n", nil, msnp.ErrControlByte},
		{"DEL", "CHG 1 NLN\x7f\r\n", nil, msnp.ErrControlByte},
		{"vertical tab is no blank", "CHG 1\vNLN\r\n", nil, msnp.ErrControlByte},
		{"raw UTF-8 passes", "REA 30 ann@example.com Al%20é\r\n", []string{"REA 30 [ann@example.com Al%20é]"}, io.EOF},
		{"any byte over 0x7f passes", "REA 30 a@b.c \x80\xff\r\n", []string{"REA 30 [a@b.c \x80\xff]"}, io.EOF},
		// Length of a line.
		{"8192 bytes", long(8192), []string{"REA 1 [" + strings.Repeat("a", 8185) + "]"}, io.EOF},
		{"8193 bytes", long(8193), nil, msnp.ErrLineTooLong},
		{"8192 bytes without an end", long(8193)[:8192], nil, msnp.ErrLineTooLong},
		{"an empty line too long", strings.Repeat(" ", 8192) + "\n", nil, msnp.ErrLineTooLong},
		{"a long line behind a short one", "INF 1\r\n" + long(8192), []string{"INF 1 []", "REA 1 [" + strings.Repeat("a", 8185) + "]"}, io.EOF},
		// Arguments.
		{"surplus arguments are kept", "CHG 31 NLN 0\r\n", []string{"CHG 31 [NLN 0]"}, io.EOF},
		{"no more than 64 of them", "CHG 31" + strings.Repeat(" 0", 70) + "\r\n", []string{"CHG 31 [" + strings.TrimSpace(strings.Repeat("0 ", 64)) + "]"}, io.EOF},
		{"a length behind surplus arguments counts", "MSG 3 N" + strings.Repeat(" 0", 70) + " 2\r\nhi", []string{"MSG 3 [N " + strings.TrimSpace(strings.Repeat("0 ", 63)) + `] "hi"`}, io.EOF},
		// Payloads.
		{"the next command begins behind the payload", "MSG 3 N 4\r\nOUT\nOUT\r\n", []string{`MSG 3 [N 4] "OUT\n"`, "OUT []"}, io.EOF},
		{"LF alone before a payload", "MSG 3 N 3\nhi\rOUT\r\n", []string{`MSG 3 [N 3] "hi\r"`, "OUT []"}, io.EOF},
		{"payload of length 0", "MSG 13 N 0\r\nOUT\r\n", []string{"MSG 13 [N 0]", "OUT []"}, io.EOF},
		{"any bytes in a payload", "MSG 3 N 4\r\n\x00\xff\r\n", []string{`MSG 3 [N 4] "\x00\xff\r\n"`}, io.EOF},
		{"1664 bytes", "MSG 3 N 1664\r\n" + text + "OUT\r\n", []string{`MSG 3 [N 1664] "` + text + `"`, "OUT []"}, io.EOF},
		{"1665 bytes", "MSG 3 N 1665\r\n" + text + "x", nil, msnp.ErrPayloadLength},
		{"a lie about the length is not waited for", "MSG 3 N 4294967295\r\n", nil, msnp.ErrPayloadLength},
		{"length over 32 bits", "MSG 3 N 4294967296\r\n", nil, msnp.ErrPayloadLength},
		{"length negative", "MSG 3 N -1\r\n", nil, msnp.ErrPayloadLength},
		{"length no number", "MSG 3 N x\r\n", nil, msnp.ErrPayloadLength},
		{"length missing", "MSG 3\r\n", nil, msnp.ErrPayloadLength},
		{
			"QRY of 32", "QRY 11 msmsgs@msnmsgr.com 32\r\n5900baf7ab746df3bef2c20e04dd1f94PNG\r\n",
			[]string{`QRY 11 [msmsgs@msnmsgr.com 32] "5900baf7ab746df3bef2c20e04dd1f94"`, "PNG []"},
			io.EOF,
		},
		{"QRY of 31", "QRY 11 msmsgs@msnmsgr.com 31\r\n", nil, msnp.ErrPayloadLength},
		{"QRY of 33", "QRY 11 msmsgs@msnmsgr.com 33\r\n", nil, msnp.ErrPayloadLength},
		{"QRY of 0", "QRY 11 msmsgs@msnmsgr.com 0\r\n", nil, msnp.ErrPayloadLength},
		{
			"SDC", "SDC 46 dan@example.net 0x0409 MSMSGS MSMSGS X X Ann 14\r\nCome and chat!OUT\r\n",
			[]string{`SDC 46 [dan@example.net 0x0409 MSMSGS MSMSGS X X Ann 14] "Come and chat!"`, "OUT []"},
			io.EOF,
		},
		{
			"SDC without a text", "SDC 47 dan@example.net 0x0409 MSMSGS MSMSGS X X Ann 0\r\nOUT\r\n",
			[]string{"SDC 47 [dan@example.net 0x0409 MSMSGS MSMSGS X X Ann 0]", "OUT []"},
			io.EOF,
		},
		{"SDC of 1665", "SDC 47 dan@example.net 0x0409 MSMSGS MSMSGS X X Ann 1665\r\n", nil, msnp.ErrPayloadLength},
		{"PAG", "PAG 1 bob@example.com 5\r\n<x/>\nOUT\r\n", []string{`PAG 1 [bob@example.com 5] "<x/>\n"`, "OUT []"}, io.EOF},
		{"PAG of 1665", "PAG 1 bob@example.com 1665\r\n", nil, msnp.ErrPayloadLength},
		// Ends.
		{"nothing", "", nil, io.EOF},
		{"an end amid a line", "INF 1\r\nINF 2", []string{"INF 1 []"}, io.ErrUnexpectedEOF},
		{"an end amid a payload", "MSG 3 N 4\r\nhi", nil, io.ErrUnexpectedEOF},
		{"an end before a payload", "MSG 3 N 4\r\n", nil, io.ErrUnexpectedEOF},
	})
}

func TestServersWordsAreUnknownFromClients(t *testing.T) {
	for _, verb := range strings.Fields("NLN FLN ILN RNG BPR NOT IPG QNG ACK NAK BYE JOI IRO") {
		_, err := readAll(msnp.NewReader(strings.NewReader(verb+" 1 2 3\r\n"), msnp.FromClient))
		if !errors.Is(err, msnp.ErrUnknownVerb) {
			t.Errorf("%s from a client: want %v, got %v", verb, msnp.ErrUnknownVerb, err)
		}
	}
}

func TestReadFromServer(t *testing.T) {
	testReads(t, msnp.FromServer, []readTest{
		{
			"replies", "VER 1 MSNP7\r\nQNG\r\nNLN AWY bob@example.com Bob\r\n",
			[]string{"VER [1 MSNP7]", "QNG []", "NLN [AWY bob@example.com Bob]"},
			io.EOF,
		},
		{"errors", "217 4\r\n911 7\r\n500\r\n", []string{"217 [4]", "911 [7]", "500 []"}, io.EOF},
		{"a TrID stays among the arguments", "CHG 9 NLN\r\n", []string{"CHG [9 NLN]"}, io.EOF},
		{
			"payloads", "MSG Hotmail Hotmail 2\r\nhiNOT 3\r\n<x>IPG 0\r\nOUT OTH\r\n",
			[]string{`MSG [Hotmail Hotmail 2] "hi"`, `NOT [3] "<x>"`, "IPG [0]", "OUT [OTH]"},
			io.EOF,
		},
		{"QRY has none", "QRY 11\r\nQNG\r\n", []string{"QRY [11]", "QNG []"}, io.EOF},
		{"long payloads", "MSG a b 2000\r\n" + strings.Repeat("x", 2000), []string{`MSG [a b 2000] "` + strings.Repeat("x", 2000) + `"`}, io.EOF},
		{"65537 bytes", "MSG a b 65537\r\n", nil, msnp.ErrPayloadLength},
		{"LF alone", "QNG\n", nil, msnp.ErrForm},
		{"CR twice", "QNG\r\r\n", nil, msnp.ErrControlByte},
		{"an empty line", "\r\n", nil, msnp.ErrForm},
		{"two blanks", "CHG  9 NLN\r\n", nil, msnp.ErrForm},
		{"a blank at the end", "PRP 8 9 PHW \r\n", nil, msnp.ErrForm},
		{"a tab", "CHG\t9\r\n", nil, msnp.ErrControlByte},
		{"raw UTF-8", "NLN NLN bob@example.com Böb\r\n", nil, msnp.ErrForm},
		{"64 arguments", "FND" + strings.Repeat(" a", 64) + "\r\n", []string{"FND [" + strings.TrimSpace(strings.Repeat("a ", 64)) + "]"}, io.EOF},
		{"65 arguments", "FND" + strings.Repeat(" a", 65) + "\r\n", nil, msnp.ErrTooManyArgs},
		{"an unknown word", "UBX 1\r\n", nil, msnp.ErrUnknownVerb},
		{"two digits", "91 1\r\n", nil, msnp.ErrUnknownVerb},
		{"four digits", "0911 1\r\n", nil, msnp.ErrUnknownVerb},
		{"a client's word", "PNG\r\n", nil, msnp.ErrUnknownVerb},
	})
}

func TestReaderLimitsAreFields(t *testing.T) {
	read := func(input string, set func(*msnp.Reader)) error {
		r := msnp.NewReader(strings.NewReader(input), msnp.FromClient)
		set(r)
		_, err := readAll(r)
		return err
	}
	for _, test := range []struct {
		name  string
		input string
		set   func(*msnp.Reader)
		want  error
	}{
		{"a line of Line bytes", "CHG 1 NLN\r\n", func(r *msnp.Reader) { r.Line = 11 }, io.EOF},
		{"a line over Line bytes", "CHG 1 NLN\r\n", func(r *msnp.Reader) { r.Line = 10 }, msnp.ErrLineTooLong},
		{"a payload of Payload bytes", "MSG 1 N 3\r\nabc", func(r *msnp.Reader) { r.Line, r.Payload = 11, 3 }, io.EOF},
		{"a payload over Payload bytes", "MSG 1 N 3\r\nabc", func(r *msnp.Reader) { r.Payload = 2 }, msnp.ErrPayloadLength},
		{"a payload over the default", "MSG 1 N 1665\r\n" + strings.Repeat("x", 1665), func(r *msnp.Reader) { r.Payload = 1665 }, io.EOF},
		{"QRY is exact whatever Payload", "QRY 1 x 32\r\n" + strings.Repeat("x", 32), func(r *msnp.Reader) { r.Payload = 31 }, msnp.ErrPayloadLength},
	} {
		if got := read(test.input, test.set); !errors.Is(got, test.want) {
			t.Errorf("%s: want %v, got %v", test.name, test.want, got)
		}
	}

	r := msnp.NewReader(strings.NewReader("VER 1 a b c d\r\n"), msnp.FromClient)
	r.Args = 2
	if got, _ := readAll(r); len(got) != 1 || got[0] != "VER 1 [a b]" {
		t.Errorf("Args 2: want the first two arguments, got %q", got)
	}
}

func TestSyntaxErrorQuotesNothingFromOutside(t *testing.T) {
	for input, want := range map[string]string{
		"SECRET 1\r\n":          "read command: unknown command",
		"MSG 1 N SECRET\r\n":    "read command MSG: bad payload length: not a number",
		"MSG 1 N 99999\r\n":     "read command MSG: bad payload length: not allowed",
		"CHG SECRET\r\n":        "read command CHG: bad transaction id",
		"CHG 1 SECRET\x00\r\n":  "read command: control byte in a line",
		"CHG 1 SECRET\r \r\r\n": "read command: control byte in a line",
	} {
		_, err := readAll(msnp.NewReader(strings.NewReader(input), msnp.FromClient))
		if err == nil || err.Error() != want {
			t.Errorf("read %q: want %q, got %v", input, want, err)
		}
		var syntax *msnp.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("read %q: want a *SyntaxError, got %T", input, err)
		}
	}
}

// interrupted hands out its parts one at a time with a deadline's error
// between them.
type interrupted struct {
	parts []string
	pause bool
}

func (s *interrupted) Read(p []byte) (int, error) {
	if s.pause = !s.pause; s.pause {
		return 0, os.ErrDeadlineExceeded
	}
	if len(s.parts) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.parts[0])
	if s.parts[0] = s.parts[0][n:]; s.parts[0] == "" {
		s.parts = s.parts[1:]
	}
	return n, nil
}

func TestDeadlineLosesNothing(t *testing.T) {
	src := &interrupted{parts: []string{"CH", "G 9 NLN\r", "\nMSG 3", " N 5\r\n", "he", "llo", "OUT\r\n"}}
	r := msnp.NewReader(src, msnp.FromClient)
	var got []string
	var cmd msnp.Command
	pauses := 0
	for {
		err := r.Next(&cmd)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if cmd.Verb != "" {
				t.Errorf("an error left %s in the command", show(&cmd))
			}
			pauses++
			continue
		}
		if err != nil {
			if err != io.EOF {
				t.Errorf("want the end, got %v", err)
			}
			break
		}
		got = append(got, show(&cmd))
	}
	want := `["CHG 9 [NLN]" "MSG 3 [N 5] \"hello\"" "OUT []"]`
	if s := fmt.Sprintf("%q", got); s != want {
		t.Errorf("want %s, got %s", want, s)
	}
	if pauses < 7 {
		t.Errorf("want every deadline reported, got %d", pauses)
	}
}

func TestErrorBesideBytesIsReportedAfterThem(t *testing.T) {
	broken := errors.New("cable cut")
	r := msnp.NewReader(iotest.DataErrReader(io.MultiReader(strings.NewReader("INF 1\r\n"), iotest.ErrReader(broken))), msnp.FromClient)
	got, err := readAll(r)
	if len(got) != 1 || !errors.Is(err, broken) {
		t.Errorf("want one command and %v, got %q and %v", broken, got, err)
	}
}

func TestSourceWithoutProgress(t *testing.T) {
	r := msnp.NewReader(readerFunc(func([]byte) (int, error) { return 0, nil }), msnp.FromClient)
	if _, err := readAll(r); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("want %v, got %v", io.ErrNoProgress, err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestBufferedAndReset(t *testing.T) {
	r := msnp.NewReader(strings.NewReader("INF 1\r\nINF 2\r\nCH"), msnp.FromClient)
	var cmd msnp.Command
	for _, want := range []int{len("INF 2\r\nCH"), len("CH")} {
		if err := r.Next(&cmd); err != nil {
			t.Fatal(err)
		}
		if got := r.Buffered(); got != want {
			t.Errorf("behind %s: want %d bytes buffered, got %d", show(&cmd), want, got)
		}
	}
	r.Reset(strings.NewReader("OUT\r\n"))
	if got := r.Buffered(); got != 0 {
		t.Errorf("after Reset: want nothing buffered, got %d", got)
	}
	if got, err := readAll(r); len(got) != 1 || got[0] != "OUT []" || err != io.EOF {
		t.Errorf("after Reset: want OUT alone, got %q, %v", got, err)
	}
}

// asked records how much a Reader asks for at a time.
type asked struct {
	src  io.Reader
	most int
}

func (a *asked) Read(p []byte) (int, error) {
	a.most = max(a.most, len(p))
	return a.src.Read(p)
}

func TestBufferGrowsOnDemand(t *testing.T) {
	src := &asked{src: strings.NewReader(strings.Repeat("CHG 9 NLN\r\n", 10000))}
	if _, err := readAll(msnp.NewReader(src, msnp.FromClient)); err != io.EOF {
		t.Fatal(err)
	}
	if src.most != 2048 {
		t.Errorf("short commands: want a buffer of 2048 bytes, got %d", src.most)
	}
	longest := "REA 1 " + strings.Repeat("a", 8192-8) + "\r\n"
	src = &asked{src: strings.NewReader(strings.Repeat(longest, 10))}
	if _, err := readAll(msnp.NewReader(src, msnp.FromClient)); err != io.EOF {
		t.Fatal(err)
	}
	if src.most > 8192+1664 {
		t.Errorf("long lines: want no buffer over %d bytes, got %d", 8192+1664, src.most)
	}
}

func TestReadAllocatesNothing(t *testing.T) {
	var stream bytes.Buffer
	stream.WriteString("PNG\r\nCHG 9 NLN\r\n \r\nADD 12 FL bob@example.com Bob 2\nVER 1 MSNP7 MSNP6 MSNP5 MSNP4 CVR0\r\n")
	stream.WriteString("MSG 3 N 1664\r\n" + strings.Repeat("x", 1664))
	data := stream.Bytes()
	src := bytes.NewReader(nil)
	r := msnp.NewReader(src, msnp.FromClient)
	var cmd msnp.Command
	if n := testing.AllocsPerRun(100, func() {
		src.Reset(data)
		r.Reset(src)
		for range 5 {
			if err := r.Next(&cmd); err != nil {
				t.Fatal(err)
			}
		}
	}); n != 0 {
		t.Errorf("read from a client: want no allocation, got %v", n)
	}

	replies := []byte("NLN AWY bob@example.com Bob\r\n217 4\r\nMSG a@b.c A 2\r\nhi")
	back := msnp.NewReader(src, msnp.FromServer)
	if n := testing.AllocsPerRun(100, func() {
		src.Reset(replies)
		back.Reset(src)
		for range 3 {
			if err := back.Next(&cmd); err != nil {
				t.Fatal(err)
			}
		}
	}); n != 0 {
		t.Errorf("read from a server: want no allocation, got %v", n)
	}
}

func BenchmarkRead(b *testing.B) {
	for _, bench := range []struct{ name, command string }{
		{"PNG", "PNG\r\n"},
		{"CHG", "CHG 9 NLN\r\n"},
		{"ADD", "ADD 12 FL bob@example.com Bob%20Roe 2\r\n"},
		{"MSG", "MSG 3 N 130\r\n" + strings.Repeat("x", 130)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			data := []byte(strings.Repeat(bench.command, 100))
			src := bytes.NewReader(nil)
			r := msnp.NewReader(src, msnp.FromClient)
			var cmd msnp.Command
			b.SetBytes(int64(len(bench.command)))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%100 == 0 {
					src.Reset(data)
					r.Reset(src)
				}
				if err := r.Next(&cmd); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
