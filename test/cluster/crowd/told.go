package crowd

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/monarch-msn/monarch/msnp/client"
)

// told is what one session's client has been told.
type told struct {
	lists   facts             // of the user's own
	reverse map[string]bool   // who has the user on FL
	shown   map[string]string // email: "NLN name" of who is online
	number  map[string]int    // email: highest number in the names shown
	falls   map[string]int64  // email: lines FLN
	base    map[string]int64  // email: how often that user had gone before
}

func newTold() told {
	return told{
		lists: facts{}, reverse: map[string]bool{}, shown: map[string]string{},
		number: map[string]int{}, falls: map[string]int64{}, base: map[string]int64{},
	}
}

// hear takes in one line, and says what is wrong with it on its face. The
// caller holds m.mu.
func (m *member) hear(line client.Message) error {
	if err := m.hearVersion(line); err != nil {
		return err
	}
	switch line.Verb {
	case "ILN":
		return m.seesOnline(line.Arg(1), line.Arg(2), line.Arg(3))
	case "NLN":
		return m.seesOnline(line.Arg(0), line.Arg(1), line.Arg(2))
	case "FLN":
		return m.seesOffline(line.Arg(0))
	case "ADD", "REM":
		return m.hearEdit(line.Verb == "ADD", line.Arg(1), line.Arg(3))
	case "BLP":
		m.told.lists[privacy] = line.Arg(2)
	case "OUT":
		if line.Arg(0) == "OTH" {
			return fmt.Errorf("displaced by a login that was none")
		}
	}
	return nil
}

func (m *member) seesOnline(status, email, nick string) error {
	m.crowd.count.presence.Add(1)
	o := m.crowd.byEmail[email]
	switch {
	case m.status == "":
		return fmt.Errorf("told of others before the first CHG")
	case o == nil || m.told.lists[onList("FL", email)] == "":
		return fmt.Errorf("told of somebody who is not on FL")
	}
	now := status + " " + nick
	if m.told.shown[email] == now {
		return fmt.Errorf("told twice")
	}
	m.told.shown[email] = now
	n := numberIn(nick)
	if n < m.told.number[email] {
		return fmt.Errorf("an older state after that with number %d", m.told.number[email])
	}
	m.told.number[email] = n
	if at, blocked := o.blockedSince(m.email); blocked && n > at {
		return fmt.Errorf("shown to somebody who was blocked at number %d", at)
	}
	return nil
}

func (m *member) seesOffline(email string) error {
	m.crowd.count.presence.Add(1)
	m.crowd.count.falls.Add(1)
	if m.told.shown[email] == "" {
		return fmt.Errorf("told that somebody went who was not shown")
	}
	delete(m.told.shown, email)
	m.told.falls[email]++
	return nil
}

func (m *member) hearEdit(added bool, list, email string) error {
	if list == "RL" {
		if added == m.told.reverse[email] {
			return fmt.Errorf("not news")
		}
		if added {
			m.told.reverse[email] = true
		} else {
			delete(m.told.reverse, email)
		}
		return nil
	}
	if added {
		m.told.lists[onList(list, email)] = on
		return nil
	}
	delete(m.told.lists, onList(list, email))
	if list == "FL" {
		delete(m.told.shown, email)
		delete(m.told.number, email)
	}
	return nil
}

// versionAt is which argument of a line is a list version.
var versionAt = map[string]int{
	"BPR": 0, "SYN": 1, "GTC": 1, "BLP": 1, "PRP": 1, "LSG": 1, "REA": 1, "LST": 2, "ADD": 2, "REM": 2,
}

// hearVersion notes the list version of a line; it never goes back, also not
// from one session to the next.
func (m *member) hearVersion(line client.Message) error {
	at, ok := versionAt[line.Verb]
	if !ok {
		return nil
	}
	v, err := strconv.ParseUint(line.Arg(at), 10, 32)
	if err != nil {
		return fmt.Errorf("no list version: %w", err)
	}
	if v < m.version {
		return fmt.Errorf("the list version goes back from %d", m.version)
	}
	m.version = v
	return nil
}

// numberIn reads the number in a name: "N12.345".
func numberIn(nick string) int {
	_, digits, _ := strings.Cut(nick, ".")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return -1
	}
	return n
}
