package msnp_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/monarch-msn/monarch/msnp"
)

func TestParseEmail(t *testing.T) {
	for _, test := range []struct {
		in   string
		want string
		err  error
	}{
		{"ann@example.com", "ann@example.com", nil},
		{"ANN@Example.Com", "ann@example.com", nil},
		{"ann%40example%2ecom", "ann@example.com", nil},
		{"a%4En@example.com", "ann@example.com", nil},
		{"o'brien+msn@sub.example.co.uk", "o'brien+msn@sub.example.co.uk", nil},
		{"1@2.3", "1@2.3", nil},
		{"hello", "", msnp.ErrEmailSyntax},
		{"", "", msnp.ErrEmailSyntax},
		{"ann@", "", msnp.ErrEmailSyntax},
		{"@example.com", "", msnp.ErrEmailSyntax},
		{"@@a", "", msnp.ErrEmailSyntax},
		{"a@b", "", msnp.ErrEmailSyntax},
		{"a@b@c.d", "", msnp.ErrEmailSyntax},
		{"a@.b", "", msnp.ErrEmailSyntax},
		{"a@b.", "", msnp.ErrEmailSyntax},
		{"a@b..c", "", msnp.ErrEmailSyntax},
		{"a@b.c:1863", "", msnp.ErrEmailSyntax},
		{"a:b@example.com", "", msnp.ErrEmailSyntax},
		{"a,b@example.com", "", msnp.ErrEmailSyntax},
		{"a%b@example.com", "", msnp.ErrEmailSyntax},
		{"a%25b@example.com", "", msnp.ErrEmailSyntax},
		{"a%20b@example.com", "", msnp.ErrEmailSyntax},
		{"a%00b@example.com", "", msnp.ErrEmailSyntax},
		{"é@example.com", "", msnp.ErrEmailSyntax},
		{"a@exämple.com", "", msnp.ErrEmailSyntax},
		{strings.Repeat("a", 117) + "@example.com", strings.Repeat("a", 117) + "@example.com", nil},
		{strings.Repeat("a", 118) + "@example.com", "", msnp.ErrEmailTooLong},
	} {
		e, err := msnp.ParseEmail([]byte(test.in))
		if e.String() != test.want || !errors.Is(err, test.err) {
			t.Errorf("ParseEmail(%q): want %q, %v, got %q, %v", test.in, test.want, test.err, e, err)
		}
		if e.IsZero() != (err != nil) {
			t.Errorf("ParseEmail(%q): IsZero is %v with error %v", test.in, e.IsZero(), err)
		}
		if err == nil && e != msnp.MakeEmail(test.want) {
			t.Errorf("ParseEmail(%q) does not equal MakeEmail(%q)", test.in, test.want)
		}
	}
	if size := unsafe.Sizeof(msnp.Email{}); size != unsafe.Sizeof(uintptr(0)) {
		t.Errorf("size of Email: want one word, got %d bytes", size)
	}
	if e := msnp.MakeEmail(""); !e.IsZero() || e.String() != "" {
		t.Errorf("MakeEmail of nothing: want the zero Email, got %q", e)
	}
}

func TestParseNick(t *testing.T) {
	for _, test := range []struct {
		in   string
		most int
		want msnp.Nick
		err  error
	}{
		{"Ann", 387, "Ann", nil},
		{"Al%20é", 387, "Al%20%C3%A9", nil},                      // aMSN: raw UTF-8 is encoded, and nothing else
		{"ann%40example%2Ecom", 387, "ann%40example%2Ecom", nil}, // over-encoding stays
		{"ann%40example%2ecom", 387, "ann%40example%2ecom", nil}, // Gaim: so does lower-case hex
		{"123%20(4567)+-._~!", 387, "123%20(4567)+-._~!", nil},   // punctuation stays raw
		{"100%", 387, "100%", nil},                               // what is no escape stays
		{"%G1%2", 387, "%G1%2", nil},                             //
		{"a%00b%0D%0A", 387, "a%00b%0D%0A", nil},                 // harmless while encoded
		{"%C3%A9", 387, "%C3%A9", nil},                           //
		{"%C3é", 387, "", msnp.ErrNickNotUTF8},                   // broken once decoded
		{"\xff", 387, "", msnp.ErrNickNotUTF8},                   //
		{"%ff", 387, "", msnp.ErrNickNotUTF8},                    //
		{"%ED%A0%80", 387, "", msnp.ErrNickNotUTF8},              // half of a surrogate pair
		{"é", 6, "%C3%A9", nil},                                  // two raw bytes count six
		{"é", 5, "", msnp.ErrNickTooLong},                        //
		{"%20%20", 6, "%20%20", nil},                             //
		{"%20%20", 5, "", msnp.ErrNickTooLong},                   //
		{strings.Repeat("a", 61), 61, msnp.Nick(strings.Repeat("a", 61)), nil},
		{strings.Repeat("a", 62), 61, "", msnp.ErrNickTooLong},
		{strings.Repeat("é", 2000), 387, "", msnp.ErrNickTooLong},
		{strings.Repeat("é", 2000), 12000, msnp.Nick(strings.Repeat("%C3%A9", 2000)), nil},
	} {
		n, err := msnp.ParseNick([]byte(test.in), test.most)
		if n != test.want || !errors.Is(err, test.err) {
			t.Errorf("ParseNick(%.40q, %d): want %.40q, %v, got %.40q, %v", test.in, test.most, test.want, test.err, n, err)
		}
	}
}

