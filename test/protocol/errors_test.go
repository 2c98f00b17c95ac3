package protocol

import (
	"fmt"
	"strings"
	"testing"

	"github.com/monarch-msn/monarch/services/allinone"
	"github.com/monarch-msn/monarch/services/notification"
)

// An errorRow is one way to get an error, or to be closed in silence.
type errorRow struct {
	name     string
	dialects string
	// before comes ahead of the command and its answer; empty is "login ann".
	before string
	// does is the command, with TrID 9.
	does string
	code int // 0 for silence
	// closes says that the connection ends; it goes on otherwise.
	closes bool
}

// closed is a row of silence.
func closed(name, dialects, before, does string) errorRow {
	return errorRow{name, dialects, before, does, 0, true}
}

// TestErrors is the table of errors: what each command is refused with, and
// whether the connection goes on. It goes on if the next PNG is answered.
func TestErrors(t *testing.T) {
	const (
		anybody    = "MSNP2 MSNP7"
		connect    = "connect ann notification"
		dispatch   = "connect ann dispatch"
		version    = "\nann> VER 1 $offer\nann< VER 1 $dialect"
		identify   = version + "\nann> USR 2 MD5 I ann@example.com\nann< USR 2 MD5 S $salt"
		strange    = "stranger@example.com"
		badName    = "%ff"
		longHandle = "$repeat(x,120)@example.com"
	)
	playErrors(t, allinone.Options{}, []errorRow{
		{"VER again", anybody, connect + version, "VER 9 $dialect", 715, true},
		{"VER again at dispatch", anybody, dispatch + version, "VER 9 $dialect", 715, true},
		{"VER after login", anybody, "", "VER 9 $dialect", 715, true},
		closed("VER without a dialect", anybody, connect, "VER 9"),
		closed("VER without a TrID", anybody, connect, "VER $dialect"),
		{"INF again", anybody, connect + version + "\nann> INF 2\nann< INF 2 MD5", "INF 9", 715, true},
		{"INF again at dispatch", anybody, dispatch + version + "\nann> INF 2\nann< INF 2 MD5", "INF 9", 715, true},
		{"INF after login", anybody, "", "INF 9", 715, true},
		{"USR after login", anybody, "", "USR 9 MD5 I ann@example.com", 207, false},
		{"USR without a domain", anybody, connect + version, "USR 9 MD5 I ann", 206, true},
		{"USR without a domain at dispatch", anybody, dispatch + version, "USR 9 MD5 I ann@", 206, true},
		{"USR with a wrong password", anybody, connect + identify, "USR 9 MD5 S $md5($salt,wrong)", 911, true},
		{"USR of nobody", anybody, connect + version + "\nann> USR 2 MD5 I " + strange + "\nann< USR 2 MD5 S $salt", "USR 9 MD5 S $md5($salt,secret-ann)", 911, true},
		closed("USR with another package", anybody, connect+version, "USR 9 TWN I ann@example.com"),
		closed("USR with a long handle", anybody, connect+version, "USR 9 MD5 I "+longHandle),
		closed("USR S first", anybody, connect+version, "USR 9 MD5 S 8ba1bb9d6dbf624fee31a2053af5fdd0"),
		closed("a command before login", anybody, connect+version, "SYN 9 0"),

		closed("SYN of no number", anybody, "", "SYN 9 x"),
		closed("LST of no list", anybody, "", "LST 9 XL"),
		{"GTC as it is", anybody, "", "GTC 9 A", 218, false},
		closed("GTC of no value", anybody, "", "GTC 9 B"),
		{"BLP as it is", anybody, "", "BLP 9 AL", 218, false},
		closed("BLP of no value", anybody, "", "BLP 9 CL"),
		{"PRP of no key", "MSNP5 MSNP7", "", "PRP 9 XYZ 1", 715, false},
		closed("PRP of a long key", "MSNP5 MSNP7", "", "PRP 9 HOME 1"),
		closed("PRP of a long value", "MSNP5 MSNP7", "", "PRP 9 PHH $repeat(1,96)"),
		closed("PRP before MSNP5", "MSNP2 MSNP4", "", "PRP 9 PHH 1"),

		{"REA of a stranger", anybody, "", "REA 9 " + strange, 216, false},
		{"REA without a name", anybody, "", "REA 9 bob@example.com", 209, false},
		{"REA of a bad name", anybody, "", "REA 9 ann@example.com " + badName, 209, false},
		{"REA too often", anybody, "login ann\n" + renames(5), "REA 9 ann@example.com Anna", 800, false},
		closed("REA without a handle", anybody, "", "REA 9"),
		closed("REA of a long name", anybody, "", "REA 9 ann@example.com $repeat(a,388)"),

		{"ADD of no address", anybody, "", "ADD 9 FL a@b Ann", 201, false},
		{"ADD of a bad name", anybody, "", "ADD 9 FL cat@example.com " + badName, 201, false},
		{"ADD of nobody", anybody, "", "ADD 9 FL " + strange + " S", 205, false},
		{"ADD to a full list", anybody, "", "ADD 9 BL dan@example.com D", 210, false},
		{"ADD of one who is there", anybody, "", "ADD 9 FL bob@example.com Bob", 215, false},
		{"ADD to the group it is in", "MSNP5 MSNP7", "", "ADD 9 FL bob@example.com Bob 0", 215, false},
		{"ADD to the opposite list", anybody, "", "ADD 9 AL cat@example.com Cat", 219, false},
		{"ADD to no group", "MSNP5 MSNP7", "", "ADD 9 FL cat@example.com C 7", 224, false},
		closed("ADD to RL", anybody, "", "ADD 9 RL bob@example.com Bob"),
		closed("ADD to no list", anybody, "", "ADD 9 XL bob@example.com Bob"),
		closed("ADD of no handle", anybody, "", "ADD 9 FL"),
		closed("ADD of a long name", anybody, "", "ADD 9 FL cat@example.com $repeat(c,388)"),
		closed("ADD of a long handle", anybody, "", "ADD 9 FL "+longHandle+" C"),
		{"REM of one who is not there", anybody, "", "REM 9 BL bob@example.com", 216, false},
		{"REM from no group", "MSNP5 MSNP7", "", "REM 9 FL bob@example.com 7", 224, false},
		{"REM from a group it is not in", "MSNP5 MSNP7", "", "REM 9 FL bob@example.com 1", 225, false},
		closed("REM from RL", anybody, "", "REM 9 RL bob@example.com"),
		closed("REM from no list", anybody, "", "REM 9 XL bob@example.com"),

		{"ADG of a bad name", "MSNP5 MSNP7", "", "ADG 9 " + badName + " 0", 201, false},
		{"ADG of a long name", "MSNP5 MSNP7", "", "ADG 9 $repeat(g,62) 0", 229, false},
		{"ADG beyond the last", "MSNP5 MSNP7", "login ann\nann> ADG 8 Home 0\nann< ADG 8 * Home 2 0", "ADG 9 More 0", 223, false},
		closed("ADG of a very long name", "MSNP5 MSNP7", "", "ADG 9 $repeat(g,128) 0"),
		{"REG of a bad name", "MSNP5 MSNP7", "", "REG 9 1 " + badName + " 0", 201, false},
		{"REG of no group", "MSNP5 MSNP7", "", "REG 9 7 Home 0", 224, false},
		closed("REG beyond the ids", "MSNP5 MSNP7", "", "REG 9 30 Home 0"),
		closed("REG of a very long name", "MSNP5 MSNP7", "", "REG 9 1 $repeat(g,128) 0"),
		{"RMG of no group", "MSNP5 MSNP7", "", "RMG 9 7", 224, false},
		{"RMG of group 0", "MSNP5 MSNP7", "", "RMG 9 0", 230, false},
		closed("RMG beyond the ids", "MSNP5 MSNP7", "", "RMG 9 30"),

		{"CHG FLN", anybody, "", "CHG 9 FLN", 201, false},
		closed("CHG of no state", anybody, "", "CHG 9 HOT"),
		{"XFR NS", anybody, "online ann", "XFR 9 NS", 201, false},
		{"XFR SB before CHG", anybody, "", "XFR 9 SB", 913, false},
		{"XFR SB while hidden", anybody, "online ann HDN", "XFR 9 SB", 913, false},
		{"XFR SB after IMS OFF", "MSNP3 MSNP7", "online ann\nann> IMS 8 OFF\nann< IMS 8 0 OFF", "XFR 9 SB", 913, false},
		closed("XFR of no type", anybody, "online ann", "XFR 9"),
		closed("IMS of no value", "MSNP3 MSNP7", "", "IMS 9 MAYBE"),
		closed("IMS before MSNP3", "MSNP2", "", "IMS 9 OFF"),

		{"FND of no field", anybody, "", "FND 9 bob", 201, false},
		{"FND without a name", anybody, "", "FND 9 city=*", 300, false},
		{"SND to no address", "MSNP2", "", "SND 9 nobody", 503, true},
		{"SND of too little", "MSNP3 MSNP4 MSNP6", "", "SND 9 dan@example.net", 503, true},
		closed("SND of too little, MSNP7", "MSNP7", "", "SND 9 dan@example.net"),
		{"SDC to no address", "MSNP5 MSNP6", "", "SDC 9 nobody 0x0409 MSMSGS MSMSGS X X Ann 0", 503, true},
		closed("SDC to no address, MSNP7", "MSNP7", "", "SDC 9 nobody 0x0409 MSMSGS MSMSGS X X Ann 0"),
		closed("SDC before MSNP5", "MSNP2 MSNP4", "", "SDC 9 dan@example.net 0x0409 MSMSGS MSMSGS X X Ann 0"),
		{"PAG", "MSNP5 MSNP7", "", "PAG 9 bob@example.com 0", 220, false},
		closed("PAG before MSNP5", "MSNP2 MSNP4", "", "PAG 9 bob@example.com 0"),
		{"QRY that is wrong", "MSNP6 MSNP7", "login ann\nann> CHL 8\nann< CHL 8 *", "QRY 9 msmsgs@msnmsgr.com 32\n   =8ba1bb9d6dbf624fee31a2053af5fdd0", 540, true},
		closed("QRY of another length", "MSNP6 MSNP7", "", "QRY 9 msmsgs@msnmsgr.com 4\n   =8ba1"),
		closed("QRY before MSNP6", "MSNP2 MSNP5", "", "QRY 9 msmsgs@msnmsgr.com 32\n   =8ba1bb9d6dbf624fee31a2053af5fdd0"),
	})
}

