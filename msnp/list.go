package msnp

import "strings"

// A List is one of a user's four lists, or a set of them.
type List uint8

// The lists: forward (whom I watch), allow, block, and reverse (who watches
// me; kept by the servers, no client edits it).
const (
	FL List = 1 << iota
	AL
	BL
	RL
)

// Lists has the four lists in the order of SYN.
var Lists = [...]List{FL, AL, BL, RL}

// String returns the name of the list; of a set, the names joined by "+".
func (l List) String() string {
	switch l {
	case 0:
		return "none"
	case FL:
		return "FL"
	case AL:
		return "AL"
	case BL:
		return "BL"
	case RL:
		return "RL"
	}
	var names []string
	for _, x := range Lists {
		if l.Has(x) {
			names = append(names, x.String())
		}
	}
	return strings.Join(names, "+")
}

// Has reports whether l contains all of x.
func (l List) Has(x List) bool { return l&x == x }

// ParseList reads the name of one list.
func ParseList(b []byte) (List, bool) {
	switch string(b) {
	case "FL":
		return FL, true
	case "AL":
		return AL, true
	case "BL":
		return BL, true
	case "RL":
		return RL, true
	}
	return 0, false
}