func TestEncodeAndDecodeNick(t *testing.T) {
	for text, want := range map[string]msnp.Nick{
		"":                  "",
		"Ann":               "Ann",
		"Cat Doe":           "Cat%20Doe",
		"123 (4567)":        "123%20(4567)",
		"100%":              "100%25",
		"%41":               "%2541",
		"Grüß Gott":         "Gr%C3%BC%C3%9F%20Gott",
		"a\tb\r\nc\x00\x7f": "a%09b%0D%0Ac%00%7F",
		"a+b":               "a+b",
	} {
		n := msnp.EncodeNick(text)
		if n != want {
			t.Errorf("EncodeNick(%q): want %q, got %q", text, want, n)
		}
		if back := n.Decode(); back != text {
			t.Errorf("%q.Decode(): want %q, got %q", n, text, back)
		}
	}
	if n := msnp.EncodeNick("a\xffb"); n != "a%EF%BF%BDb" {
		t.Errorf("EncodeNick of broken UTF-8: want a replacement, got %q", n)
	}
	for n, want := range map[msnp.Nick]string{
		"%c3%a9":              "é",
		"%C3%a9":              "é",
		"%G1":                 "%G1",
		"100%":                "100%",
		"%2":                  "%2",
		"%%41":                "%A",
		"ann%40example%2Ecom": "ann@example.com",
	} {
		if got := n.Decode(); got != want {
			t.Errorf("%q.Decode(): want %q, got %q", n, want, got)
		}
	}
	if n := msnp.Nick("").Or(ann); n != "ann@example.com" {
		t.Errorf("an unset name: want the address, got %q", n)
	}
	if n := msnp.Nick("Ann").Or(ann); n != "Ann" {
		t.Errorf("a name that is set: want itself, got %q", n)
	}
}

func TestStatus(t *testing.T) {
	words := strings.Fields("NLN BSY IDL BRB AWY PHN LUN HDN FLN")
	for i, w := range words {
		s, ok := msnp.ParseStatus([]byte(w))
		if !ok || s.String() != w || s != msnp.NLN+msnp.Status(i) {
			t.Errorf("ParseStatus(%q): got %v, %v", w, s, ok)
		}
		if want := w != "HDN" && w != "FLN"; s.Visible() != want {
			t.Errorf("%v.Visible(): want %v", s, want)
		}
	}
	for _, w := range []string{"", "nln", "Nln", "XYZ", "NLN ", "none"} {
		if s, ok := msnp.ParseStatus([]byte(w)); ok || s != msnp.StatusNone {
			t.Errorf("ParseStatus(%q): want none, got %v", w, s)
		}
	}
	var zero msnp.Status
	if zero != msnp.StatusNone || zero.Visible() || zero.String() != "none" || msnp.Status(200).String() != "none" {
		t.Errorf("the zero Status: want none and invisible, got %v", zero)
	}
}

func TestList(t *testing.T) {
	if got := fmt.Sprint(msnp.Lists); got != "[FL AL BL RL]" {
		t.Errorf("order of lists: want FL AL BL RL, got %v", got)
	}
	for _, l := range msnp.Lists {
		if got, ok := msnp.ParseList([]byte(l.String())); !ok || got != l {
			t.Errorf("ParseList(%v): got %v, %v", l, got, ok)
		}
	}
	for _, w := range []string{"", "fl", "PL", "FL ", "FL+AL", "none"} {
		if l, ok := msnp.ParseList([]byte(w)); ok {
			t.Errorf("ParseList(%q): want none, got %v", w, l)
		}
	}
	set := msnp.FL | msnp.AL
	if !set.Has(msnp.FL) || !set.Has(msnp.AL) || set.Has(msnp.BL) || set.Has(msnp.FL|msnp.RL) || !set.Has(set) {
		t.Errorf("%v.Has answers wrongly", set)
	}
	if set.String() != "FL+AL" || msnp.List(0).String() != "none" {
		t.Errorf("sets of lists: want FL+AL and none, got %v and %v", set, msnp.List(0))
	}
}

func TestGroupSet(t *testing.T) {
	var g msnp.GroupSet
	if !g.Empty() || g.Has(0) {
		t.Error("the zero set: want it empty")
	}
	g = g.With(29).With(0).With(2).With(2)
	if got := slices.Collect(g.All()); !slices.Equal(got, []uint32{0, 2, 29}) {
		t.Errorf("All: want 0 2 29, got %v", got)
	}
	g = g.Without(0).Without(1)
	if g.Empty() || g.Has(0) || !g.Has(2) || g.Has(1) {
		t.Errorf("Without: want 2 and 29, got %v", slices.Collect(g.All()))
	}
	if g.With(32) != g || g.Without(1<<31) != g || g.Has(32) || g.Has(1<<32-1) {
		t.Error("ids of 32 and more: want them to change nothing")
	}
	for id := range g.All() {
		if id != 2 {
			t.Errorf("All: want 2 first, got %d", id)
		}
		break
	}
}