// TestErrorOfAFullNode: a node that has no room, and knows no other, is busy.
func TestErrorOfAFullNode(t *testing.T) {
	f := newTranscripts(t)
	f.add("USR at a full node", "MSNP2",
		"account ann@example.com Ann\naccount bob@example.com Bob\n\nlogin ann\nconnect bob notification\n"+
			"bob> VER 1 $offer\nbob< VER 1 $dialect\nbob> USR 2 MD5 I bob@example.com\nbob< 600 2\nbob< closed\n")
	f.playOn(1, allinone.Options{Notification: notification.Config{Capacity: 1}})
}

// TestErrorOfASwitchedOffSearch: clients of MSNP7 hear that FND is off.
func TestErrorOfASwitchedOffSearch(t *testing.T) {
	playErrors(t, allinone.Options{Notification: notification.Config{FNDDisabled: true}}, []errorRow{
		{"FND that is off", "MSNP7", "", "FND 9 fname=Bob", 502, false},
	})
}

func playErrors(t *testing.T, opt allinone.Options, rows []errorRow) {
	t.Helper()
	opt.Directory.BlockLimit, opt.Directory.GroupLimit = 1, 3
	f := newTranscripts(t)
	for _, row := range rows {
		before := row.before
		if before == "" {
			before = "login ann"
		}
		var answer strings.Builder
		if row.code != 0 {
			fmt.Fprintf(&answer, "ann< %d 9\n", row.code)
		}
		if row.closes {
			answer.WriteString("ann< closed\n")
		} else {
			answer.WriteString("ann> PNG\nann< QNG\n")
		}
		f.add(row.name, row.dialects,
			"account ann@example.com Ann\n   group Work\n   FL bob Bob 0\n   AL bob\n   BL cat\n",
			"account bob@example.com Bob\naccount cat@example.com Cat\naccount dan@example.com Dan\n\n",
			before, "\nann> ", row.does, "\n", answer.String())
	}
	f.play(opt)
}

// renames are n changes of Ann's own name.
func renames(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "ann> REA %d ann@example.com Ann%d\nann< REA %d * ann@example.com Ann%d\n", 20+i, i, 20+i, i)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
