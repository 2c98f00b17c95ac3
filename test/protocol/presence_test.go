package protocol

import (
	"fmt"
	"strings"
	"testing"

	"github.com/monarch-msn/monarch/services/allinone"
)

// TestWhoSeesWhom is the truth table: Ann observes Bob. She sees his status if
// he is on her FL and his lists and his BLP admit her, and nothing otherwise.
// Each row goes through all that Bob can be, seen by Ann, who was there before
// (NLN), and by Cat, who comes later and stands to him as Ann does (ILN).
func TestWhoSeesWhom(t *testing.T) {
	f := newTranscripts(t)
	for _, row := range []struct {
		forward bool   // Bob is on Ann's FL
		list    string // of Bob's, on which Ann is
		blp     string // Bob's
		sees    bool
	}{
		{false, "", "AL", false},
		{false, "", "BL", false},
		{false, "AL", "AL", false},
		{false, "AL", "BL", false},
		{false, "BL", "AL", false},
		{false, "BL", "BL", false},
		{true, "", "AL", true},
		{true, "", "BL", false},
		{true, "AL", "AL", true},
		{true, "AL", "BL", true},
		{true, "BL", "AL", false},
		{true, "BL", "BL", false},
	} {
		observer, observed := "", privacy(row.blp)
		if row.forward {
			observer = "   FL bob\n"
		}
		if row.list != "" {
			observed += fmt.Sprintf("   %s ann\n   %s cat\n", row.list, row.list)
		}
		var play strings.Builder
		line := func(format string, args ...any) { fmt.Fprintf(&play, format+"\n", args...) }
		// later has Cat come, see, and go.
		later := func(state string, visible bool) {
			line("login cat\ncat> CHG 50 HDN\ncat< CHG 50 HDN")
			if visible {
				line("cat< ILN 50 %s bob@example.com Bob", state)
			}
			line("settle\ncat> OUT\ncat< OUT\ncat< closed")
		}
		line("online ann HDN")
		later("gone", false)
		line("login bob")
		later("pre-CHG", false)
		shown := false
		for i, state := range []string{"NLN", "HDN", "BSY", "IDL", "BRB", "AWY", "PHN", "HDN", "LUN", "NLN"} {
			line("bob> CHG %d %s\nbob< CHG %d %s", 10+i, state, 10+i, state)
			visible := row.sees && state != "HDN"
			switch {
			case visible:
				line("ann< NLN %s bob@example.com Bob", state)
			case shown:
				line("ann< FLN bob@example.com")
			}
			shown = visible
			later(state, visible)
		}
		line("bob> OUT\nbob< OUT\nbob< closed")
		if shown {
			line("ann< FLN bob@example.com")
		}
		later("gone again", false)
		f.add(fmt.Sprintf("on FL %v, on list %q, BLP %s", row.forward, row.list, row.blp), "MSNP2 MSNP7",
			"account ann@example.com Ann\n", observer, "account bob@example.com Bob\n", observed,
			"account cat@example.com Cat\n", observer, "\n", play.String())
	}
	f.play(allinone.Options{})
}

// privacy is the line of an account's header for its BLP, of which AL is the
// default.
func privacy(blp string) string {
	if blp == "AL" {
		return ""
	}
	return "   BLP " + blp + "\n"
}

// Columns of the event table: on which of Bob's lists Ann stands, and his BLP.
var columns = []struct{ list, blp string }{
	{"AL", "AL"}, {"AL", "BL"}, {"", "AL"}, {"", "BL"}, {"BL", "AL"}, {"BL", "BL"},
}

