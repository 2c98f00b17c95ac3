package script

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
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
