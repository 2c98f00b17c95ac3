package msnp_test

import (
	"strings"
	"testing"

	"github.com/monarch-msn/monarch/msnp"
)

var (
	ann = msnp.MakeEmail("ann@example.com")
	bob = msnp.MakeEmail("bob@example.com")
)

func TestLine(t *testing.T) {
	id := []byte("12")
	for _, test := range []struct {
		name   string
		append func(l *msnp.Line)
		want   string
	}{
		{"nothing", func(l *msnp.Line) {}, ""},
		{"a verb alone", func(l *msnp.Line) { l.Verb("QNG") }, "QNG\r\n"},
		{"words", func(l *msnp.Line) { l.Verb("OUT").Word("OTH") }, "OUT OTH\r\n"},
		{"a new verb ends the line", func(l *msnp.Line) { l.Verb("QNG"); l.Verb("OUT") }, "QNG\r\nOUT\r\n"},
		{"presence", func(l *msnp.Line) { l.Verb("NLN").Status(msnp.AWY).Email(bob).Nick("Bob") }, "NLN AWY bob@example.com Bob\r\n"},
		{"an echo of the TrID", func(l *msnp.Line) { l.Verb("CHG").TrID([]byte("007")).Status(msnp.NLN) }, "CHG 007 NLN\r\n"},
		{"no TrID is 0", func(l *msnp.Line) {
			l.Verb("ADD").TrID(nil).List(msnp.RL).Uint(5).Email(ann).Nick("Ann")
		}, "ADD 0 RL 5 ann@example.com Ann\r\n"},
		{"the highest version", func(l *msnp.Line) { l.Verb("SYN").TrID(id).Uint(1<<32 - 1) }, "SYN 12 4294967295\r\n"},
		{"groups", func(l *msnp.Line) { l.Verb("X").Groups(msnp.GroupSet(0).With(2).With(0).With(29)) }, "X 0,2,29\r\n"},
		{"no group is 0", func(l *msnp.Line) { l.Verb("X").Groups(0) }, "X 0\r\n"},
		{"flags", func(l *msnp.Line) { l.Verb("X").Flag(true).Flag(false) }, "X Y N\r\n"},
		{"an optional word", func(l *msnp.Line) { l.Verb("PRP").TrID(id).Uint(9).Word("PHH").Optional("123%20(4567)") }, "PRP 12 9 PHH 123%20(4567)\r\n"},
		{"an optional word left out", func(l *msnp.Line) { l.Verb("PRP").TrID(id).Uint(9).Word("PHW").Optional("") }, "PRP 12 9 PHW\r\n"},
		{"a session without a state is offline", func(l *msnp.Line) { l.Verb("X").Status(msnp.StatusNone) }, "X FLN\r\n"},
		{"a name as it is stored", func(l *msnp.Line) { l.Verb("X").Nick("ann%40example%2ecom+%") }, "X ann%40example%2ecom+%\r\n"},
		{"no byte that breaks a line", func(l *msnp.Line) { l.Verb("X").Nick("a b\r\n\x00\x7f\té") }, "X a%20b%0D%0A%00%7F%09%C3%A9\r\n"},
		{"no word that breaks a line", func(l *msnp.Line) { l.Verb("X").Word("a b\r\n").Optional("c d") }, "X a%20b%0D%0A c%20d\r\n"},
		{"no echo that breaks a line", func(l *msnp.Line) { l.Verb("X").Echo([]byte("4.6\xff")).Echo(nil) }, "X 4.6%FF %20\r\n"},
		{"no empty word", func(l *msnp.Line) { l.Verb("X").Nick("").Word("").Email(msnp.Email{}) }, "X %20 %20 %20\r\n"},
		{"an error", func(l *msnp.Line) { l.Code(msnp.CodeNotOnline, id) }, "217 12\r\n"},
		{"an error behind an open line", func(l *msnp.Line) { l.Verb("QNG"); l.Code(msnp.CodeNotOnline, id) }, "QNG\r\n217 12\r\n"},
		{"an error of three digits", func(l *msnp.Line) { l.Code(7, id) }, "007 12\r\n"},
		{"an error of no command", func(l *msnp.Line) { l.Code(msnp.CodeInternal, nil) }, "500\r\n"},
		{"a payload", func(l *msnp.Line) {
			l.Verb("MSG").Email(ann).Nick("Ann").Payload([]byte("Grüß\r\n"))
			l.Verb("QNG")
		}, "MSG ann@example.com Ann 8\r\nGrüß\r\nQNG\r\n"},
		{"an empty payload", func(l *msnp.Line) { l.Verb("NOT").Payload(nil) }, "NOT 0\r\n"},
	} {
		var l msnp.Line
		test.append(&l)
		if got := l.Len(); got != len(test.want) {
			t.Errorf("%s: want length %d, got %d", test.name, len(test.want), got)
		}
		if got := string(l.Bytes()); got != test.want {
			t.Errorf("%s:\nwant %q\n got %q", test.name, test.want, got)
		}
		if got := string(l.Bytes()); got != test.want {
			t.Errorf("%s, asked twice:\nwant %q\n got %q", test.name, test.want, got)
		}
		if got := string(l.Reset().Verb("QNG").Bytes()); got != "QNG\r\n" {
			t.Errorf("%s: after Reset want QNG alone, got %q", test.name, got)
		}
	}
}

