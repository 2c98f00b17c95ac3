package script

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// headerLine reads one line of the header; false means that the conversation
// has begun.
func (p *parser) headerLine(line string) (bool, error) {
	words := strings.Fields(line)
	if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
		if p.account == nil {
			return false, errors.New("describes no account")
		}
		return true, p.describe(p.account, words)
	}
	p.account = nil
	switch words[0] {
	case "dialects:":
		set, err := parseDialects(words[1:])
		p.script.dialects = set
		return true, err
	case "account":
		if len(words) < 2 || len(words) > 3 || !strings.Contains(words[1], "@") {
			return false, errors.New("want account EMAIL [NAME]")
		}
		a := &account{email: words[1], name: words[1]}
		if len(words) == 3 {
			a.name = words[2]
		}
		a.password = "secret-" + a.short()
		if p.find(a.short()) != nil {
			return false, errors.New("second account of that name")
		}
		p.script.accounts = append(p.script.accounts, a)
		p.account = a
		return true, nil
	case "friends":
		for _, owner := range words[1:] {
			a := p.find(owner)
			if a == nil {
				return false, fmt.Errorf("no account %s", owner)
			}
			for _, list := range []string{"FL", "AL"} {
				for _, other := range words[1:] {
					if other != owner {
						a.members = append(a.members, member{list: list, short: other})
					}
				}
			}
		}
		return true, nil
	}
	return false, nil
}

// describe reads an indented line below an account.
func (p *parser) describe(a *account, words []string) error {
	key, args := words[0], words[1:]
	if len(args) == 0 {
		return errors.New("wants a value")
	}
	switch key {
	case "password":
		a.password = args[0]
	case "PHH", "PHW", "PHM", "MOB", "MBE", "GTC", "BLP":
		a.settings = append(a.settings, setting{key, args[0]})
	case "group":
		a.groups = append(a.groups, args[0])
	case "crowd", "version":
		n, err := strconv.ParseUint(args[0], 10, 32)
		if err != nil {
			return err
		}
		if key == "crowd" {
			a.crowd = int(n)
		} else {
			a.version = uint32(n)
		}
	case "FL", "AL", "BL":
		m := member{list: key, short: args[0]}
		if len(args) > 1 {
			m.name = args[1]
		}
		if len(args) > 2 && key == "FL" {
			for id := range strings.SplitSeq(args[2], ",") {
				n, err := strconv.ParseUint(id, 10, 5)
				if err != nil {
					return err
				}
				m.groups = append(m.groups, uint32(n))
			}
		}
		a.members = append(a.members, m)
	default:
		return errors.New("not known of an account")
	}
	return nil
}
