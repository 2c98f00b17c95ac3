package msnp_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/monarch-msn/monarch/msnp"
)

func offer(words string) [][]byte { return bytes.Fields([]byte(words)) }

func TestNegotiate(t *testing.T) {
	low := []*msnp.Dialect{msnp.MSNP2, msnp.MSNP5}
	for _, test := range []struct {
		offered string
		enabled []*msnp.Dialect
		want    string
		cvr0    bool
		list    string
	}{
		{"MSNP7 MSNP6 MSNP5 MSNP4 CVR0", nil, "MSNP7", false, "MSNP7 MSNP6 MSNP5 MSNP4 CVR0"},
		{"MSNP4 MSNP5 CVR0 MSNP7 MSNP6", nil, "MSNP7", false, "MSNP7 MSNP6 MSNP5 MSNP4 CVR0"},
		{"MSNP7 MSNP6 MSNP5 MSNP4 CVRO", nil, "MSNP7", false, "MSNP7 MSNP6 MSNP5 MSNP4"}, // irchat-msn's letter O
		{"MSNP7", nil, "MSNP7", false, "MSNP7"},
		{"MSNP6 MSNP5 MSNP4 CVR0", nil, "MSNP6", false, "MSNP6 MSNP5 MSNP4 CVR0"},
		{"MSNP5", nil, "MSNP5", false, "MSNP5"},
		{"MSNP4 MSNP3 CVR0", nil, "MSNP4", false, "MSNP4 MSNP3 CVR0"},
		{"MSNP3 MSNP2 CVR0", nil, "MSNP3", false, "MSNP3 MSNP2 CVR0"},
		{"MSNP2 CVR0", nil, "MSNP2", false, "MSNP2 CVR0"},
		{"msnp7 Msnp2 cvr0", nil, "MSNP7", false, "MSNP7 MSNP2 CVR0"},
		{"MSNP15 MSNP14", nil, "none", false, ""},
		{"MSNP8 CVR0", nil, "none", true, "CVR0"},
		{"CVR0", nil, "none", true, "CVR0"},
		{"MSNP1 MSNP MSNP07 MSNP77", nil, "none", false, ""},
		{"", nil, "none", false, ""},
		{"MSNP7 MSNP6 MSNP5 MSNP4 CVR0", low, "MSNP5", false, "MSNP5 CVR0"},
		{"MSNP7 CVR0", low, "none", true, "CVR0"},
		{"MSNP7", low, "none", false, ""},
		{"MSNP7 CVR0", []*msnp.Dialect{}, "none", true, "CVR0"},
	} {
		d, cvr0 := msnp.Negotiate(offer(test.offered), test.enabled)
		if d.String() != test.want || cvr0 != test.cvr0 {
			t.Errorf("Negotiate(%q, %v): want %s, %v, got %v, %v", test.offered, test.enabled, test.want, test.cvr0, d, cvr0)
		}
		if got := strings.Join(msnp.CommonList(offer(test.offered), test.enabled), " "); got != test.list {
			t.Errorf("CommonList(%q, %v): want %q, got %q", test.offered, test.enabled, test.list, got)
		}
	}
}

func TestDialects(t *testing.T) {
	if got := fmt.Sprint(msnp.Dialects()); got != "[MSNP2 MSNP3 MSNP4 MSNP5 MSNP6 MSNP7]" {
		t.Errorf("Dialects: got %s", got)
	}
	msnp.Dialects()[0] = nil
	if msnp.Dialects()[0] != msnp.MSNP2 {
		t.Error("Dialects hands out its own slice")
	}
	for _, d := range msnp.Dialects() {
		for _, name := range []string{d.String(), strings.ToLower(d.String())} {
			if got, ok := msnp.DialectByName(name); !ok || got != d {
				t.Errorf("DialectByName(%q): got %v, %v", name, got, ok)
			}
		}
	}
	for _, name := range []string{"", "MSNP", "MSNP1", "MSNP8", "CVR0", "none"} {
		if d, ok := msnp.DialectByName(name); ok {
			t.Errorf("DialectByName(%q): want none, got %v", name, d)
		}
	}
}

