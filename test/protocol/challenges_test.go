package protocol

import (
	"testing"
	"time"

	"github.com/monarch-msn/monarch/services/allinone"
	"github.com/monarch-msn/monarch/services/notification"
)

const annAndBob = "account ann@example.com Ann\naccount bob@example.com Bob\nfriends ann bob\n\n"

// TestUnansweredChallenge: a client that says nothing hears OUT, and those who
// saw its user hear that the user has gone. Older clients are left alone.
func TestUnansweredChallenge(t *testing.T) {
	f := newTranscripts(t)
	f.add("no answer", "MSNP6 MSNP7", annAndBob,
		"online bob MSNP5\nlogin ann\nann> CHG 9 NLN\nann< CHG 9 NLN\nann< ILN 9 NLN bob@example.com Bob\nann< CHL 0 *\n",
		"bob< NLN NLN ann@example.com Ann\nann< OUT\nann< closed\nbob< FLN ann@example.com\n")
	f.play(allinone.Options{Notification: notification.Config{Challenges: true, ChallengeTimeout: 100 * time.Millisecond}})
}

// TestLaterChallenges: who has answered is asked again, and once more.
func TestLaterChallenges(t *testing.T) {
	f := newTranscripts(t)
	f.add("later challenges", "MSNP6 MSNP7", annAndBob,
		"login ann\nann> CHG 9 NLN\nann< CHG 9 NLN\nann< CHL 0 $first\n",
		"ann> QRY 10 msmsgs@msnmsgr.com 32\n   =$md5($first,Q1P7W2E4J9R8U3S5)\nann< QRY 10\nann< CHL 0 $second\n",
		// What comes meanwhile is served.
		"ann> PNG\nann< QNG\n",
		"ann> QRY 11 msmsgs@msnmsgr.com 32\n   =$md5($second,Q1P7W2E4J9R8U3S5)\nann< QRY 11\nann< CHL 0 $third\n",
		"ann> QRY 12 msmsgs@msnmsgr.com 32\n   =$md5($second,Q1P7W2E4J9R8U3S5)\nann< 540 12\nann< closed\n")
	f.play(allinone.Options{Notification: notification.Config{Challenges: true, ChallengeInterval: 20 * time.Millisecond}})
}
