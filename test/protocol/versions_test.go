package protocol

import (
	"fmt"
	"testing"

	"github.com/monarch-msn/monarch/services/allinone"
)

// TestWhatRaisesAVersion is the table of list versions: Ann does something, and
// her version rises by one or not at all, as does that of Bob, who is online on
// the other node. SYN with the right number is answered by one line.
func TestWhatRaisesAVersion(t *testing.T) {
	const (
		strangers = "account ann@example.com Ann\n   version 20\naccount bob@example.com Bob\n   version 20\n\nonline ann bob\n"
		friends   = "account ann@example.com Ann\n   MBE Y\n   group Work\n   FL bob Bob 0\n   AL bob\n   version 20\n" +
			"account bob@example.com Bob\n   FL ann\n   AL ann\n   version 20\n\nonline ann bob\n"
		alone   = "account ann@example.com Ann\n   group Work\n   FL bob Bob 1\n   BL bob\n   version 20\naccount bob@example.com Bob\n   version 20\n\nonline ann bob\n"
		numbers = "[MSNP5+] ann< BPR 21 bob@example.com PHH\n[MSNP5+] ann< BPR 21 bob@example.com PHW\n" +
			"[MSNP5+] ann< BPR 21 bob@example.com PHM\n[MSNP5+] ann< BPR 21 bob@example.com MOB N\n"
		gone = "bob< REM 0 RL 21 ann@example.com\n"
	)
	f := newTranscripts(t)
	for _, row := range []struct {
		name, dialects, before, does string
		own, other                   int
	}{
		{"ADD FL", "all", strangers, "ann> ADD 9 FL bob@example.com Bob\nann< ADD 9 FL 21 bob@example.com Bob\n" + numbers + "ann< ILN 9 NLN bob@example.com Bob\nbob< ADD 0 RL 21 ann@example.com Ann\n", 1, 1},
		{"ADD FL to a group", "MSNP5+", friends, "ann> ADD 9 FL bob@example.com Bob 1\nann< ADD 9 FL 21 bob@example.com Bob 1\n", 1, 0},
		{"ADD AL", "all", strangers, "ann> ADD 9 AL bob@example.com Bob\nann< ADD 9 AL 21 bob@example.com Bob\n", 1, 0},
		{"ADD BL", "all", strangers, "ann> ADD 9 BL bob@example.com Bob\nann< ADD 9 BL 21 bob@example.com Bob\n", 1, 0},
		{"REM FL", "all", friends, "ann> REM 9 FL bob@example.com\nann< REM 9 FL 21 bob@example.com\n" + gone, 1, 1},
		{"REM FL from a group", "MSNP5+", alone, "ann> REM 9 FL bob@example.com 1\nann< REM 9 FL 21 bob@example.com 1\n", 1, 0},
		{"REM AL", "all", friends, "ann> REM 9 AL bob@example.com\nann< REM 9 AL 21 bob@example.com\n", 1, 0},
		{"REM BL", "all", alone, "ann> REM 9 BL bob@example.com\nann< REM 9 BL 21 bob@example.com\n", 1, 0},
		{"ADG", "MSNP5+", friends, "ann> ADG 9 Home 0\nann< ADG 9 21 Home 2 0\n", 1, 0},
		{"REG", "MSNP5+", friends, "ann> REG 9 1 Home 0\nann< REG 9 21 1 Home 0\n", 1, 0},
		{"RMG of an empty group", "MSNP5+", friends, "ann> RMG 9 1\nann< RMG 9 21 1\n", 1, 0},
		{"RMG with members", "MSNP5+", alone, "ann> RMG 9 1\nann< RMG 9 21 1\n" + gone, 1, 1},
		{"GTC", "all", friends, "ann> GTC 9 N\nann< GTC 9 21 N\n", 1, 0},
		{"BLP", "all", friends, "ann> BLP 9 BL\nann< BLP 9 21 BL\n", 1, 0},
		{"REA of oneself", "all", friends, "ann> REA 9 ann@example.com Anna\nann< REA 9 21 ann@example.com Anna\nbob< NLN NLN ann@example.com Anna\n", 1, 0},
		{"REA of a contact", "all", friends, "ann> REA 9 bob@example.com Rob\nann< REA 9 21 bob@example.com Rob\n", 1, 0},
		{"PRP of a number", "MSNP5+", friends, "ann> PRP 9 PHH 123\nann< PRP 9 21 PHH 123\nbob< BPR 21 ann@example.com PHH 123\n", 1, 1},
		{"PRP of a number nobody may see", "MSNP5+", strangers, "ann> PRP 9 PHH 123\nann< PRP 9 21 PHH 123\n", 1, 0},
		{"PRP MOB", "MSNP5+", friends, "ann> PRP 9 MOB Y\nann< PRP 9 21 MOB Y\nbob< BPR 21 ann@example.com MOB Y\n", 1, 1},
		{"PRP MBE", "MSNP5+", strangers, "ann> PRP 9 MBE Y\nann< PRP 9 21 MBE Y\n", 1, 0},
		{"PRP MOB without a device", "MSNP5+", strangers, "ann> PRP 9 MOB Y\nann< PRP 9 20 MOB N\n", 0, 0},
		{"CHG", "all", friends, "ann> CHG 9 AWY\nann< CHG 9 AWY\nbob< NLN AWY ann@example.com Ann\nann> CHG 10 HDN\nann< CHG 10 HDN\nbob< FLN ann@example.com\n", 0, 0},
		{"URL, FND, SND and CVR", "MSNP2", friends, "ann> URL 9 INBOX\nann< URL 9 * *\nann> FND 10 fname=B\nann< FND 10 0 0\nann> SND 11 bob@example.com\nann< SND 11 OK\nann> CVR 12\nann< CVR 12 * * * * *\n", 0, 0},
		{"XFR while hidden", "all", friends, "ann> CHG 9 HDN\nann< CHG 9 HDN\nbob< FLN ann@example.com\nann> XFR 10 SB\nann< 913 10\n", 0, 0},
		{"refused ADD and REM", "all", friends, "ann> ADD 9 FL bob@example.com Bob\nann< 215 9\nann> ADD 10 BL bob@example.com Bob\nann< 219 10\nann> ADD 11 FL nobody@example.com N\nann< 205 11\n" +
			"ann> REM 12 BL bob@example.com\nann< 216 12\n", 0, 0},
		{"refused settings and names", "all", friends, "ann> GTC 9 A\nann< 218 9\nann> BLP 10 AL\nann< 218 10\nann> REA 11 nobody@example.com N\nann< 216 11\n", 0, 0},
		{"refused groups", "MSNP5+", friends, "ann> RMG 9 0\nann< 230 9\nann> RMG 10 7\nann< 224 10\nann> REG 11 7 Home 0\nann< 224 11\nann> REM 12 FL bob@example.com 1\nann< 225 12\nann> PRP 13 XYZ 1\nann< 715 13\n", 0, 0},
	} {
		f.add(row.name, row.dialects, row.before, row.does, "settle\n",
			fmt.Sprintf("ann> SYN 90 %d\nann< SYN 90 %d\n", 20+row.own, 20+row.own),
			fmt.Sprintf("bob> SYN 91 %d\nbob< SYN 91 %d\n", 20+row.other, 20+row.other))
	}
	f.play(allinone.Options{})
}
