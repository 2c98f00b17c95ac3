package msnp

import "strings"

// Server is a set of the three kinds of server.
type Server uint8

// The kinds of server.
const (
	Dispatch Server = 1 << iota
	Notification
	Switchboard
)

// String returns the names of the servers, joined by "+".
func (s Server) String() string { return names(uint8(s), "dispatch", "notification", "switchboard") }

// Phase is where a connection stands, or a set of such places. A connection
// is in one phase at a time and only goes forward:
//
//	Connected ─VER─▶ Versioned ─INF─▶ Informed ─USR I─▶ Challenged ─USR S─▶ Authenticated ─CHG─▶ Present
//	     │               └────────────USR I (INF may be skipped)──▲
//	     └──VER──▶ VersionedCVR0 ─CVQ─▶ closed
//
// Where USR I is answered with XFR, it is Referred that follows. On a switchboard there is Connected and, after USR or ANS, Present.
type Phase uint8

// The phases.
const (
	Connected     Phase = 1 << iota // accepted, nothing said
	VersionedCVR0                   // VER answered with CVR0: only CVQ makes sense
	Versioned                       // VER answered with a dialect
	Informed                        // INF answered
	Challenged                      // the challenge is out
	Authenticated                   // USR answered with OK; no presence yet
	Present                         // the first CHG answered; on a switchboard: in a session
	Referred                        // XFR NS is out: the client hangs up, or says OUT
)

// Sets of phases that rows share.
const (
	loggedIn  = Authenticated | Present
	versioned = Versioned | Informed | Challenged | loggedIn
	anyPhase  = Connected | VersionedCVR0 | versioned | Referred
)

// String returns the name of the phase; of a set, the names joined by "+".
func (p Phase) String() string {
	return names(uint8(p), "connected", "versioned-cvr0", "versioned", "informed", "challenged", "authenticated", "present", "referred")
}

func names(set uint8, words ...string) string {
	var in []string
	for i, w := range words {
		if set&(1<<i) != 0 {
			in = append(in, w)
		}
	}
	if in == nil {
		return "none"
	}
	return strings.Join(in, "+")
}

// A Row is what the protocol demands of one command on some kinds of server.
// What a row says is checked once, by Admit, and never again in a handler.
type Row struct {
	Verb    string
	Servers Server
	Phases  Phase // served here
	Min     int   // fewest arguments after the TrID, a payload's length among them
	TrID    bool  // carries a transaction id
	Payload bool  // carries a payload
	Exact   int   // the only length that the payload may have; 0 is any within the limit
	Feature Feature
	Wrong   Wrong // what happens in other phases
}

// Wrong says how a command at a wrong moment is answered: in Phases with
// Code, after which the connection closes unless Stay is set; in phases
// mentioned nowhere the connection closes without a word. The zero Wrong is
// silence in all of them.
type Wrong struct {
	Phases Phase
	Code   Code
	Stay   bool
}

// repeated login commands are told so before the connection ends
// (hypothetic.org).
var repeated = Wrong{Phases: versioned | VersionedCVR0 | Referred, Code: CodeNotExpected}

