package msnp

// A Command is one line with its payload. The slices point into the Reader
// that filled it and are valid until its next call of Next.
type Command struct {
	Verb string // a constant, comparable without a copy of the line
	// TrID has the digits as they were received, for the echo: 007 stays
	// 007. It is empty in what servers send, and for PNG and OUT.
	TrID []byte
	// Args are the words after the TrID; from a server, all words after the
	// verb. The length of a payload is the last of them.
	Args [][]byte
	// Payload is empty where the command has none, or one of length 0.
	Payload []byte
}

// Row returns the rules for c on server s, nil if s does not serve it.
func (c *Command) Row(s Server) *Row { return Lookup(s, c.Verb) }

// Params returns a reader of the arguments.
func (c *Command) Params() Params { return Params{rest: c.Args} }

// word is what a Reader has to know of a verb.
type word struct {
	verb    string
	trid    bool
	payload bool
	exact   int // the only payload length allowed, if not 0
}

// clientWords has the words of Verbs: a server's reader knows the payloads
// of all commands, also of those its server refuses, or their bytes would be
// read as commands.
var clientWords = func() map[string]word {
	m := make(map[string]word)
	for i := range Verbs {
		r := &Verbs[i]
		m[r.Verb] = word{verb: r.Verb, trid: r.TrID, payload: r.Payload, exact: r.Exact}
	}
	return m
}()

// serverWords has what servers send, besides the numeric errors. TrIDs are
// left among the arguments: whether one is there depends on more than the
// verb.
var serverWords = func() map[string]word {
	m := make(map[string]word)
	for _, v := range []string{
		"VER", "INF", "CVR", "CVQ", "USR", "XFR", "OUT", "QNG",
		"SYN", "GTC", "BLP", "PRP", "LSG", "LST", "BPR",
		"ADD", "REM", "REA", "ADG", "REG", "RMG",
		"CHG", "ILN", "NLN", "FLN", "IMS",
		"CHL", "QRY", "URL", "FND", "SND", "SDC",
		"RNG", "CAL", "ANS", "IRO", "JOI", "BYE", "ACK", "NAK",
	} {
		m[v] = word{verb: v}
	}
	for _, v := range []string{"MSG", "NOT", "IPG"} {
		m[v] = word{verb: v, payload: true}
	}
	return m
}()

// numbers is "000001002…999": the verbs of error lines are cut out of it.
var numbers = func() string {
	b := make([]byte, 0, 3000)
	for n := range 1000 {
		b = append(b, byte('0'+n/100), byte('0'+n/10%10), byte('0'+n%10))
	}
	return string(b)
}()

func (g Grammar) word(b []byte) (word, bool) {
	if g == FromClient {
		w, ok := clientWords[string(b)]
		return w, ok
	}
	if n, ok := parseUint32(b); ok && len(b) == 3 {
		return word{verb: numbers[3*n : 3*n+3]}, true
	}
	w, ok := serverWords[string(b)]
	return w, ok
}

// isTrID reports whether b is a transaction id: decimal, up to 2^32-1.
// Leading zeros are allowed, as ids are never renormalised.
func isTrID(b []byte) bool {
	_, ok := parseUint32(b)
	return ok
}

// parseUint32 reads decimal digits, nothing else.
func parseUint32(b []byte) (uint32, bool) {
	if len(b) == 0 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
		if n > 1<<32-1 {
			return 0, false
		}
	}
	return uint32(n), true
}
