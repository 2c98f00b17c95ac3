package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// serveNotification logs the client in and serves it until it goes.
func (s *server) serveNotification(c *conn) error {
	a, err := s.login(c)
	if err != nil {
		return err
	}
	defer s.leave(a, c)
	for {
		words, err := c.next()
		if err != nil {
			return err
		}
		switch {
		case len(words) == 0:
		case words[0] == "OUT":
			c.say("OUT")
			return nil
		case words[0] == "PNG":
			c.say("QNG")
		case words[0] == "SYN" && len(words) == 3:
			c.send(a.lists(words[1], words[2]))
		case words[0] == "CHG" && len(words) >= 3:
			s.change(a, c, words[1], words[2])
		case words[0] == "XFR" && len(words) == 3:
			c.say("XFR", words[1], "SB", s.switchboard, "CKI", s.open())
		default:
			return errProtocol
		}
	}
}

// login answers both stages of USR.
func (s *server) login(c *conn) (*account, error) {
	usr, err := c.greet()
	if err != nil {
		return nil, err
	}
	a := s.accounts[usr[4]]
	if a == nil {
		return nil, errProtocol
	}
	c.say("USR", usr[1], "MD5", "S", fmt.Sprintf("%010d.%09d", rand.IntN(1e10), rand.IntN(1e9)))
	usr, err = c.next()
	if err != nil {
		return nil, err
	}
	if len(usr) != 5 || usr[0] != "USR" {
		return nil, errProtocol
	}
	profile := fmt.Appendf(nil, "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsprofile; charset=UTF-8\r\n"+
		"LoginTime: %d\r\nEmailEnabled: 0\r\nMemberIdHigh: 0\r\nMemberIdLow: 1\r\nlang_preference: 1033\r\n"+
		"PreferredEmail: %s\r\ncountry: US\r\nPostalCode: \r\nGender: \r\nKid: 0\r\nAge: \r\nBDayPre: \r\nBirthday: \r\n"+
		"Wallet: \r\nFlags: 1027\r\nsid: 507\r\nkv: 11\r\nMSPAuth: %032x\r\n\r\n", time.Now().Unix(), a.email, rand.Uint64())
	answer := appendLine(nil, "USR", usr[1], "OK", a.email, a.name, "1")
	answer = appendLine(answer, "MSG", "Hotmail", "Hotmail", strconv.Itoa(len(profile)))
	c.send(append(answer, profile...))
	return a, nil
}

// version is that of everybody's lists.
const version = "1"

// lists renders the answer to SYN.
func (a *account) lists(trid, has string) []byte {
	b := appendLine(nil, "SYN", trid, version)
	if has == version {
		return b
	}
	b = appendLine(b, "GTC", trid, version, "A")
	b = appendLine(b, "BLP", trid, version, "AL")
	for _, phone := range []string{"PHH", "PHW", "PHM", "MOB N", "MBE N"} {
		b = appendLine(b, "PRP", trid, version, phone)
	}
	b = appendLine(b, "LSG", trid, version, "1", "1", "0", "Other%20Contacts", "0")
	for _, list := range []string{"FL", "AL", "BL", "RL"} {
		if list == "BL" || len(a.contacts) == 0 {
			b = appendLine(b, "LST", trid, list, version, "0", "0")
			continue
		}
		of := strconv.Itoa(len(a.contacts))
		for i, contact := range a.contacts {
			i := strconv.Itoa(i + 1)
			if list != "FL" {
				b = appendLine(b, "LST", trid, list, version, i, of, contact.email, contact.name)
				continue
			}
			b = appendLine(b, "LST", trid, list, version, i, of, contact.email, contact.name, "0")
			for _, phone := range []string{"PHH", "PHW", "PHM", "MOB N"} {
				b = appendLine(b, "BPR", version, contact.email, phone)
			}
		}
	}
	return b
}

// change sets the status and tells the contacts. The first time the client
// hears which of them are online.
func (s *server) change(a *account, c *conn, trid, status string) {
	if before, _ := a.get(); before != "" {
		a.set(status, c)
		c.say("CHG", trid, status)
		a.tell("NLN", status, a.email, a.name)
		return
	}
	s.passing.Lock()
	defer s.passing.Unlock()
	a.set(status, c)
	answer := appendLine(nil, "CHG", trid, status)
	for _, contact := range a.contacts {
		if status, _ := contact.get(); status != "" {
			answer = appendLine(answer, "ILN", trid, status, contact.email, contact.name)
		}
	}
	c.send(answer)
	a.tell("NLN", status, a.email, a.name)
}

// leave makes the user offline.
func (s *server) leave(a *account, c *conn) {
	if _, now := a.get(); now != c {
		return // not online yet, or by another connection
	}
	s.passing.Lock()
	defer s.passing.Unlock()
	a.set("", nil)
	a.tell("FLN", a.email)
}

// tell sends a line to the contacts who are online.
func (a *account) tell(words ...string) {
	line := appendLine(nil, words...)
	for _, contact := range a.contacts {
		if _, c := contact.get(); c != nil {
			c.send(line)
		}
	}
}
