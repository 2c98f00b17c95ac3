package script

import "strings"

// A Script is one transcript, read and checked.
type Script struct {
	// Name is the file's name.
	Name string
	// About is the sentence at its top.
	About string

	dialects dialectSet
	accounts []*account
	steps    []step
}

// Dialects are the names of the dialects it holds for, oldest first.
func (s *Script) Dialects() []string { return s.dialects.names() }

// An account exists, and is as described, before the conversation starts.
type account struct {
	email    string
	name     string // as on the wire
	password string
	settings []setting
	members  []member
	groups   []string
	crowd    int
	version  uint32 // 0: whatever it comes to
}

// short is what the script calls the account.
func (a *account) short() string {
	local, _, _ := strings.Cut(a.email, "@")
	return local
}

// A setting is a phone (PHH, PHW, PHM, MOB, MBE) or a privacy mode (GTC, BLP).
type setting struct{ key, value string }

// A member is one entry of FL, AL or BL.
type member struct {
	list   string
	short  string
	name   string // empty: as the account is called
	groups []uint32
}

// A step is one line of the conversation, with the payload below it.
type step struct {
	line int    // in the file, from 1
	text string // as written, for reports
	only dialectSet
	act  action
}

// An action is what a step does in a play; it blocks until it is done.
type action interface {
	do(*turn) error
}

// The actions, each with its form in a transcript.
type (
	// send is "ann> text"; raw means without a CRLF of its own.
	send struct {
		conn string
		text string
		raw  bool
		hold bool
		payload
	}
	// expect is "ann< text"; a run of "ann<~ text" is one with several lines.
	expect struct {
		conn      string
		unordered bool
		lines     []pattern
	}
	// pattern is one expected message.
	pattern struct {
		text string
		payload
	}
	// closed is "ann< closed".
	closed struct{ conn string }
	// connect is "connect ann dispatch", "connect ann notification 2" or
	// "connect a $address".
	connect struct {
		conn    string
		server  string
		node    int    // from 1; 0 is the account's own
		address string // "$name" in place of a server
	}
	// follow is "follow ann", drop "drop ann", bytewise "bytewise ann".
	follow   struct{ conn string }
	drop     struct{ conn string }
	bytewise struct{ conn string }
	// login is "login ann", for one or more.
	login struct{ guests []guest }
	// online is "online ann AWY bob".
	online struct{ guests []guest }
	// settle is "settle".
	settle struct{}
)

// A guest is who logs in, how.
type guest struct {
	conn    string
	dialect string // empty: that of the play
	state   string // empty: NLN
}

// A payload is what follows a line.
type payload struct {
	lines []payloadLine
	any   bool // "*": whatever it is
}

type payloadLine struct {
	only dialectSet
	text string // with CRLF, if it has one
}