func TestFeatures(t *testing.T) {
	since := map[msnp.Feature]*msnp.Dialect{
		0:             msnp.MSNP2,
		msnp.Referrer: msnp.MSNP3, msnp.Passport: msnp.MSNP3, msnp.SiteID: msnp.MSNP3, msnp.AbsolutePages: msnp.MSNP3, msnp.IMS: msnp.MSNP3, msnp.SNDLocale: msnp.MSNP3,
		msnp.Codebase:     msnp.MSNP4,
		msnp.PhoneNumbers: msnp.MSNP5, msnp.SDC: msnp.MSNP5, msnp.Pages: msnp.MSNP5, msnp.Alerts: msnp.MSNP5,
		msnp.Verified: msnp.MSNP6, msnp.Challenges: msnp.MSNP6,
		msnp.Groups: msnp.MSNP7, msnp.Origin: msnp.MSNP7, msnp.DisabledAnswer: msnp.MSNP7,
		msnp.Referrer | msnp.Groups: msnp.MSNP7, // all of a set
	}
	for f, first := range since {
		has := false
		for _, d := range msnp.Dialects() {
			has = has || d == first
			if got := d.Has(f); got != has {
				t.Errorf("%v has feature %#x: want %v, got %v", d, uint32(f), has, got)
			}
		}
	}
	var none *msnp.Dialect
	if none.Has(msnp.Referrer) || !none.Has(0) || none.String() != "none" || none.Code(msnp.CodeBusy) != msnp.CodeBusy {
		t.Error("no dialect: want no feature, the name none, and codes as they are")
	}
}

func TestCodesOfTheTime(t *testing.T) {
	for _, test := range []struct {
		code msnp.Code
		want [6]msnp.Code // MSNP2 to MSNP7; 0 is silence
	}{
		{msnp.CodeBusy, [6]msnp.Code{600, 600, 600, 600, 600, 600}},
		{msnp.CodeLoginBusy, [6]msnp.Code{600, 600, 600, 600, 600, 921}},
		{msnp.CodeUnavailable, [6]msnp.Code{601, 601, 601, 601, 601, 600}},
		{msnp.CodeGoingDown, [6]msnp.Code{604, 604, 604, 604, 604, 600}},
		{msnp.CodeNoNewUsers, [6]msnp.Code{920, 920, 920, 920, 920, 921}},
		{msnp.CodeInternal, [6]msnp.Code{500, 500, 500, 500, 500, 500}},
		{msnp.CodeDisabled, [6]msnp.Code{0, 0, 0, 0, 0, 502}},
		{msnp.CodeUnspecified, [6]msnp.Code{503, 503, 503, 503, 503, 0}},
		{msnp.CodeChallengeFailed, [6]msnp.Code{0, 0, 0, 0, 540, 540}},
		{msnp.CodeNotVerified, [6]msnp.Code{911, 911, 911, 924, 924, 924}},
		{msnp.CodeChildAccount, [6]msnp.Code{911, 911, 923, 923, 923, 923}},
		{msnp.CodeHidden, [6]msnp.Code{913, 913, 913, 913, 913, 913}},
		{msnp.CodeNotExpected, [6]msnp.Code{715, 715, 715, 715, 715, 715}},
	} {
		for i, d := range msnp.Dialects() {
			if got := d.Code(test.code); got != test.want[i] {
				t.Errorf("%d in %v: want %d, got %d", test.code, d, test.want[i], got)
			}
		}
	}
}

// eachDialect compares what each of the six renders, MSNP2 first.
func eachDialect(t *testing.T, name string, render func(d *msnp.Dialect, l *msnp.Line), want [6]string) {
	t.Helper()
	for i, d := range msnp.Dialects() {
		var l msnp.Line
		render(d, &l)
		if got := string(l.Bytes()); got != want[i] {
			t.Errorf("%s in %v:\nwant %q\n got %q", name, d, want[i], got)
		}
	}
}

// since is a line that all dialects share, but for the first n of them, which
// have nothing.
func since(n int, line string) (want [6]string) {
	for i := n; i < 6; i++ {
		want[i] = line
	}
	return want
}

