package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/monarch-msn/monarch/services/operator/api"
)

func TestUserLifecycle(t *testing.T) {
	n := startNetwork(t)
	for _, step := range []struct {
		in   string
		args string
		want string
	}{
		{"", "user list", "there are no accounts yet (monarchctl user create EMAIL --password-stdin makes one)\n"},
		{"secret\n", "user create Alice@Example.com --name Alice --password-stdin", "created alice@example.com\n"},
		{"secret", "user create bob@example.com --password-stdin", "created bob@example.com\n"},
		{"", "user disable alice@example.com", "disabled alice@example.com\n"},
		{"", "user enable alice@example.com", "enabled alice@example.com\n"},
		{"changed\r\n", "user set-password ALICE@example.com --password-stdin", "set the password of alice@example.com\n"},
		{"", "user delete bob@example.com", "deleted bob@example.com\n"},
	} {
		if r := n.done(n.ctlWith(step.in, strings.Fields(step.args)...)); r.out != step.want {
			t.Errorf("%s printed %q, want %q", step.args, r.out, step.want)
		}
	}
	table := n.done(n.ctl("user", "list")).out
	if want := `(?m)^EMAIL +ID +STATE +CREATED +NAME\nalice@example\.com +\d+ +active +\d{4}-\d\d-\d\d +Alice\n$`; !regexp.MustCompile(want).MatchString(table) {
		t.Errorf("list printed\n%s\nwant a match of %s", table, want)
	}
	list := asJSON[[]api.Account](t, n.done(n.ctl("user", "list", "--output", "json")))
	if len(list) != 1 || list[0].Email != "alice@example.com" || list[0].Name != "Alice" {
		t.Errorf("list as JSON: %+v, want alice alone", list)
	}
}

func TestUserIsShown(t *testing.T) {
	n := startNetwork(t)
	n.create("alice@example.com", "bob@example.com")
	n.done(n.ctl("contact", "import", file(t, "alice@example.com,bob@example.com,Old Friends\n")))
	shown := n.done(n.ctl("user", "show", "alice@example.com")).out
	for _, want := range []string{
		`(?m)^email +alice@example\.com$`,
		`(?m)^state +active$`,
		`(?m)^CONTACT +LISTS +GROUPS +NAME$`,
		`(?m)^bob@example\.com +FL,AL +Old Friends +bob@example\.com$`,
	} {
		if !regexp.MustCompile(want).MatchString(shown) {
			t.Errorf("show printed\n%s\nwant a match of %s", shown, want)
		}
	}
	detail := asJSON[api.AccountDetail](t, n.done(n.ctl("user", "show", "alice@example.com", "--output", "json")))
	if detail.Email != "alice@example.com" || len(detail.Contacts) != 1 || detail.Contacts[0].Email != "bob@example.com" {
		t.Errorf("show as JSON: %+v", detail)
	}
}

func TestListGoesOnOverPages(t *testing.T) {
	n := startNetwork(t)
	const accounts = api.MaxPage + 5
	n.done(n.ctl("user", "import", file(t, accountRows(0, accounts))))
	if list := asJSON[[]api.Account](t, n.done(n.ctl("user", "list", "--output", "json"))); len(list) != accounts {
		t.Errorf("listed %d accounts as JSON, want %d", len(list), accounts)
	}
	if lines := strings.Count(n.done(n.ctl("user", "list")).out, "\n"); lines != accounts+1 {
		t.Errorf("listed %d lines, want a heading and %d accounts", lines, accounts)
	}
}

// TestNamesCannotCommandTheTerminal has a user whose name would clear the
// screen.
func TestNamesCannotCommandTheTerminal(t *testing.T) {
	n := startNetwork(t)
	n.done(n.ctlWith("secret\n", "user", "create", "alice@example.com", "--name", "A\x1b[2J\u202elice", "--password-stdin"))
	for _, command := range []string{"list", "show"} {
		args := []string{"user", command}
		if command == "show" {
			args = append(args, "alice@example.com")
		}
		if out := n.done(n.ctl(args...)).out; strings.ContainsAny(out, "\x1b\u202e") || !strings.Contains(out, "A\uFFFD[2J\uFFFDlice") {
			t.Errorf("%s printed %q", command, out)
		}
	}
	if list := asJSON[[]api.Account](t, n.done(n.ctl("user", "list", "--output", "json"))); list[0].Name != "A\x1b[2J\u202elice" {
		t.Errorf("name as JSON %q, want it as it is", list[0].Name)
	}
}

func TestPasswordOnStandardInput(t *testing.T) {
	n := startNetwork(t)
	for name, in := range map[string]string{
		"nothing":        "",
		"an empty line":  "\n",
		"several lines":  "one\ntwo\n",
		"far too much":   strings.Repeat("x", maxPassword+1),
		"a bare newline": "\r\n",
	} {
		r := n.ctlWith(in, "user", "create", "alice@example.com", "--password-stdin")
		if r.status != exitUsage || r.out != "" || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%s: status %d, %q and %q, want 2 and one sentence", name, r.status, r.out, r.err)
		}
	}
	if r := n.ctlWith(strings.Repeat("x", 200), "user", "create", "alice@example.com", "--password-stdin"); r.status != exitFault {
		t.Errorf("longer than the directory takes: status %d and %q, want 1", r.status, r.err)
	}
}

// accountRows are rows of accounts from first to last, without that.
func accountRows(first, last int) string {
	var rows strings.Builder
	for i := first; i < last; i++ {
		fmt.Fprintf(&rows, "user%05d@example.com,secret%d,User %d\n", i, i, i)
	}
	return rows.String()
}