func TestAdmits(t *testing.T) {
	for _, test := range []struct {
		name     string
		blpAllow bool
		lists    msnp.List
		want     bool
	}{
		{"on neither list, BLP AL", true, 0, true},
		{"on neither list, BLP BL", false, 0, false},
		{"allowed, BLP AL", true, msnp.AL, true},
		{"allowed, BLP BL", false, msnp.AL, true},
		{"blocked, BLP AL", true, msnp.BL, false},
		{"blocked, BLP BL", false, msnp.BL, false},
		{"on both, which cannot be", true, msnp.AL | msnp.BL, false},
		{"FL and RL play no part, BLP AL", true, msnp.FL | msnp.RL, true},
		{"FL and RL play no part, BLP BL", false, msnp.FL | msnp.RL, false},
	} {
		if got := msnp.Admits(test.blpAllow, test.lists); got != test.want {
			t.Errorf("%s: want %v, got %v", test.name, test.want, got)
		}
	}
}

func TestLoginChallenge(t *testing.T) {
	// The first is published by hypothetic.org, the others come from
	// sessions of this protocol.
	for _, test := range []struct{ challenge, password, want string }{
		{"1013928519.693957190", "mypassword", "6f3963009fc8a9d2b2ff137da0905c55"},
		{"1726321960.482915073", "swordfish", "bec0ba62b515cf44b19b7acfb9e82524"},
		{"1726321999.100200300", "swordfish", "bc052b994880901956793784590a9807"},
		{"933811200.110294", "swordfish", "1b59d166421ef04a7eb8dd6e2df1cd9e"},
		{"1726330000.555000222", "tulip99", "c59740d5e059abd18b55d99e37c9cd57"},
	} {
		sum := msnp.Respond(test.challenge, test.password)
		if got := hex.EncodeToString(sum[:]); got != test.want {
			t.Errorf("Respond(%q, %q): want %s, got %s", test.challenge, test.password, test.want, got)
		}
		for _, digits := range []string{test.want, strings.ToUpper(test.want)} {
			if got, ok := msnp.ParseResponse([]byte(digits)); !ok || got != sum {
				t.Errorf("ParseResponse(%s): got %x, %v", digits, got, ok)
			}
		}
	}
	for _, digits := range []string{"", "6f", strings.Repeat("0", 31), strings.Repeat("0", 33), strings.Repeat("g", 32)} {
		if _, ok := msnp.ParseResponse([]byte(digits)); ok {
			t.Errorf("ParseResponse(%q): want it refused", digits)
		}
	}
	shape := regexp.MustCompile(`^[1-9]\d{9}\.\d{9}$`)
	seen := make(map[string]bool)
	for range 1000 {
		c := msnp.NewChallenge()
		if !shape.MatchString(c) || seen[c] {
			t.Fatalf("NewChallenge: want a fresh one like 1013928519.693957190, got %q", c)
		}
		seen[c] = true
	}
}

func TestClientChallenge(t *testing.T) {
	for _, test := range []struct{ challenge, product, want string }{
		{"12345678901234567890", msnp.DefaultProduct, "8ba1bb9d6dbf624fee31a2053af5fdd0"},
		{"31415926535897932384", msnp.DefaultProduct, "5900baf7ab746df3bef2c20e04dd1f94"},
	} {
		sum, ok := msnp.RespondClient(test.challenge, test.product)
		if got := hex.EncodeToString(sum[:]); !ok || got != test.want {
			t.Errorf("RespondClient(%q, %q): want %s, got %s", test.challenge, test.product, test.want, got)
		}
	}
	for product, want := range map[string]bool{"PROD0038W!61ZTF9": true, "PROD0058#7IL2{QD": true, "": false, "MSMSGS@msnmsgr.com": false} {
		if _, ok := msnp.RespondClient("1", product); ok != want {
			t.Errorf("product %q: want known %v", product, want)
		}
	}
	shape := regexp.MustCompile(`^\d{20}$`)
	if a, b := msnp.NewClientChallenge(), msnp.NewClientChallenge(); !shape.MatchString(a) || a == b {
		t.Errorf("NewClientChallenge: want fresh ones of 20 digits, got %q and %q", a, b)
	}
}

func TestCode(t *testing.T) {
	var err error = fmt.Errorf("add bob: %w", msnp.CodeListFull)
	var code msnp.Code
	if !errors.As(err, &code) || code != 210 {
		t.Errorf("a wrapped code: want 210, got %d", code)
	}
	for code, want := range map[msnp.Code]string{
		msnp.CodeNotOnline:      "217 not online",
		msnp.CodeAuthentication: "911 authentication failed",
		999:                     "999 unknown",
	} {
		if got := code.Error(); got != want {
			t.Errorf("text of %d: want %q, got %q", code, want, got)
		}
	}
}
