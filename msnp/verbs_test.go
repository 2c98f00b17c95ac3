package msnp_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/monarch-msn/monarch/msnp"
)

var phases = []msnp.Phase{
	msnp.Connected, msnp.VersionedCVR0, msnp.Versioned, msnp.Informed,
	msnp.Challenged, msnp.Authenticated, msnp.Present,
}

func TestEveryCommandHasItsRow(t *testing.T) {
	for s, words := range map[msnp.Server]string{
		msnp.Dispatch: "VER INF CVR CVQ USR OUT",
		msnp.Notification: "VER INF CVR CVQ USR SYN LST LSG GTC BLP PRP REA ADD REM ADG REG RMG CHG" +
			" XFR URL FND SND SDC PAG IMS QRY CHL PNG OUT",
		msnp.Switchboard: "USR ANS CAL MSG OUT PNG",
	} {
		want := strings.Fields(words)
		var got []string
		for i := range msnp.Verbs {
			if r := &msnp.Verbs[i]; r.Servers&s != 0 {
				got = append(got, r.Verb)
				if msnp.Lookup(s, r.Verb) != r {
					t.Errorf("Lookup(%v, %s) does not find its row", s, r.Verb)
				}
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("commands of %v:\nwant %v\n got %v", s, want, got)
		}
	}
	for _, test := range []struct {
		server msnp.Server
		verb   string
	}{
		{msnp.Notification, "MSG"},
		{msnp.Notification, "CAL"},
		{msnp.Notification, "ANS"},
		{msnp.Switchboard, "CHG"},
		{msnp.Switchboard, "INF"},
		{msnp.Switchboard, "VER"},
		{msnp.Dispatch, "SYN"},
		{msnp.Dispatch, "PNG"},
		{msnp.Notification, "NLN"},
		{msnp.Notification, "SNDX"},
		{msnp.Notification, "chg"},
		{msnp.Notification, ""},
	} {
		if r := msnp.Lookup(test.server, test.verb); r != nil {
			t.Errorf("Lookup(%v, %q): want none, got %+v", test.server, test.verb, r)
		}
	}
}

func TestRowsOfOneVerbReadAlike(t *testing.T) {
	// The reader does not know on which server it reads.
	first := make(map[string]msnp.Row)
	for _, r := range msnp.Verbs {
		if f, ok := first[r.Verb]; ok && (f.TrID != r.TrID || f.Payload != r.Payload || f.Exact != r.Exact) {
			t.Errorf("rows of %s differ in what the reader needs", r.Verb)
		}
		first[r.Verb] = r
		if r.TrID == (r.Verb == "PNG" || r.Verb == "OUT") {
			t.Errorf("%s: want a transaction id in all but PNG and OUT", r.Verb)
		}
		if want := slices.Contains([]string{"QRY", "SDC", "PAG", "MSG"}, r.Verb); r.Payload != want {
			t.Errorf("%s: want payload %v", r.Verb, want)
		}
		if want := map[string]int{"QRY": 32}[r.Verb]; r.Exact != want {
			t.Errorf("%s: want exact length %d, got %d", r.Verb, want, r.Exact)
		}
		if r.Phases == 0 || r.Phases&r.Wrong.Phases != 0 {
			t.Errorf("%s: served in %v, refused in %v", r.Verb, r.Phases, r.Wrong.Phases)
		}
	}
}

// outcome renders what Admit says: "serve", "207 stay", "715 close", "close".
func outcome(a msnp.Action, c msnp.Code) string {
	switch {
	case a == msnp.Serve && c == 0:
		return "serve"
	case a == msnp.Refuse && c != 0:
		return fmt.Sprintf("%d stay", uint16(c))
	case a == msnp.Close && c != 0:
		return fmt.Sprintf("%d close", uint16(c))
	case a == msnp.Close:
		return "close"
	}
	return fmt.Sprintf("impossible: %d %d", a, c)
}

func TestAdmitByPhase(t *testing.T) {
	// One letter for each phase, in the order of phases: s served, - closed
	// in silence, 7 answered with 715 and closed, 2 answered with 207.
	letters := map[string]string{"serve": "s", "close": "-", "715 close": "7", "207 stay": "2"}
	afterLogin := "-----ss"
	for _, test := range []struct {
		server msnp.Server
		verbs  string
		want   string
	}{
		{msnp.Dispatch, "VER", "s777777"},
		{msnp.Dispatch, "INF", "--s7777"},
		{msnp.Dispatch, "CVR", "--sssss"},
		{msnp.Dispatch, "CVQ", "-ssssss"},
		{msnp.Dispatch, "USR", "--ss---"},
		{msnp.Dispatch, "OUT", "sssssss"},

		{msnp.Notification, "VER", "s777777"},
		{msnp.Notification, "INF", "--s7777"},
		{msnp.Notification, "CVR", "--sssss"},
		{msnp.Notification, "CVQ", "-ssssss"},
		{msnp.Notification, "USR", "--sss22"},
		{msnp.Notification, "OUT", "sssssss"},
		{msnp.Notification, "PNG SYN LST LSG GTC BLP PRP REA ADD REM ADG REG RMG CHG XFR URL FND SND SDC PAG IMS QRY CHL", afterLogin},

		{msnp.Switchboard, "USR ANS", "s------"},
		{msnp.Switchboard, "CAL MSG PNG", "------s"},
		{msnp.Switchboard, "OUT", "s-----s"},
	} {
		for _, verb := range strings.Fields(test.verbs) {
			row := msnp.Lookup(test.server, verb)
			got := ""
			for _, p := range phases {
				o := outcome(row.Admit(p, msnp.MSNP7, 10))
				if letters[o] == "" {
					t.Fatalf("%s on %v when %v: %s", verb, test.server, p, o)
				}
				got += letters[o]
			}
			if got != test.want {
				t.Errorf("%s on %v: want %s, got %s", verb, test.server, test.want, got)
			}
		}
	}
	var none *msnp.Row
	if got := outcome(none.Admit(msnp.Present, msnp.MSNP7, 10)); got != "close" {
		t.Errorf("a command without a row: want it closed, got %s", got)
	}
}

func TestAdmitByArguments(t *testing.T) {
	for _, test := range []struct {
		server msnp.Server
		phase  msnp.Phase
		least  map[string]int
	}{
		{msnp.Dispatch, msnp.Connected, map[string]int{"VER": 1}},
		{msnp.Dispatch, msnp.Versioned, map[string]int{"INF": 0, "USR": 3, "CVR": 0, "CVQ": 0}},
		{msnp.Notification, msnp.Connected, map[string]int{"VER": 1}},
		{msnp.Notification, msnp.Versioned, map[string]int{"INF": 0, "USR": 3}},
		{msnp.Notification, msnp.Present, map[string]int{
			"CVR": 0, "CVQ": 0, "OUT": 0, "PNG": 0, "SYN": 1, "LST": 1, "LSG": 0, "GTC": 1, "BLP": 1,
			"PRP": 1, // without a value: clears
			"REA": 1, // without a name: aMSN's keep-alive
			"ADD": 2, // without a name
			"REM": 2,
			"ADG": 1, "REG": 2, // without the 0 at the end
			"RMG": 1, "CHG": 1, "IMS": 1, "CHL": 0, "QRY": 2, "XFR": 1, "URL": 1, "FND": 0, "SND": 0, "SDC": 1, "PAG": 2,
		}},
		{msnp.Switchboard, msnp.Connected, map[string]int{"USR": 2, "ANS": 3}},
		{msnp.Switchboard, msnp.Present, map[string]int{"CAL": 1, "MSG": 2, "OUT": 0, "PNG": 0}},
	} {
		for verb, least := range test.least {
			row := msnp.Lookup(test.server, verb)
			for _, surplus := range []int{0, 1, 50} {
				if got := outcome(row.Admit(test.phase, msnp.MSNP7, least+surplus)); got != "serve" {
					t.Errorf("%s on %v with %d arguments: want it served, got %s", verb, test.server, least+surplus, got)
				}
			}
			if least > 0 {
				if got := outcome(row.Admit(test.phase, msnp.MSNP7, least-1)); got != "close" {
					t.Errorf("%s on %v with %d arguments: want it closed, got %s", verb, test.server, least-1, got)
				}
			}
		}
	}
}

func TestAdmitByDialect(t *testing.T) {
	// From which dialect on a command is served; all others from MSNP2 on,
	// those of groups included.
	since := map[string]*msnp.Dialect{
		"IMS": msnp.MSNP3,
		"PRP": msnp.MSNP5, "SDC": msnp.MSNP5, "PAG": msnp.MSNP5,
		"CHL": msnp.MSNP6, "QRY": msnp.MSNP6,
	}
	for _, row := range msnp.Verbs {
		if row.Phases&msnp.Present == 0 {
			continue
		}
		served := since[row.Verb] == nil
		for _, d := range msnp.Dialects() {
			served = served || d == since[row.Verb]
			want := "close"
			if served {
				want = "serve"
			}
			if got := outcome(row.Admit(msnp.Present, d, 10)); got != want {
				t.Errorf("%s in %v: want %s, got %s", row.Verb, d, want, got)
			}
		}
	}
	if got := outcome(msnp.Lookup(msnp.Notification, "VER").Admit(msnp.Connected, nil, 1)); got != "serve" {
		t.Errorf("VER before a dialect: want it served, got %s", got)
	}
}

func TestNamesOfServersAndPhases(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{msnp.Dispatch.String(), "dispatch"},
		{(msnp.Dispatch | msnp.Switchboard).String(), "dispatch+switchboard"},
		{msnp.Server(0).String(), "none"},
		{msnp.Authenticated.String(), "authenticated"},
		{(msnp.Connected | msnp.Present).String(), "connected+present"},
	} {
		if test.got != test.want {
			t.Errorf("want %q, got %q", test.want, test.got)
		}
	}
	for i, p := range phases[1:] {
		if p <= phases[i] {
			t.Errorf("%v comes behind %v: want it greater", p, phases[i])
		}
	}
}
