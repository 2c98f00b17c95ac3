// Package api holds the JSON shapes of the operator's HTTP interface, version
// 1. The server and monarchctl share them; openapi.yaml of the operator says
// the same for everybody else. A field is added, never renamed or reused.
package api

import "time"

// Limits of one request.
const (
	// MaxRows is how many rows one batch may hold.
	MaxRows = 1000
	// MaxPage is how many accounts one page may hold.
	MaxPage = 1000
	// MaxMinutes is how far ahead a shutdown may be announced.
	MaxMinutes = 7 * 24 * 60
)

// Reasons that a program may want to tell apart. A refusal that carries none
// of them is explained by its sentence alone.
const (
	// ReasonExists says that the email is taken.
	ReasonExists = "EXISTS"
	// ReasonAlreadyThere says that the contact is on the list already.
	ReasonAlreadyThere = "ALREADY_THERE"
	// ReasonNoSuchUser says that there is no such account.
	ReasonNoSuchUser = "NO_SUCH_USER"
	// ReasonInvalid says that a field is malformed.
	ReasonInvalid = "INVALID"
)

// Error is the body of every answer with a status of 400 or above.
type Error struct {
	// Error is one sentence.
	Error string `json:"error"`
	// Reason is the directory's reason by name, if it refused.
	Reason string `json:"reason,omitempty"`
}

// NewAccount is an account to create.
type NewAccount struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	// Name is the friendly name in plain UTF-8; empty means the email.
	Name string `json:"name,omitempty"`
}

// Account is one user, without lists.
type Account struct {
	Email string `json:"email"`
	// UserID is the number that clients see as their member id.
	UserID uint64 `json:"user_id"`
	// Name is the friendly name in plain UTF-8. Users choose it themselves:
	// whoever shows it must expect any character.
	Name     string `json:"name"`
	Verified bool   `json:"verified"`
	Disabled bool   `json:"disabled"`
	// Version is the list version.
	Version uint32    `json:"version"`
	Created time.Time `json:"created"`
}

// AccountPage is one page of all accounts, in order of email.
type AccountPage struct {
	Accounts []Account `json:"accounts"`
	// Next is the value of "after" that brings the next page; empty on the
	// last one.
	Next string `json:"next,omitempty"`
}

// AccountDetail is one user with groups and lists.
type AccountDetail struct {
	Account
	// Privacy is "AL" where people on neither list are allowed, else "BL".
	Privacy  string    `json:"privacy"`
	Groups   []Group   `json:"groups"`
	Contacts []Contact `json:"contacts"`
}

// Group is one of a user's groups.
type Group struct {
	ID uint32 `json:"id"`
	// Name is plain UTF-8.
	Name string `json:"name"`
}

// Contact is one person on a user's lists.
type Contact struct {
	Email string `json:"email"`
	// Name is how the user's list calls the person, in plain UTF-8.
	Name string `json:"name"`
	// Lists holds FL, AL, BL and RL, in that order.
	Lists []string `json:"lists"`
	// Groups are the groups that hold the person, for FL only.
	Groups []uint32 `json:"groups"`
}

// AccountBatch asks for up to MaxRows accounts.
type AccountBatch struct {
	Accounts []NewAccount `json:"accounts"`
}

// NewContact puts Contact on FL and AL of Owner, and Owner on RL of Contact.
type NewContact struct {
	Owner   string `json:"owner"`
	Contact string `json:"contact"`
	// Group is a group's name in plain UTF-8. It is made if the owner lacks
	// it; empty means group 0.
	Group string `json:"group,omitempty"`
}

// ContactBatch asks for up to MaxRows contacts.
type ContactBatch struct {
	Contacts []NewContact `json:"contacts"`
}

// BatchResult says what became of a batch. A row without an entry in Errors
// was done.
type BatchResult struct {
	// Done counts the rows that were done.
	Done   int        `json:"done"`
	Errors []RowError `json:"errors"`
}

// RowError says why one row of a batch was refused.
type RowError struct {
	// Row is the index in the request, from 0.
	Row int `json:"row"`
	// Reason is the directory's reason by name.
	Reason string `json:"reason"`
	// Error is one sentence.
	Error string `json:"error"`
}

// Password is a password to set.
type Password struct {
	Password string `json:"password"`
}

// Change is the answer to what changes an account and may end its session.
type Change struct {
	Email string `json:"email"`
	// SessionClosed says that a live session was told to end.
	SessionClosed bool `json:"session_closed"`
	// Warning is one sentence about what could not be done besides; the
	// change itself stands.
	Warning string `json:"warning,omitempty"`
}

// Node is one process of the network.
type Node struct {
	ID string `json:"id"`
	// Role is dispatch, notification, switchboard or operator.
	Role string `json:"role"`
	// State is serving or draining.
	State     string    `json:"state"`
	Addresses []Address `json:"addresses"`
	Sessions  uint32    `json:"sessions"`
	// Capacity is the most sessions the node takes; 0 where that has no
	// meaning.
	Capacity uint32    `json:"capacity"`
	Started  time.Time `json:"started"`
	Version  string    `json:"version"`
}

// Address is where clients of one listener reach a node.
type Address struct {
	// Listener is empty for the only one.
	Listener string `json:"listener,omitempty"`
	Address  string `json:"address"`
}

// NodeList is every node that holds a lease.
type NodeList struct {
	Nodes []Node `json:"nodes"`
}

// Session is the place where a user is logged in.
type Session struct {
	Email string `json:"email"`
	ID    string `json:"id"`
	// Node is the id of the node that holds the session.
	Node string `json:"node"`
	// Dialect is the protocol version that was agreed, for example MSNP7.
	Dialect string `json:"dialect"`
}

// SessionList is every session of one node, in order of email.
type SessionList struct {
	Sessions []Session `json:"sessions"`
}

// Announcement is what users are told; one of Text and Minutes, or both.
type Announcement struct {
	// Email of the only one to be told; empty for everybody.
	Email string `json:"email,omitempty"`
	// Text is plain UTF-8. Clients from MSNP5 on show it.
	Text string `json:"text,omitempty"`
	// Minutes until the network goes down, at most MaxMinutes; 0 where it does
	// not. All clients show it.
	Minutes uint32 `json:"minutes,omitempty"`
}

// Announced says how far an announcement went.
type Announced struct {
	// Nodes that were told.
	Nodes int `json:"nodes"`
	// Sessions on them, as of their last heartbeat.
	Sessions uint32 `json:"sessions"`
}

// StatusChange is a status to give a user.
type StatusChange struct {
	// Status is NLN, BSY, IDL, BRB, AWY, PHN, LUN or HDN.
	Status string `json:"status"`
}

// Mail is a mail that has arrived for a user.
type Mail struct {
	// From is the sender's name in plain UTF-8; empty means the address.
	From    string `json:"from,omitempty"`
	Address string `json:"address"`
	Subject string `json:"subject"`
}
