package script

import (
	"fmt"
	"strings"
)

// dialects are the names of what is played, oldest first.
var dialects = []string{"MSNP2", "MSNP3", "MSNP4", "MSNP5", "MSNP6", "MSNP7"}

// offers are the words that the official client with that highest dialect sends
// in VER (yellows' MSNP wiki, client versions; the MSNP7 seed session).
var offers = map[string]string{
	"MSNP2": "MSNP2 CVR0",
	"MSNP3": "MSNP3 MSNP2 CVR0",
	"MSNP4": "MSNP4 MSNP3 CVR0",
	"MSNP5": "MSNP5 MSNP4 CVR0",
	"MSNP6": "MSNP6 MSNP5 MSNP4 CVR0",
	"MSNP7": "MSNP7 MSNP6 MSNP5 MSNP4 CVR0",
}

// A dialectSet has a bit for each index in dialects.
type dialectSet uint8

const allDialects dialectSet = 1<<6 - 1

// parseDialects reads "all" or words like MSNP3, MSNP5+ and MSNP2-4.
func parseDialects(words []string) (dialectSet, error) {
	var set dialectSet
	for _, word := range words {
		if word == "all" {
			set |= allDialects
			continue
		}
		first, last := word, word
		if low, ok := strings.CutSuffix(word, "+"); ok {
			first, last = low, dialects[len(dialects)-1]
		} else if low, high, ok := strings.Cut(word, "-"); ok {
			first, last = low, "MSNP"+high
		}
		from, to := dialectIndex(first), dialectIndex(last)
		if from < 0 || to < from {
			return 0, fmt.Errorf("no such dialects: %q", word)
		}
		for i := from; i <= to; i++ {
			set |= 1 << i
		}
	}
	if set == 0 {
		return 0, fmt.Errorf("no dialect named")
	}
	return set, nil
}

// has reports whether the dialect, given by name, is in the set.
func (s dialectSet) has(dialect string) bool {
	i := dialectIndex(dialect)
	return i >= 0 && s&(1<<i) != 0
}

func (s dialectSet) names() []string {
	var names []string
	for _, name := range dialects {
		if s.has(name) {
			names = append(names, name)
		}
	}
	return names
}

func dialectIndex(name string) int {
	for i, d := range dialects {
		if d == name {
			return i
		}
	}
	return -1
}