// Verbs has every command that clients of MSNP2 to MSNP7 send, one row for
// each verb and kind of server with rules of its own. Whatever is not here,
// lower case and the words of servers included, closes the connection.
//
// The least counts are what clients of the time really send, not what the
// documents ask for: REA and ADD come without a name, ADG and REG without
// the 0 at the end, PRP without a value, CVR with any number of arguments. SND
// and SDC count their own, because they answer 503 where some are missing.
// More arguments than a command knows are ignored.
//
// LSG, ADG, REG and RMG need no feature: some third-party clients negotiate
// MSNP5 and use groups all the same.
var Verbs = []Row{
	// Login.
	{Verb: "VER", Servers: Dispatch | Notification, Phases: Connected, TrID: true, Min: 1, Wrong: repeated},
	{Verb: "INF", Servers: Dispatch | Notification, Phases: Versioned, TrID: true, Wrong: Wrong{Phases: Informed | Challenged | loggedIn | Referred, Code: CodeNotExpected}},
	{Verb: "CVR", Servers: Dispatch | Notification, Phases: versioned | Referred, TrID: true},
	{Verb: "CVQ", Servers: Dispatch | Notification, Phases: VersionedCVR0 | versioned | Referred, TrID: true},
	{Verb: "USR", Servers: Dispatch, Phases: Versioned | Informed, TrID: true, Min: 3, Wrong: Wrong{Phases: Referred, Code: CodeNotExpected}},
	{Verb: "USR", Servers: Notification, Phases: Versioned | Informed | Challenged | Referred, TrID: true, Min: 3, Wrong: Wrong{Phases: loggedIn, Code: CodeAlreadyLoggedIn, Stay: true}},
	{Verb: "OUT", Servers: Dispatch | Notification, Phases: anyPhase},
	{Verb: "PNG", Servers: Notification, Phases: loggedIn},

	// Synchronisation.
	{Verb: "SYN", Servers: Notification, Phases: loggedIn, TrID: true, Min: 1},
	{Verb: "LST", Servers: Notification, Phases: loggedIn, TrID: true, Min: 1},
	{Verb: "LSG", Servers: Notification, Phases: loggedIn, TrID: true},

	// Profile and privacy.
	{Verb: "GTC", Servers: Notification, Phases: loggedIn, TrID: true, Min: 1},
	{Verb: "BLP", Servers: Notification, Phases: loggedIn, TrID: true, Min: 1},
	{Verb: "PRP", Servers: Notification, Phases: loggedIn, TrID: true, Min: 1, Feature: PhoneNumbers},
	{Verb: "REA", Servers: Notification, Phases: loggedIn, TrID: true, Min: 1},

	// Lists and groups.
	{Verb: "ADD", Servers: Notification, Phases: loggedIn, TrID: true, Min: 2},
	{Verb: "REM", Servers: Notification, Phases: loggedIn, TrID: true, Min: 2},
	{Verb: "ADG", Servers: Notification, Phases: loggedIn, TrID: true, Min: 1},
	{Verb: "REG", Servers: Notification, Phases: loggedIn, TrID: true, Min: 2},
	{Verb: "RMG", Servers: Notification, Phases: loggedIn, TrID: true, Min: 1},

	// Presence.
	{Verb: "CHG", Servers: Notification, Phases: loggedIn, TrID: true, Min: 1},
	{Verb: "IMS", Servers: Notification, Phases: loggedIn, TrID: true, Min: 1, Feature: IMS},
	{Verb: "CHL", Servers: Notification, Phases: loggedIn, TrID: true, Feature: Challenges},
	{Verb: "QRY", Servers: Notification, Phases: loggedIn, TrID: true, Min: 2, Payload: true, Exact: 32, Feature: Challenges},

	// Services.
	{Verb: "XFR", Servers: Notification, Phases: loggedIn, TrID: true, Min: 1},
	{Verb: "URL", Servers: Notification, Phases: loggedIn, TrID: true, Min: 1},
	{Verb: "FND", Servers: Notification, Phases: loggedIn, TrID: true},
	{Verb: "SND", Servers: Notification, Phases: loggedIn, TrID: true},
	{Verb: "SDC", Servers: Notification, Phases: loggedIn, TrID: true, Min: 1, Payload: true, Feature: SDC},
	{Verb: "PAG", Servers: Notification, Phases: loggedIn, TrID: true, Min: 2, Payload: true, Feature: Pages},

	// The switchboard.
	{Verb: "USR", Servers: Switchboard, Phases: Connected, TrID: true, Min: 2},
	{Verb: "ANS", Servers: Switchboard, Phases: Connected, TrID: true, Min: 3},
	{Verb: "CAL", Servers: Switchboard, Phases: Present, TrID: true, Min: 1},
	{Verb: "MSG", Servers: Switchboard, Phases: Present, TrID: true, Min: 2, Payload: true},
	{Verb: "OUT", Servers: Switchboard, Phases: Connected | Present},
	{Verb: "PNG", Servers: Switchboard, Phases: Present},
}

var rows = func() map[Server]map[string]*Row {
	m := make(map[Server]map[string]*Row)
	for _, s := range []Server{Dispatch, Notification, Switchboard} {
		m[s] = make(map[string]*Row)
		for i := range Verbs {
			if r := &Verbs[i]; r.Servers&s != 0 {
				m[s][r.Verb] = r
			}
		}
	}
	return m
}()

// Lookup returns the rules of a verb on one kind of server, or nil if that
// server does not serve it: close the connection without a word.
func Lookup(s Server, verb string) *Row { return rows[s][verb] }

// An Action is what a server does with a command.
type Action uint8

// The actions. A Close with a Code sends its line first.
const (
	Serve  Action = iota // call the handler
	Refuse               // answer with the code and go on
	Close                // answer with the code, if there is one, and close
)

// Admit decides on a command before any handler sees it: by the phase of the
// connection, by the dialect (nil before VER), by the number of arguments. A
// nil row closes.
func (r *Row) Admit(p Phase, d *Dialect, args int) (Action, Code) {
	switch {
	case r == nil:
		return Close, 0
	case r.Phases&p != 0:
	case r.Wrong.Phases&p != 0 && r.Wrong.Stay:
		return Refuse, r.Wrong.Code
	case r.Wrong.Phases&p != 0:
		return Close, r.Wrong.Code
	default:
		return Close, 0
	}
	if args < r.Min || !d.Has(r.Feature) {
		return Close, 0
	}
	return Serve, 0
}
