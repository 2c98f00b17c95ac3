package msnp_test

import (
	"strings"
	"testing"

	"github.com/monarch-msn/monarch/msnp"
)

func TestAppendURL(t *testing.T) {
	for _, test := range []struct{ page, relative string }{
		{"/inbox", "/inbox"},
		{"http://mail.example.com/inbox?box=1", "/inbox?box=1"},
		{"http://mail.example.com", "/"},
		{"https://mail.example.com?box=1", "/?box=1"},
	} {
		want := since(0, "URL 49 "+test.page+" http://login.example.com/form 2\r\n")
		want[0] = "URL 49 " + test.relative + " http://login.example.com/form\r\n"
		eachDialect(t, "URL", func(d *msnp.Dialect, l *msnp.Line) {
			d.AppendURL(l, []byte("49"), test.page, "http://login.example.com/form", 2)
		}, want)
	}
}

func TestServicesByVersion(t *testing.T) {
	// One letter for each dialect, oldest first: s is the service that was
	// asked for, i the inbox in its place.
	for words, want := range map[string]string{
		"INBOX COMPOSE MESSAGE FOLDERS PERSON":  "ssssss",
		"PASSWORD":                              "siiiii",
		"MOBILE CHGMOB":                         "iiisss",
		"PROFILE":                               "iiiiss",
		"N2PACCOUNT N2PFUND":                    "iiiisi",
		"CHAT":                                  "iiiiis",
		"inbox SPACES HTTP://EXAMPLE.COM/ CHA@": "iiiiii",
	} {
		for word := range strings.FieldsSeq(words) {
			var got strings.Builder
			for _, d := range msnp.Dialects() {
				switch d.Service([]byte(word)) {
				case word:
					got.WriteByte('s')
				case msnp.Inbox:
					got.WriteByte('i')
				default:
					got.WriteByte('?')
				}
			}
			if got.String() != want {
				t.Errorf("URL %s: want %s, got %s", word, want, got.String())
			}
		}
	}
	if got := strings.Join(msnp.Services(), " "); got != "PASSWORD INBOX COMPOSE MESSAGE FOLDERS PERSON MOBILE CHGMOB PROFILE N2PACCOUNT N2PFUND CHAT" {
		t.Errorf("services: got %s", got)
	}
}