func TestLineAllocatesNothing(t *testing.T) {
	var l msnp.Line
	trid := []byte("12")
	text := []byte(strings.Repeat("x", 200))
	groups := []msnp.Group{{ID: 0, Name: "Other%20Contacts"}, {ID: 1, Name: "Friends"}}
	phones := msnp.Phones{Home: "1"}
	if n := testing.AllocsPerRun(100, func() {
		l.Reset()
		l.Verb("NLN").Status(msnp.AWY).Email(bob).Nick("Bob%20Roe")
		l.Verb("LST").TrID(trid).List(msnp.FL).Uint(9).Groups(0b101).Optional("x").Flag(true).Echo(trid)
		l.Code(msnp.CodeNotOnline, trid)
		l.Verb("MSG").Email(bob).Nick("Bob").Payload(text)
		msnp.MSNP7.AppendContact(&l, trid, msnp.FL, 9, 1, 2, bob, "", 1)
		msnp.MSNP7.AppendPhones(&l, 9, bob, phones)
		msnp.MSNP7.AppendGroups(&l, trid, 9, groups)
		msnp.MSNP7.AppendPrivatePhones(&l, trid, 9, phones, true)
		msnp.MSNP7.AppendUserOK(&l, trid, bob, "Bob", true)
		msnp.MSNP7.AppendProfile(&l, msnp.Profile{LoginTime: 1726321960, Email: bob})
		_ = l.Bytes()
	}); n != 0 {
		t.Errorf("render lines: want no allocation, got %v", n)
	}
}

func BenchmarkLine(b *testing.B) {
	var l msnp.Line
	b.Run("NLN", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			l.Reset().Verb("NLN").Status(msnp.AWY).Email(bob).Nick("Bob%20Roe")
			_ = l.Bytes()
		}
	})
	b.Run("LST", func(b *testing.B) {
		trid := []byte("8")
		b.ReportAllocs()
		for b.Loop() {
			msnp.MSNP7.AppendContact(l.Reset(), trid, msnp.FL, 9, 1, 150, bob, "Bob%20Roe", 0b11)
			_ = l.Bytes()
		}
	})
	b.Run("MSG", func(b *testing.B) {
		text := []byte(strings.Repeat("x", 130))
		b.ReportAllocs()
		for b.Loop() {
			l.Reset().Verb("MSG").Email(bob).Nick("Bob%20Roe").Payload(text)
			_ = l.Bytes()
		}
	})
}