// TestWhatAChangeShows is the event table: Bob does something, and Ann, who has
// him on FL, hears NLN, FLN or nothing.
func TestWhatAChangeShows(t *testing.T) {
	const (
		nothing = ""
		offline = "ann< FLN bob@example.com\n"
		online  = "ann< NLN NLN bob@example.com Bob\n"
		away    = "ann< NLN AWY bob@example.com Bob\n"
		busy    = "ann< NLN BSY bob@example.com Bob\n"
		renamed = "ann< NLN NLN bob@example.com Robert\n"
		refused = "219" // in place of the answer; Ann hears nothing
		never   = "-"   // cannot be
	)
	f := newTranscripts(t)
	for _, row := range []struct {
		name, before, does string
		hears              [6]string // by column
	}{
		{"first CHG", "login bob", "bob> CHG 9 NLN\nbob< CHG 9 NLN", [6]string{online, online, online, nothing, nothing, nothing}},
		{"first CHG HDN", "login bob", "bob> CHG 9 HDN\nbob< CHG 9 HDN", [6]string{}},
		{"CHG AWY", "online bob", "bob> CHG 9 AWY\nbob< CHG 9 AWY", [6]string{away, away, away, nothing, nothing, nothing}},
		{"CHG as before", "online bob", "bob> CHG 9 NLN\nbob< CHG 9 NLN", [6]string{}},
		{"CHG HDN", "online bob", "bob> CHG 9 HDN\nbob< CHG 9 HDN", [6]string{offline, offline, offline, nothing, nothing, nothing}},
		{"HDN to BSY", "online bob HDN", "bob> CHG 9 BSY\nbob< CHG 9 BSY", [6]string{busy, busy, busy, nothing, nothing, nothing}},
		{"OUT", "online bob", "bob> OUT\nbob< OUT\nbob< closed", [6]string{offline, offline, offline, nothing, nothing, nothing}},
		{"a lost connection", "online bob", "drop bob", [6]string{offline, offline, offline, nothing, nothing, nothing}},
		{"OUT while hidden", "online bob HDN", "bob> OUT\nbob< OUT\nbob< closed", [6]string{}},
		{"a second login", "online bob", "login bob2\nbob< OUT OTH\nbob< closed", [6]string{offline, offline, offline, nothing, nothing, nothing}},
		{"REM AL", "online bob", "bob> REM 9 AL ann@example.com\nbob< REM 9 AL 21 ann@example.com", [6]string{nothing, offline, never, never, never, never}},
		{"ADD BL", "online bob", "bob> ADD 9 BL ann@example.com Ann\nbob< ADD 9 BL 21 ann@example.com Ann", [6]string{refused, refused, offline, nothing, never, never}},
		{"REM BL", "online bob", "bob> REM 9 BL ann@example.com\nbob< REM 9 BL 21 ann@example.com", [6]string{never, never, never, never, online, nothing}},
		{"ADD AL", "online bob", "bob> ADD 9 AL ann@example.com Ann\nbob< ADD 9 AL 21 ann@example.com Ann", [6]string{never, never, nothing, online, refused, refused}},
		{"BLP BL", "online bob", "bob> BLP 9 BL\nbob< BLP 9 21 BL", [6]string{nothing, never, offline, never, nothing, never}},
		{"BLP AL", "online bob", "bob> BLP 9 AL\nbob< BLP 9 21 AL", [6]string{never, nothing, never, online, never, nothing}},
		{"REA of oneself", "online bob", "bob> REA 9 bob@example.com Robert\nbob< REA 9 21 bob@example.com Robert", [6]string{renamed, renamed, renamed, nothing, nothing, nothing}},
		{
			"edits while hidden", "online bob HDN", "bob> BLP 9 BL\nbob< BLP 9 21 BL\nbob> BLP 10 AL\nbob< BLP 10 22 AL\nbob> REA 11 bob@example.com Robert\nbob< REA 11 23 bob@example.com Robert",
			[6]string{nothing, never, nothing, never, nothing, never},
		},
		{
			"blocking", "online bob", "bob> REM 9 AL ann@example.com\nbob< REM 9 AL 21 ann@example.com\nbob> ADD 10 BL ann@example.com Ann\nbob< ADD 10 BL 22 ann@example.com Ann",
			[6]string{offline, offline, never, never, never, never},
		},
		{
			"unblocking", "online bob", "bob> REM 9 BL ann@example.com\nbob< REM 9 BL 21 ann@example.com\nbob> ADD 10 AL ann@example.com Ann\nbob< ADD 10 AL 22 ann@example.com Ann",
			[6]string{never, never, never, never, online, online},
		},
	} {
		for i, column := range columns {
			does, hears := row.does, row.hears[i]
			switch hears {
			case never:
				continue
			case refused:
				does, _, _ = strings.Cut(does, "\n")
				does, hears = does+"\nbob< 219 9", nothing
			}
			observed := privacy(column.blp)
			if column.list != "" {
				observed += "   " + column.list + " ann\n"
			}
			f.add(fmt.Sprintf("%s, on list %q, BLP %s", row.name, column.list, column.blp), "MSNP2 MSNP7",
				"account ann@example.com Ann\n   FL bob\naccount bob@example.com Bob\n", observed, "   version 20\n\n",
				"online ann\n", row.before, "\nsettle\n", does, "\n", hears)
		}
	}
	f.play(allinone.Options{})
}
