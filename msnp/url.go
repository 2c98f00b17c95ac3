package msnp

import (
	"slices"
	"strings"
)

// The service that clients are sent to when they ask for one that their
// version does not have.
const Inbox = "INBOX"

// services has the words that URL knows, with the first and the last dialect
// whose client asks for them ("yellows' MSNP wiki").
var services = []struct {
	name        string
	first, last *Dialect
}{
	{"PASSWORD", MSNP2, MSNP2},
	{Inbox, MSNP2, MSNP7},
	{"COMPOSE", MSNP2, MSNP7},
	{"MESSAGE", MSNP2, MSNP7},
	{"FOLDERS", MSNP2, MSNP7},
	{"PERSON", MSNP2, MSNP7},
	{"MOBILE", MSNP5, MSNP7},
	{"CHGMOB", MSNP5, MSNP7},
	{"PROFILE", MSNP6, MSNP7},
	{"N2PACCOUNT", MSNP6, MSNP6},
	{"N2PFUND", MSNP6, MSNP6},
	{"CHAT", MSNP7, MSNP7},
}

// Services returns the names of all services that URL of any version knows.
func Services() []string {
	var names []string
	for _, s := range services {
		names = append(names, s.name)
	}
	return names
}

// Service returns the service that a client of this version means by the first
// argument of URL. A word that this version does not have means the inbox.
func (d *Dialect) Service(word []byte) string {
	at := slices.Index(dialects, d)
	for _, s := range services {
		if s.name == string(word) && slices.Index(dialects, s.first) <= at && at <= slices.Index(dialects, s.last) {
			return s.name
		}
	}
	return Inbox
}

// AppendURL answers URL: the page, the form to log in at, and for clients
// that want one the site id. MSNP2 knows pages of the login host only, so of an
// absolute page it gets the path.
func (d *Dialect) AppendURL(l *Line, trid []byte, page, login string, site uint64) {
	l.Verb("URL").TrID(trid).Word(d.page(page)).Word(login)
	if d.Has(SiteID) {
		l.Uint(site)
	}
}

// page returns a page as this version can name it.
func (d *Dialect) page(page string) string {
	_, rest, absolute := strings.Cut(page, "://")
	if !absolute || d.Has(AbsolutePages) {
		return page
	}
	at := strings.IndexAny(rest, "/?")
	switch {
	case at < 0:
		return "/"
	case rest[at] == '?':
		return "/" + rest[at:]
	}
	return rest[at:]
}
