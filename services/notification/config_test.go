package notification

import (
	"strings"
	"testing"
	"time"
)

func TestConfigIsChecked(t *testing.T) {
	if err := (Config{}).Validate(); err != nil {
		t.Errorf("the zero Config: %v", err)
	}
	if err := (Config{}.withDefaults()).Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	for _, test := range []struct {
		name string
		cfg  Config
		want string // "" is no fault
	}{
		{"a lower limit", Config{Limits: Limits{NameBytes: 64}}, ""},
		{"a handle longer than clients know", Config{Limits: Limits{HandleBytes: 130}}, "handle-bytes"},
		{"a name longer than clients know", Config{Limits: Limits{NameBytes: 388}}, "name-bytes"},
		{"a group name longer than clients know", Config{Limits: Limits{GroupNameBytes: 62}}, "group-name-bytes"},
		{"a group's new name longer than clients know", Config{Limits: Limits{GroupRenameBytes: 128}}, "group-rename-bytes"},
		{"a phone number longer than clients know", Config{Limits: Limits{PhoneBytes: 96}}, "phone-bytes"},
		{"a negative limit", Config{Limits: Limits{RenameLimit: -1}}, "rename-limit"},
		{"too much to remember", Config{Limits: Limits{RenameLimit: 101}}, "rename-limit"},
		{"a negative window", Config{Limits: Limits{RenameWindow: -time.Second}}, "rename-window"},
		{"pages of all kinds", Config{Pages: map[string]string{"INBOX": "/inbox", "CHAT": "https://chat.example.com/?l={param}"}}, ""},
		{"a page of no service", Config{Pages: map[string]string{"SPACES": "/spaces"}}, "SPACES"},
		{"a service without a page", Config{Pages: map[string]string{"INBOX": ""}}, "INBOX"},
		{"a page with a blank", Config{Pages: map[string]string{"INBOX": "/my inbox"}}, "INBOX"},
		{"a page that is not ASCII", Config{PageURL: "http://example.com/é"}, "page-url"},
		{"a page that is neither", Config{LoginURL: "example.com"}, "login-url"},
		{"a page with a line break", Config{DownloadURL: "http://example.com/\r\nOUT"}, "download-url"},
		{"information that is nowhere", Config{InfoURL: "http:///"}, "info-url"},
		{"a negative time for an answer", Config{ChallengeTimeout: -1}, "challenge-timeout"},
		{"a negative interval", Config{ChallengeInterval: -1}, "challenge-interval"},
	} {
		err := test.cfg.Validate()
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: want no fault, got %v", test.name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: want a fault that names %s, got %v", test.name, test.want, err)
		}
	}
}

func TestPages(t *testing.T) {
	cfg := Config{PageURL: "http://example.com/?about={param}", Pages: map[string]string{"COMPOSE": "/to/{param}"}}
	for _, test := range []struct{ service, arg, want string }{
		{"COMPOSE", "ann@example.com", "/to/ann%40example.com"},
		{"COMPOSE", "a%20b+c&d/../e", "/to/a%20b%2Bc%26d%2F..%2Fe"},
		{"COMPOSE", "\xff", "/to/%FF"},
		{"COMPOSE", strings.Repeat("a", 130), "/to/"},
		{"INBOX", "", "http://example.com/?about="},
	} {
		if got := cfg.page(test.service, pageParam([]byte(test.arg))); got != test.want {
			t.Errorf("page of %s %q: want %q, got %q", test.service, test.arg, test.want, got)
		}
	}
}

func TestChallengerForgetsWhoHasLeft(t *testing.T) {
	c := newChallenger()
	now := time.Now()
	one, two := &session{}, &session{}
	c.at(one, now.Add(time.Second))
	c.at(two, now.Add(time.Second))
	c.at(one, now) // earlier
	if got := c.take(now); len(got) != 1 || got[0] != one {
		t.Errorf("due at once: %v, want the first session", got)
	}
	c.forget(two)
	c.forget(one) // was taken: no harm
	if got := c.take(now.Add(time.Hour)); len(got) != 0 {
		t.Errorf("%d sessions are woken that have left", len(got))
	}
}
