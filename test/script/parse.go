package script

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Load reads all transcripts (*.txt) at the top of the file system, by name.
// The error joins the faults of all files.
func Load(files fs.FS) ([]*Script, error) {
	names, err := fs.Glob(files, "*.txt")
	if err != nil {
		return nil, err
	}
	var scripts []*Script
	var faults []error
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		s, err := Parse(path.Base(name), string(text))
		scripts, faults = append(scripts, s), append(faults, err)
	}
	return scripts, errors.Join(faults...)
}

// Parse reads one transcript; name is what reports call it. It refuses what
// cannot run: unknown directives, connections that were not opened, names used
// before they have a value.
func Parse(name, text string) (*Script, error) {
	p := &parser{script: &Script{Name: name}, open: map[string]bool{}, known: map[string]bool{}}
	for _, known := range []string{"dialect", "offer", "dispatch", "len"} {
		p.known[known] = true
	}
	var faults []error
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if err := p.line(i+1, line); err != nil {
			faults = append(faults, fmt.Errorf("%s:%d: %w: %q", name, i+1, err, line))
		}
	}
	if err := p.finish(); err != nil {
		faults = append(faults, fmt.Errorf("%s: %w", name, err))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return p.script, nil
}

// A parser is in one of three parts: sentence, header, conversation.
type parser struct {
	script *Script
	about  []string
	header bool // the sentence is over
	body   bool // the conversation has begun

	account *account        // described by indented lines
	payload *payload        // of the last line, nil if it can have none
	open    map[string]bool // connections opened so far
	known   map[string]bool // names with a value so far
}

var (
	payloadForm = regexp.MustCompile(`^(?:\[([^]]+)\])?[ \t]+([|=*])(.*)$`)
	prefixForm  = regexp.MustCompile(`^\[([^]]+)\] *(.*)$`)
	lineForm    = regexp.MustCompile(`^([a-z]+[0-9]*)(>|>\+|>!|<|<~) (.+)$`)
	connForm    = regexp.MustCompile(`^[a-z]+[0-9]*$`)
	stateForm   = regexp.MustCompile(`^(?:NLN|BSY|IDL|BRB|AWY|PHN|LUN|HDN)$`)
)

func (p *parser) line(number int, line string) error {
	if strings.HasPrefix(line, "--") {
		return nil
	}
	blank := strings.TrimSpace(line) == ""
	if !p.header {
		if blank {
			p.header = len(p.about) > 0
		} else {
			p.about = append(p.about, line)
		}
		return nil
	}
	if m := payloadForm.FindStringSubmatch(line); m != nil && p.body {
		return p.payloadLine(m[1], m[2], m[3])
	}
	if blank {
		return nil
	}
	if !p.body {
		done, err := p.headerLine(line)
		if done || err != nil {
			return err
		}
		p.body = true
	}
	p.payload = nil
	only := allDialects
	rest := line
	if m := prefixForm.FindStringSubmatch(line); m != nil {
		set, err := parseDialects(strings.Fields(m[1]))
		if err != nil {
			return err
		}
		only, rest = set, m[2]
	}
	act, err := p.action(rest)
	if err != nil {
		return err
	}
	p.script.steps = append(p.script.steps, step{line: number, text: line, only: only, act: act})
	return nil
}

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

func (p *parser) payloadLine(only, kind, text string) error {
	if p.payload == nil {
		return errors.New("payload without a line")
	}
	set := allDialects
	if only != "" {
		var err error
		if set, err = parseDialects(strings.Fields(only)); err != nil {
			return err
		}
	}
	switch kind {
	case "*":
		p.payload.any = true
	case "|":
		p.payload.lines = append(p.payload.lines, payloadLine{set, text + "\r\n"})
	case "=":
		p.payload.lines = append(p.payload.lines, payloadLine{set, text})
	}
	p.learn(text)
	return nil
}

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
	if len(args) == 0 || len(args) > 2 || args[0] == "dispatch" && len(args) > 1 {
		return nil, errors.New("want connect NAME dispatch, or NAME notification [NODE]")
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
	if p.open[name] {
		return nil, fmt.Errorf("%s is connected already", name)
	}
	p.open[name] = true
	return c, nil
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

func (p *parser) find(short string) *account { return p.script.find(short) }

func (s *Script) find(short string) *account {
	i := slices.IndexFunc(s.accounts, func(a *account) bool { return a.short() == short })
	if i < 0 {
		return nil
	}
	return s.accounts[i]
}

// learn notes the names that an expected line gives a value to.
func (p *parser) learn(text string) {
	for word := range strings.SplitSeq(text, " ") {
		if m := capture.FindStringSubmatch(word); m != nil {
			p.known[m[1]] = true
		}
	}
}

// check refuses names that cannot have a value yet.
func (p *parser) check(text string) error {
	for _, m := range reference.FindAllStringSubmatch(text, -1) {
		if strings.HasSuffix(m[0], ")") {
			if err := p.check(m[3]); err != nil {
				return err
			}
		} else if !p.known[m[1]] {
			return fmt.Errorf("$%s has no value yet", m[1])
		}
	}
	return nil
}

// finish checks the whole.
func (p *parser) finish() error {
	p.script.About = strings.Join(p.about, " ")
	switch {
	case !strings.HasSuffix(p.script.About, "."):
		return errors.New("does not begin with a sentence")
	case p.script.dialects == 0:
		return errors.New("names no dialects")
	case len(p.script.steps) == 0:
		return errors.New("has no conversation")
	}
	for _, a := range p.script.accounts {
		for _, m := range a.members {
			if p.find(m.short) == nil {
				return fmt.Errorf("%s has %s on a list, who has no account", a.short(), m.short)
			}
		}
	}
	return nil
}
