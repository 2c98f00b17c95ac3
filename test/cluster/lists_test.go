package cluster

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/monarch-msn/monarch/msnp"
	"github.com/monarch-msn/monarch/msnp/client"
)

// readLists turns the whole answer to SYN 0 into what the user's own commands
// decide, and the names of those on RL by email.
func readLists(block []client.Message) (own *book, reverse map[string]string, err error) {
	own, reverse = newBook(), map[string]string{}
	for _, m := range block {
		switch {
		case m.Verb == "BLP":
			own.blp = m.Arg(2)
		case m.Verb == "LSG":
			id, err := strconv.Atoi(m.Arg(4))
			if err != nil {
				return nil, nil, fmt.Errorf("read %q: %w", m.Text, err)
			}
			own.groups[id] = m.Arg(5)
		case m.Verb != "LST" || m.Arg(4) == "0": // an empty list
		case m.Arg(1) == "RL":
			reverse[m.Arg(5)] = m.Arg(6)
		default:
			email := m.Arg(5)
			own.lists[m.Arg(1)][email] = m.Arg(6)
			if m.Arg(1) != "FL" {
				continue
			}
			if own.in[email], err = readGroups(m.Arg(7)); err != nil {
				return nil, nil, fmt.Errorf("read %q: %w", m.Text, err)
			}
		}
	}
	return own, reverse, nil
}

func readGroups(list string) (set msnp.GroupSet, err error) {
	for word := range strings.SplitSeq(list, ",") {
		id, err := strconv.ParseUint(word, 10, 32)
		if err != nil {
			return 0, err
		}
		set = set.With(uint32(id))
	}
	return set, nil
}

// versionAt returns which argument of a line is a list version, or -1.
func versionAt(m client.Message) int {
	switch m.Verb {
	case "BPR":
		return 0
	case "SYN", "GTC", "BLP", "PRP", "LSG", "ADG", "REG", "RMG", "REA":
		return 1
	case "LST", "ADD", "REM":
		return 2
	}
	return -1
}

// toldVersion returns the list version that a line tells, or 0.
func toldVersion(m client.Message) uint64 {
	v, err := strconv.ParseUint(m.Arg(versionAt(m)), 10, 32)
	if err != nil {
		return 0
	}
	return v
}