func TestAppendReferral(t *testing.T) {
	bare, zero := "XFR 3 NS 10.0.0.5:1863\r\n", "XFR 3 NS 10.0.0.5:1863 0\r\n"
	eachDialect(t, "XFR", func(d *msnp.Dialect, l *msnp.Line) {
		d.AppendReferral(l, []byte("3"), "10.0.0.5:1863", "10.0.0.1:1863")
	}, [6]string{bare, zero, zero, zero, zero, "XFR 3 NS 10.0.0.5:1863 0 10.0.0.1:1863\r\n"})
	eachDialect(t, "XFR of a live session", func(d *msnp.Dialect, l *msnp.Line) {
		d.AppendReferral(l, nil, "192.0.2.6:1863", "192.0.2.5:1863")
	}, [6]string{
		"XFR 0 NS 192.0.2.6:1863\r\n", "XFR 0 NS 192.0.2.6:1863 0\r\n", "XFR 0 NS 192.0.2.6:1863 0\r\n",
		"XFR 0 NS 192.0.2.6:1863 0\r\n", "XFR 0 NS 192.0.2.6:1863 0\r\n", "XFR 0 NS 192.0.2.6:1863 0 192.0.2.5:1863\r\n",
	})
}

func TestAppendUserOK(t *testing.T) {
	for _, test := range []struct {
		nick     msnp.Nick
		verified bool
		want     string
	}{
		{"Ann", true, "USR 7 OK ann@example.com Ann| 1"},
		{"Ann%20Lee", false, "USR 7 OK ann@example.com Ann%20Lee| 0"},
		{"", true, "USR 7 OK ann@example.com ann@example.com| 1"},
	} {
		bare, flag, _ := strings.Cut(test.want, "|")
		want := since(0, bare+"\r\n")
		want[4], want[5] = bare+flag+"\r\n", bare+flag+"\r\n"
		eachDialect(t, "USR OK", func(d *msnp.Dialect, l *msnp.Line) {
			d.AppendUserOK(l, []byte("7"), ann, test.nick, test.verified)
		}, want)
	}
}

func TestAppendPrivatePhones(t *testing.T) {
	eachDialect(t, "PRP of SYN", func(d *msnp.Dialect, l *msnp.Line) {
		d.AppendPrivatePhones(l, []byte("8"), 9, msnp.Phones{Home: "123%20(4567)"}, false)
	}, since(3, "PRP 8 9 PHH 123%20(4567)\r\nPRP 8 9 PHW\r\nPRP 8 9 PHM\r\nPRP 8 9 MOB N\r\nPRP 8 9 MBE N\r\n"))
	eachDialect(t, "PRP of SYN, all set", func(d *msnp.Dialect, l *msnp.Line) {
		d.AppendPrivatePhones(l, []byte("8"), 9, msnp.Phones{Home: "1", Work: "2", Mobile: "3", Page: true}, true)
	}, since(3, "PRP 8 9 PHH 1\r\nPRP 8 9 PHW 2\r\nPRP 8 9 PHM 3\r\nPRP 8 9 MOB Y\r\nPRP 8 9 MBE Y\r\n"))
}

func TestAppendPhones(t *testing.T) {
	eachDialect(t, "BPR", func(d *msnp.Dialect, l *msnp.Line) {
		d.AppendPhones(l, 9, bob, msnp.Phones{Home: "1%20(222)%20333%204444"})
	}, since(3, "BPR 9 bob@example.com PHH 1%20(222)%20333%204444\r\nBPR 9 bob@example.com PHW\r\nBPR 9 bob@example.com PHM\r\nBPR 9 bob@example.com MOB N\r\n"))
	eachDialect(t, "BPR, all set", func(d *msnp.Dialect, l *msnp.Line) {
		d.AppendPhones(l, 9, bob, msnp.Phones{Home: "1", Work: "2", Mobile: "3", Page: true})
	}, since(3, "BPR 9 bob@example.com PHH 1\r\nBPR 9 bob@example.com PHW 2\r\nBPR 9 bob@example.com PHM 3\r\nBPR 9 bob@example.com MOB Y\r\n"))
	for _, test := range []struct {
		key   string
		value msnp.Nick
		want  string
	}{
		{"PHH", "123", "BPR 8 bob@example.com PHH 123\r\n"},
		{"PHW", "", "BPR 8 bob@example.com PHW\r\n"},
		{"MOB", "Y", "BPR 8 bob@example.com MOB Y\r\n"},
		{"MOB", "N", "BPR 8 bob@example.com MOB N\r\n"},
		{"MOB", "", "BPR 8 bob@example.com MOB N\r\n"},
	} {
		eachDialect(t, "BPR of "+test.key, func(d *msnp.Dialect, l *msnp.Line) {
			d.AppendPhone(l, 8, bob, test.key, test.value)
		}, since(3, test.want))
	}
}

