package script

import (
	"fmt"
	"strings"
)

func (a login) do(t *turn) error {
	for _, g := range a.guests {
		if _, err := t.login(g); err != nil {
			return err
		}
	}
	return nil
}

// do brings everybody online, one after the other, and forgets the presence
// lines that this sends to anyone.
func (a online) do(t *turn) error {
	for _, g := range a.guests {
		c, err := t.login(g)
		if err != nil {
			return err
		}
		if err := c.sync(t); err != nil {
			return err
		}
		state := g.state
		if state == "" {
			state = "NLN"
		}
		if err := c.ask(t, "CHG 9 "+state, "CHG 9 "+state); err != nil {
			return err
		}
	}
	return t.settle(func(line string) bool {
		verb, _, _ := strings.Cut(line, " ")
		return verb == "ILN" || verb == "NLN" || verb == "FLN"
	})
}

// login goes through everything that comes before the lists. On one node it
// asks dispatch; on several it goes straight to the node where the connection
// lives, as a client does that remembers its last one.
func (t *turn) login(g guest) (*conn, error) {
	dialect := g.dialect
	if dialect == "" {
		dialect = t.dialect
	}
	account := t.script.find(accountOf(g.conn))
	address := t.network.Dispatch()
	if t.many() {
		address = t.network.Notification(t.home(g.conn))
	}
	c, err := t.open(g.conn, address)
	if err != nil {
		return c, err
	}
	if !t.many() {
		if err := c.hello(t, 1, dialect); err != nil {
			return c, err
		}
		if err := c.ask(t, "USR 3 MD5 I "+account.email, referrals[dialect]); err != nil {
			return c, err
		}
		if _, err := t.open(g.conn, c.referral); err != nil {
			return c, err
		}
	}
	if err := c.hello(t, 4, dialect); err != nil {
		return c, err
	}
	delete(t.vars, "challenge")
	if err := c.ask(t, "USR 6 MD5 I "+account.email, "USR 6 MD5 S $challenge"); err != nil {
		return c, err
	}
	welcome := "USR 7 OK " + account.email + " *"
	if dialectIndex(dialect) >= dialectIndex("MSNP6") {
		welcome += " *"
	}
	if err := c.ask(t, "USR 7 MD5 S "+respond(t.vars["challenge"], account.password), welcome); err != nil {
		return c, err
	}
	profile := &expect{conn: c.name, lines: []pattern{{text: "MSG Hotmail Hotmail $len", payload: payload{any: true}}}}
	return c, profile.do(t)
}

// referrals are the forms of the answer of dispatch (the pages of each version
// in yellows' MSNP wiki; the MSNP7 seed session).
var referrals = map[string]string{
	"MSNP2": "XFR 3 NS *",
	"MSNP3": "XFR 3 NS * 0",
	"MSNP4": "XFR 3 NS * 0",
	"MSNP5": "XFR 3 NS * 0",
	"MSNP6": "XFR 3 NS * 0",
	"MSNP7": "XFR 3 NS * 0 $dispatch",
}

// hello agrees on the dialect and the kind of login.
func (c *conn) hello(t *turn, trid int, dialect string) error {
	ver := fmt.Sprintf("VER %d ", trid)
	if err := c.ask(t, ver+offers[dialect], ver+dialect); err != nil {
		return err
	}
	inf := fmt.Sprintf("INF %d", trid+1)
	return c.ask(t, inf, inf+" MD5")
}

// sync asks for the lists and reads the whole block, which ends with the last
// entry of RL.
func (c *conn) sync(t *turn) error {
	if err := c.ask(t, "SYN 8 0", "SYN 8 *"); err != nil {
		return err
	}
	for {
		m, err := c.receive(t.ctx)
		if err != nil {
			return &mismatch{conn: c, want: "the rest of the lists", err: err}
		}
		words := strings.Split(m.line, " ")
		if len(words) >= 6 && words[0] == "LST" && words[2] == "RL" && words[4] == words[5] {
			return nil
		}
	}
}

// ask sends a line and expects one.
func (c *conn) ask(t *turn, line, answer string) error {
	if err := (&send{conn: c.name, text: line}).do(t); err != nil {
		return err
	}
	return (&expect{conn: c.name, lines: []pattern{{text: answer}}}).do(t)
}
