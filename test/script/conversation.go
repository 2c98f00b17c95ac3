package script

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// action reads one line of the conversation.
func (p *parser) action(line string) (action, error) {
	if m := lineForm.FindStringSubmatch(line); m != nil {
		return p.wireLine(m[1], m[2], m[3])
	}
	words := strings.Fields(line)
	verb, args := words[0], words[1:]
	if verb == "settle" && len(args) == 0 {
		return settle{}, nil
	}
	if verb == "drain" || verb == "resume" {
		return parseDrain(verb == "resume", args)
	}
	if len(args) == 0 || !connForm.MatchString(args[0]) {
		return nil, errors.New("not a line of a transcript")
	}
	name := args[0]
	switch {
	case verb == "login" || verb == "online":
		guests, err := p.guests(args)
		if err != nil {
			return nil, err
		}
		if verb == "login" {
			return login{guests}, nil
		}
		return online{guests}, nil
	case verb == "connect":
		return p.connect(name, args[1:])
	case verb == "chat":
		return p.chat(args)
	case verb == "call":
		return p.call(args)
	case verb != "follow" && verb != "drop" && verb != "bytewise":
		return nil, errors.New("not a line of a transcript")
	case !p.open[name]:
		return nil, fmt.Errorf("%s has no connection", name)
	case len(args) > 1:
		return nil, errors.New("surplus words")
	case verb == "follow":
		return follow{name}, nil
	case verb == "bytewise":
		return bytewise{name}, nil
	}
	delete(p.open, name)
	return drop{name}, nil
}

func (p *parser) wireLine(name, arrow, text string) (action, error) {
	if !p.open[name] {
		return nil, fmt.Errorf("%s has no connection", name)
	}
	if arrow != ">!" && strings.TrimSpace(text) != text {
		return nil, errors.New("blanks at the ends of the line (send them with >!)")
	}
	if arrow[0] == '<' {
		if text == "closed" {
			delete(p.open, name)
			return closed{name}, nil
		}
		p.learn(text)
		e := &expect{conn: name, unordered: arrow == "<~", lines: []pattern{{text: text}}}
		p.payload = &e.lines[0].payload
		return e, nil
	}
	if err := p.check(text); err != nil {
		return nil, err
	}
	s := &send{conn: name, text: text, raw: arrow == ">!", hold: arrow == ">+"}
	if s.raw {
		var err error
		if s.text, err = unescape(text); err != nil {
			return nil, err
		}
		return s, nil
	}
	p.payload = &s.payload
	return s, nil
}

func (p *parser) connect(name string, args []string) (action, error) {
	c := connect{conn: name}
	if len(args) == 1 && strings.HasPrefix(args[0], "$") {
		if err := p.check(args[0]); err != nil {
			return nil, err
		}
		c.address = args[0]
		return c, p.opens(name)
	}
	if len(args) == 0 || len(args) > 2 || args[0] == "dispatch" && len(args) > 1 {
		return nil, errors.New("want connect NAME dispatch, NAME notification [NODE], or NAME $ADDRESS")
	}
	c.server = args[0]
	if c.server != "dispatch" && c.server != "notification" {
		return nil, errors.New("no such server")
	}
	if len(args) == 2 {
		n, err := strconv.Atoi(args[1])
		if err != nil || n < 1 {
			return nil, errors.New("nodes are numbered from 1")
		}
		c.node = n
	}
	return c, p.opens(name)
}

// opens notes that a connection of that name is opened.
func (p *parser) opens(name string) error {
	if p.open[name] {
		return fmt.Errorf("%s is connected already", name)
	}
	p.open[name] = true
	return nil
}

// guests reads "ann MSNP2 AWY bob": each name with what follows it.
func (p *parser) guests(words []string) ([]guest, error) {
	var guests []guest
	for _, word := range words {
		last := len(guests) - 1
		switch {
		case connForm.MatchString(word):
			if p.find(accountOf(word)) == nil {
				return nil, fmt.Errorf("no account %s", accountOf(word))
			}
			if p.open[word] {
				return nil, fmt.Errorf("%s is connected already", word)
			}
			p.open[word] = true
			guests = append(guests, guest{conn: word})
		case last < 0:
			return nil, errors.New("wants a name first")
		case stateForm.MatchString(word):
			guests[last].state = word
		case dialectIndex(word) >= 0:
			guests[last].dialect = word
		default:
			return nil, fmt.Errorf("neither name nor dialect nor state: %s", word)
		}
	}
	return guests, nil
}

// accountOf is the account that a connection's name speaks of.
func accountOf(conn string) string { return strings.TrimRight(conn, "0123456789") }