func TestSetPhones(t *testing.T) {
	var p msnp.Phones
	for key, value := range map[string]msnp.Nick{"PHH": "1", "PHW": "2", "PHM": "3", "MOB": "Y"} {
		if !p.Set(key, value) {
			t.Errorf("Set(%s): want it known", key)
		}
	}
	if want := (msnp.Phones{Home: "1", Work: "2", Mobile: "3", Page: true}); p != want {
		t.Errorf("want %+v, got %+v", want, p)
	}
	if p.Set("MBE", "Y") || p.Set("", "Y") || p.Set("phh", "Y") {
		t.Error("an unknown key: want it refused")
	}
	if !p.Set("PHH", "") || !p.Set("MOB", "N") || p.Home != "" || p.Page {
		t.Errorf("want the numbers cleared, got %+v", p)
	}
}

func TestAppendGroups(t *testing.T) {
	groups := []msnp.Group{{ID: 0, Name: "Other%20Contacts"}, {ID: 1, Name: "Friends"}}
	want := "LSG 8 9 1 2 0 Other%20Contacts 0\r\nLSG 8 9 2 2 1 Friends 0\r\n"
	eachDialect(t, "LSG of SYN", func(d *msnp.Dialect, l *msnp.Line) {
		d.AppendGroups(l, []byte("8"), 9, groups)
	}, since(5, want))
	eachDialect(t, "LSG asked for", func(_ *msnp.Dialect, l *msnp.Line) {
		msnp.AppendGroups(l, []byte("8"), 9, groups)
	}, since(0, want))
	eachDialect(t, "LSG without a group", func(d *msnp.Dialect, l *msnp.Line) {
		d.AppendGroups(l, []byte("8"), 9, nil)
	}, since(6, ""))
}

func TestAppendContact(t *testing.T) {
	contact := func(x msnp.List, name msnp.Nick, g msnp.GroupSet) func(*msnp.Dialect, *msnp.Line) {
		return func(d *msnp.Dialect, l *msnp.Line) { d.AppendContact(l, []byte("8"), x, 9, 1, 2, bob, name, g) }
	}
	withGroups := func(groups string) [6]string {
		want := since(0, "LST 8 FL 9 1 2 bob@example.com Bob\r\n")
		want[5] = "LST 8 FL 9 1 2 bob@example.com Bob " + groups + "\r\n"
		return want
	}
	eachDialect(t, "LST FL", contact(msnp.FL, "Bob", msnp.GroupSet(0).With(0).With(1)), withGroups("0,1"))
	eachDialect(t, "LST FL in group 2", contact(msnp.FL, "Bob", msnp.GroupSet(0).With(2)), withGroups("2"))
	eachDialect(t, "LST FL without a group", contact(msnp.FL, "Bob", 0), withGroups("0"))
	eachDialect(t, "LST AL", contact(msnp.AL, "Bob", 1), since(0, "LST 8 AL 9 1 2 bob@example.com Bob\r\n"))
	eachDialect(t, "LST BL", contact(msnp.BL, "Bob", 0), since(0, "LST 8 BL 9 1 2 bob@example.com Bob\r\n"))
	eachDialect(t, "LST RL without a name", contact(msnp.RL, "", 0), since(0, "LST 8 RL 9 1 2 bob@example.com bob@example.com\r\n"))
	eachDialect(t, "an empty list", func(_ *msnp.Dialect, l *msnp.Line) {
		msnp.AppendNoContact(l, []byte("8"), msnp.BL, 9)
	}, since(0, "LST 8 BL 9 0 0\r\n"))
}

