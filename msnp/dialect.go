package msnp

import "strings"

// A Feature is a set of abilities by which the dialects differ.
type Feature uint32

// The features, each with the dialect that brought it ("yellows' MSNP wiki";
// the seed session for MSNP7).
const (
	Referrer       Feature = 1 << iota // MSNP3: XFR NS ends in a 0
	Passport                           // MSNP3: the profile message has Passport's fields
	SiteID                             // MSNP3: URL is answered with a site id
	AbsolutePages                      // MSNP3: URL may name a page on any host
	IMS                                // MSNP3: IMS switches invitations off, for WebTV
	SNDLocale                          // MSNP3: SND names locale and library
	Codebase                           // MSNP4: CVR and SND name the codebase
	PhoneNumbers                       // MSNP5: PRP, BPR
	SDC                                // MSNP5: SDC, invitation mail with a text
	Pages                              // MSNP5: PAG
	Alerts                             // MSNP5: NOT shows a text
	Verified                           // MSNP6: USR OK tells whether the address is verified
	Challenges                         // MSNP6: CHL, QRY
	Groups                             // MSNP7: groups in SYN and in LST FL
	Origin                             // MSNP7: XFR NS names the server that it came from
	DisabledAnswer                     // MSNP7: a command switched off is answered with 502
)

// A Dialect is one version of the protocol: a name and a set of features.
// Lines that differ between the versions are its methods. There is no number
// to compare, so that no condition on one can be written elsewhere.
type Dialect struct {
	name     string
	features Feature
	instead  map[Code]Code // for codes that this version's client cannot show; 0: close
}

// The dialects.
var (
	MSNP2 = &Dialect{
		"MSNP2", 0,
		map[Code]Code{CodeChildAccount: CodeAuthentication, CodeNotVerified: CodeAuthentication, CodeLoginBusy: CodeBusy, CodeDisabled: 0, CodeChallengeFailed: 0},
	}
	MSNP3 = &Dialect{
		"MSNP3", MSNP2.features | Referrer | Passport | SiteID | AbsolutePages | IMS | SNDLocale,
		MSNP2.instead,
	}
	MSNP4 = &Dialect{
		"MSNP4", MSNP3.features | Codebase,
		map[Code]Code{CodeNotVerified: CodeAuthentication, CodeLoginBusy: CodeBusy, CodeDisabled: 0, CodeChallengeFailed: 0},
	}
	MSNP5 = &Dialect{
		"MSNP5", MSNP4.features | PhoneNumbers | SDC | Pages | Alerts,
		map[Code]Code{CodeLoginBusy: CodeBusy, CodeDisabled: 0, CodeChallengeFailed: 0},
	}
	MSNP6 = &Dialect{
		"MSNP6", MSNP5.features | Verified | Challenges,
		map[Code]Code{CodeLoginBusy: CodeBusy, CodeDisabled: 0},
	}
	MSNP7 = &Dialect{
		"MSNP7", MSNP6.features | Groups | Origin | DisabledAnswer,
		map[Code]Code{CodeUnavailable: CodeBusy, CodeGoingDown: CodeBusy, CodeNoNewUsers: CodeLoginBusy, CodeUnspecified: 0},
	}
)

// CVR0 is the word for no dialect at all: a client that offered nothing else
// may ask by CVQ where to get a newer one.
const CVR0 = "CVR0"

var dialects = []*Dialect{MSNP2, MSNP3, MSNP4, MSNP5, MSNP6, MSNP7}

// Dialects returns all dialects, lowest first.
func Dialects() []*Dialect { return append([]*Dialect(nil), dialects...) }

// DialectByName finds a dialect by its name, in either case.
func DialectByName(name string) (*Dialect, bool) {
	for _, d := range dialects {
		if strings.EqualFold(d.name, name) {
			return d, true
		}
	}
	return nil, false
}

// Negotiate picks the highest dialect that was offered and is enabled,
// whatever the order; nil enables all. Unknown words are ignored. Without a
// common one it returns nil, and cvr0 tells whether the client offered CVR0:
// answer that, or else 0 and close.
func Negotiate(offered [][]byte, enabled []*Dialect) (d *Dialect, cvr0 bool) {
	for i := len(dialects) - 1; i >= 0; i-- {
		if common(dialects[i], offered, enabled) {
			return dialects[i], false
		}
	}
	return nil, offers(offered, CVR0)
}

// CommonList returns all dialects that were offered and are enabled, highest
// first, and CVR0 behind them if it was offered. Some clients look for a word
// of theirs in the answer to VER: Gaim 0.60 for MSNP5, aMSN for CVR0.
func CommonList(offered [][]byte, enabled []*Dialect) []string {
	var list []string
	for i := len(dialects) - 1; i >= 0; i-- {
		if common(dialects[i], offered, enabled) {
			list = append(list, dialects[i].name)
		}
	}
	if offers(offered, CVR0) {
		list = append(list, CVR0)
	}
	return list
}

func common(d *Dialect, offered [][]byte, enabled []*Dialect) bool {
	on := enabled == nil
	for _, e := range enabled {
		on = on || e == d
	}
	return on && offers(offered, d.name)
}

