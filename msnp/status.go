package msnp

// A Status is the state of presence that a session has published.
type Status uint8

// The states. HDN is online and shown to nobody; FLN is what others are told
// then, and no state that CHG may set (it is refused with 201).
const (
	StatusNone Status = iota // before the first CHG
	NLN                      // online
	BSY                      // busy
	IDL                      // idle
	BRB                      // be right back
	AWY                      // away
	PHN                      // on the phone
	LUN                      // out to lunch
	HDN                      // hidden
	FLN                      // offline
)

var statusWords = [...]string{"none", "NLN", "BSY", "IDL", "BRB", "AWY", "PHN", "LUN", "HDN", "FLN"}

// String returns the word of the protocol, "none" for StatusNone.
func (s Status) String() string {
	if int(s) < len(statusWords) {
		return statusWords[s]
	}
	return statusWords[StatusNone]
}

// Visible reports whether a contact who is admitted sees a session in this
// state: not before the first CHG, not hidden, not offline.
func (s Status) Visible() bool { return s >= NLN && s < HDN }

// ParseStatus reads a state, FLN among them. Case matters: "nln" is none.
func ParseStatus(b []byte) (Status, bool) {
	for s := NLN; s <= FLN; s++ {
		if string(b) == statusWords[s] {
			return s, true
		}
	}
	return StatusNone, false
}