func TestAppendClientVersion(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"CVR 10 0x0409 winnt 5.1 i386 MSMSGS 4.5.0121 MSMSGS", "CVR 10 4.5.0121 4.5.0121 4.5.0121"},
		{"CVR 9 0x0409 win 4.10 i386 MSMSGS 1.0.0863", "CVR 9 1.0.0863 1.0.0863 1.0.0863"},
		{"CVQ 2 0x0409 winnt 5.1 i386 MSMSGS 5.0.0537 ", "CVQ 2 5.0.0537 5.0.0537 5.0.0537"},
		{"CVR 2 0x0409 winnt 5.1 i386 MSMSGS", "CVR 2 1.0.0000 1.0.0000 1.0.0000"},
		{"CVR 2", "CVR 2 1.0.0000 1.0.0000 1.0.0000"},
		{"CVR 2 a b c d e \xff x y z", "CVR 2 %FF %FF %FF"},
	} {
		var cmd msnp.Command
		if err := msnp.NewReader(strings.NewReader(test.in+"\r\n"), msnp.FromClient).Next(&cmd); err != nil {
			t.Fatal(err)
		}
		var l msnp.Line
		msnp.AppendClientVersion(&l, &cmd, "http://example.com/client", "http://example.com/info")
		want := test.want + " http://example.com/client http://example.com/info\r\n"
		if got := string(l.Bytes()); got != want {
			t.Errorf("answer to %q:\nwant %q\n got %q", test.in, want, got)
		}
	}
}

// profile is the message of the seed session; its length was counted there.
const profile = "MSG Hotmail Hotmail 367\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: text/x-msmsgsprofile; charset=UTF-8\r\n" +
	"LoginTime: 1726321960\r\n" +
	"EmailEnabled: 1\r\n" +
	"MemberIdHigh: 1\r\n" +
	"MemberIdLow: 2\r\n" +
	"lang_preference: 1033\r\n" +
	"PreferredEmail: example@hotmail.com\r\n" +
	"country: US\r\n" +
	"PostalCode: \r\n" +
	"Gender: \r\n" +
	"Kid: 0\r\n" +
	"Age: \r\n" +
	"BDayPre: \r\n" +
	"Birthday: \r\n" +
	"Wallet: \r\n" +
	"Flags: 1027\r\n" +
	"sid: 507\r\n" +
	"kv: 11\r\n" +
	"MSPAuth: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA$$\r\n" +
	"\r\n"

func TestAppendProfile(t *testing.T) {
	short := "MSG Hotmail Hotmail 95\r\n" +
		"MIME-Version: 1.0\r\n" +
		"Content-Type: text/x-msmsgsprofile; charset=UTF-8\r\n" +
		"LoginTime: 1726321960\r\n" +
		"\r\n"
	seed := msnp.Profile{
		LoginTime: 1726321960,
		UserID:    1<<32 | 2,
		Email:     msnp.MakeEmail("example@hotmail.com"),
		HasMail:   true,
		MSPAuth:   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA$$",
	}
	want := since(0, profile)
	want[0] = short
	eachDialect(t, "profile", func(d *msnp.Dialect, l *msnp.Line) { d.AppendProfile(l, seed) }, want)

	other := seed
	other.Email, other.HasMail = ann, false
	want = since(0, strings.NewReplacer("367", "363", "EmailEnabled: 1", "EmailEnabled: 0", "example@hotmail.com", "ann@example.com").Replace(profile))
	want[0] = short
	eachDialect(t, "profile without mail", func(d *msnp.Dialect, l *msnp.Line) { d.AppendProfile(l, other) }, want)

	odd := seed
	odd.UserID = 1<<64 - 1
	odd.LoginTime = -1
	odd.Language, odd.Country, odd.Kid = 1031, "D:E\r\n X: y", true
	odd.MSPAuth = "a:b c\r\nd"
	var l msnp.Line
	msnp.MSNP7.AppendProfile(&l, odd)
	got := string(l.Bytes())
	for _, field := range []string{
		"LoginTime: 0", "MemberIdHigh: 4294967295", "MemberIdLow: 4294967295",
		"lang_preference: 1031", "country: DEXy", "Kid: 1", "MSPAuth: abcd",
	} {
		if !strings.Contains(got, "\r\n"+field+"\r\n") {
			t.Errorf("profile: want %q in\n%s", field, got)
		}
	}
	if n := strings.Count(got, ":"); n != 20 {
		t.Errorf("profile: want one colon in each of 20 fields, got %d in\n%s", n, got)
	}
}

