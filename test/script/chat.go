package script

import (
	"errors"
	"fmt"
	"slices"
)

type (
	// chat is "chat a ann": ann opens a chat on a new connection a.
	chat struct{ conn, owner string }
	// call is "call a bob b": from a bob is called, who enters on b.
	call struct{ conn, callee, entry string }
)

// A room is one chat, with the connections that entered it by chat and call.
type room struct{ in []*conn }

func (p *parser) chat(args []string) (action, error) {
	if len(args) != 2 {
		return nil, errors.New("want chat NAME ACCOUNT")
	}
	if err := p.wantAccount(args[1]); err != nil {
		return nil, err
	}
	return chat{args[0], args[1]}, p.opens(args[0])
}

func (p *parser) call(args []string) (action, error) {
	if len(args) != 3 || !connForm.MatchString(args[2]) {
		return nil, errors.New("want call NAME ACCOUNT NAME")
	}
	if !p.open[args[0]] {
		return nil, fmt.Errorf("%s has no connection", args[0])
	}
	if err := p.wantAccount(args[1]); err != nil {
		return nil, err
	}
	return call{args[0], args[1], args[2]}, p.opens(args[2])
}

// wantAccount refuses a name that is not an open connection of an account.
func (p *parser) wantAccount(name string) error {
	switch {
	case p.find(accountOf(name)) == nil:
		return fmt.Errorf("no account %s", accountOf(name))
	case !p.open[name]:
		return fmt.Errorf("%s has no connection", name)
	}
	return nil
}

// Values that lines of a chat have in the directives; a script's own names are
// not touched.
const (
	chatAddress = "chatAddress"
	chatCookie  = "chatCookie"
	chatSession = "chatSession"
)

func (t *turn) forgetChat() {
	for _, name := range []string{chatAddress, chatCookie, chatSession} {
		delete(t.vars, name)
	}
}

func (a chat) do(t *turn) error {
	t.forgetChat()
	if err := t.conn(a.owner).ask(t, "XFR 90 SB", "XFR 90 SB $"+chatAddress+" CKI $"+chatCookie); err != nil {
		return err
	}
	c, err := t.open(a.conn, t.vars[chatAddress])
	if err != nil {
		return err
	}
	email := t.script.find(accountOf(a.owner)).email
	if err := c.ask(t, "USR 1 "+email+" "+t.vars[chatCookie], "USR 1 OK "+email+" *"); err != nil {
		return err
	}
	c.account, c.chat = email, &room{in: []*conn{c}}
	return nil
}

func (a call) do(t *turn) error {
	from := t.conn(a.conn)
	if from.chat == nil {
		return &mismatch{conn: from, want: "a connection opened by chat or call", got: "another"}
	}
	t.forgetChat()
	email := t.script.find(accountOf(a.callee)).email
	if err := from.ask(t, "CAL 90 "+email, "CAL 90 RINGING $"+chatSession); err != nil {
		return err
	}
	ring := &expect{conn: a.callee, lines: []pattern{{
		text: "RNG $" + chatSession + " $" + chatAddress + " CKI $" + chatCookie + " " + from.account + " *",
	}}}
	if err := ring.do(t); err != nil {
		return err
	}
	c, err := t.open(a.entry, t.vars[chatAddress])
	if err != nil {
		return err
	}
	members := slices.DeleteFunc(slices.Clone(from.chat.in), func(m *conn) bool { return m.ended || m.chat != from.chat })
	if err := (&send{conn: a.entry, text: "ANS 1 " + email + " " + t.vars[chatCookie] + " " + t.vars[chatSession]}).do(t); err != nil {
		return err
	}
	var answer []string
	for i, m := range members {
		answer = append(answer, fmt.Sprintf("IRO 1 %d %d %s *", i+1, len(members), m.account))
	}
	for _, line := range append(answer, "ANS 1 OK") {
		if err := (&expect{conn: a.entry, lines: []pattern{{text: line}}}).do(t); err != nil {
			return err
		}
	}
	for _, m := range members {
		if err := (&expect{conn: m.name, lines: []pattern{{text: "JOI " + email + " *"}}}).do(t); err != nil {
			return err
		}
	}
	c.account, c.chat = email, from.chat
	c.chat.in = append(c.chat.in, c)
	return nil
}