// offers compares without regard to case, as the IETF draft has it.
func offers(offered [][]byte, name string) bool {
	for _, o := range offered {
		if len(o) == len(name) && strings.EqualFold(string(o), name) {
			return true
		}
	}
	return false
}

// String returns the name; of nil, which is no dialect yet, "none".
func (d *Dialect) String() string {
	if d == nil {
		return "none"
	}
	return d.name
}

// Has reports whether d has all features of f. A nil Dialect has none.
func (d *Dialect) Has(f Feature) bool {
	if d == nil {
		return f == 0
	}
	return d.features&f == f
}

// Code returns the code that says c to a client of this version: clients know
// the numbers of their own time. 0 means that none does, and the connection
// closes in silence.
func (d *Dialect) Code(c Code) Code {
	if d != nil {
		if other, ok := d.instead[c]; ok {
			return other
		}
	}
	return c
}

// AppendReferral sends a client to the notification server at to; origin is
// this server's own public address. Both are host:port.
func (d *Dialect) AppendReferral(l *Line, trid []byte, to, origin string) {
	l.Verb("XFR").TrID(trid).Word("NS").Word(to)
	if d.Has(Referrer) {
		l.Word("0")
	}
	if d.Has(Origin) {
		l.Word(origin)
	}
}

// AppendUserOK ends a login. An unset name is shown as the address.
func (d *Dialect) AppendUserOK(l *Line, trid []byte, e Email, n Nick, verified bool) {
	l.Verb("USR").TrID(trid).Word("OK").Email(e).Nick(n.Or(e))
	if d.Has(Verified) {
		if verified {
			l.Word("1")
		} else {
			l.Word("0")
		}
	}
}

// AppendPrivatePhones renders the five PRP lines of SYN, none before MSNP5.
// mobileDevice is MBE: the user has a device set up, and may let be paged.
func (d *Dialect) AppendPrivatePhones(l *Line, trid []byte, version uint32, p Phones, mobileDevice bool) {
	if !d.Has(PhoneNumbers) {
		return
	}
	prp := func(key string) *Line { return l.Verb("PRP").TrID(trid).Uint(uint64(version)).Word(key) }
	prp("PHH").Optional(string(p.Home))
	prp("PHW").Optional(string(p.Work))
	prp("PHM").Optional(string(p.Mobile))
	prp("MOB").Flag(p.Page)
	prp("MBE").Flag(mobileDevice)
}

// AppendPhones renders the four BPR lines by which the session whose list
// version is given learns the numbers of e; none before MSNP5. The zero
// Phones are those of somebody who does not show them.
func (d *Dialect) AppendPhones(l *Line, version uint32, e Email, p Phones) {
	if !d.Has(PhoneNumbers) {
		return
	}
	bpr := func(key string) *Line { return l.Verb("BPR").Uint(uint64(version)).Email(e).Word(key) }
	bpr("PHH").Optional(string(p.Home))
	bpr("PHW").Optional(string(p.Work))
	bpr("PHM").Optional(string(p.Mobile))
	bpr("MOB").Flag(p.Page)
}

// AppendPhone renders the one BPR line by which a session learns that e has
// changed a number; none before MSNP5. MOB always has a value, Y or N.
func (d *Dialect) AppendPhone(l *Line, version uint32, e Email, key string, value Nick) {
	if !d.Has(PhoneNumbers) {
		return
	}
	l.Verb("BPR").Uint(uint64(version)).Email(e).Word(key)
	if key == "MOB" {
		l.Flag(value == "Y")
	} else {
		l.Optional(string(value))
	}
}

// AppendGroups renders the LSG lines of SYN, none before MSNP7. To a client
// that asks by LSG, of whatever version, goes the function AppendGroups.
func (d *Dialect) AppendGroups(l *Line, trid []byte, version uint32, gs []Group) {
	if d.Has(Groups) {
		AppendGroups(l, trid, version, gs)
	}
}

// AppendGroups renders an LSG line for each group.
func AppendGroups(l *Line, trid []byte, version uint32, gs []Group) {
	for i, g := range gs {
		l.Verb("LSG").TrID(trid).Uint(uint64(version)).Uint(uint64(i + 1)).Uint(uint64(len(gs)))
		l.Uint(uint64(g.ID)).Nick(g.Name).Word("0")
	}
}

// AppendContact renders entry i of n, counted from 1, of list x. An unset
// name is shown as the address. Groups go with the forward list only, from
// MSNP7 on.
func (d *Dialect) AppendContact(l *Line, trid []byte, x List, version, i, n uint32, e Email, name Nick, g GroupSet) {
	l.Verb("LST").TrID(trid).List(x).Uint(uint64(version)).Uint(uint64(i)).Uint(uint64(n))
	l.Email(e).Nick(name.Or(e))
	if x == FL && d.Has(Groups) {
		l.Groups(g)
	}
}

// AppendNoContact renders the one line of an empty list.
func AppendNoContact(l *Line, trid []byte, x List, version uint32) {
	l.Verb("LST").TrID(trid).List(x).Uint(uint64(version)).Word("0").Word("0")
}