// The answer to SYN, version by version.
func TestSynchronisation(t *testing.T) {
	trid := []byte("8")
	cat := msnp.MakeEmail("cat@example.com")
	block := func(d *msnp.Dialect, l *msnp.Line) {
		const version = 9
		l.Verb("SYN").TrID(trid).Uint(version)
		l.Verb("GTC").TrID(trid).Uint(version).Word("A")
		l.Verb("BLP").TrID(trid).Uint(version).Word("AL")
		d.AppendPrivatePhones(l, trid, version, msnp.Phones{Home: "123%20(4567)"}, false)
		d.AppendGroups(l, trid, version, []msnp.Group{{ID: 0, Name: "Other%20Contacts"}, {ID: 1, Name: "Friends"}})
		d.AppendContact(l, trid, msnp.FL, version, 1, 2, bob, "Bob", msnp.GroupSet(0).With(0).With(1))
		d.AppendPhones(l, version, bob, msnp.Phones{Home: "1%20(222)%20333%204444"})
		d.AppendContact(l, trid, msnp.FL, version, 2, 2, cat, "Cat%20Doe", msnp.GroupSet(0).With(0))
		d.AppendPhones(l, version, cat, msnp.Phones{})
		d.AppendContact(l, trid, msnp.AL, version, 1, 2, bob, "Bob", 0)
		d.AppendContact(l, trid, msnp.AL, version, 2, 2, cat, "Cat%20Doe", 0)
		msnp.AppendNoContact(l, trid, msnp.BL, version)
		d.AppendContact(l, trid, msnp.RL, version, 1, 1, bob, "Bob", 0)
	}
	// A number in front is the first version that has the line, or that
	// has what stands behind the bar.
	const lines = `
2 SYN 8 9
2 GTC 8 9 A
2 BLP 8 9 AL
5 PRP 8 9 PHH 123%20(4567)
5 PRP 8 9 PHW
5 PRP 8 9 PHM
5 PRP 8 9 MOB N
5 PRP 8 9 MBE N
7 LSG 8 9 1 2 0 Other%20Contacts 0
7 LSG 8 9 2 2 1 Friends 0
2 LST 8 FL 9 1 2 bob@example.com Bob| 0,1
5 BPR 9 bob@example.com PHH 1%20(222)%20333%204444
5 BPR 9 bob@example.com PHW
5 BPR 9 bob@example.com PHM
5 BPR 9 bob@example.com MOB N
2 LST 8 FL 9 2 2 cat@example.com Cat%20Doe| 0
5 BPR 9 cat@example.com PHH
5 BPR 9 cat@example.com PHW
5 BPR 9 cat@example.com PHM
5 BPR 9 cat@example.com MOB N
2 LST 8 AL 9 1 2 bob@example.com Bob
2 LST 8 AL 9 2 2 cat@example.com Cat%20Doe
2 LST 8 BL 9 0 0
2 LST 8 RL 9 1 1 bob@example.com Bob
`
	var want [6]string
	for i := range want {
		version := byte('2' + i)
		for line := range strings.Lines(strings.TrimPrefix(lines, "\n")) {
			if line[0] > version {
				continue
			}
			text, groups, _ := strings.Cut(strings.TrimSuffix(line[2:], "\n"), "|")
			if version == '7' {
				text += groups
			}
			want[i] += text + "\r\n"
		}
	}
	eachDialect(t, "SYN", block, want)
}
