package cluster

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/monarch-msn/monarch/msnp"
)

// A book is what one user's own commands decide: name, groups, and everything
// of the lists but RL. It is a model of the directory, so that it can be said
// of every command, before it is answered, what it will do.
type book struct {
	name   string
	blp    string
	groups map[int]string
	lists  map[string]map[string]string // FL, AL, BL: name by email
	in     map[string]msnp.GroupSet     // groups of those on FL
}

func newBook() *book {
	return &book{
		groups: map[int]string{},
		lists:  map[string]map[string]string{"FL": {}, "AL": {}, "BL": {}},
		in:     map[string]msnp.GroupSet{},
	}
}

func (b *book) clone() *book {
	c := *b
	c.groups, c.in = maps.Clone(b.groups), maps.Clone(b.in)
	c.lists = map[string]map[string]string{}
	for list, names := range b.lists {
		c.lists[list] = maps.Clone(names)
	}
	return &c
}

// String has a line for each fact, in an order that depends on the facts alone.
func (b *book) String() string {
	lines := []string{"name " + b.name, "BLP " + b.blp}
	for id, name := range b.groups {
		lines = append(lines, fmt.Sprintf("group %d %s", id, name))
	}
	for list, names := range b.lists {
		for email, name := range names {
			line := list + " " + email + " " + name
			if list == "FL" {
				line += " " + groupList(b.in[email])
			}
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func groupList(g msnp.GroupSet) string {
	var ids []string
	for id := range g.All() {
		ids = append(ids, strconv.Itoa(int(id)))
	}
	return strings.Join(ids, ",")
}

// do applies a command, given as its words without a transaction id, and
// returns its answer, in which * stands for the list version: the whole line
// without the transaction id, or the number of an error.
func (b *book) do(command []string) (answer string) {
	args := command[1:]
	switch command[0] {
	case "ADD":
		return b.add(args[0], args[1], args[2], args[3:])
	case "REM":
		return b.rem(args[0], args[1], args[2:])
	case "ADG":
		return b.adg(args[0])
	case "REG":
		return b.reg(args[0], args[1])
	case "RMG":
		return b.rmg(args[0])
	case "REA":
		return b.rea(args[0], args[1])
	case "BLP":
		if b.blp == args[0] {
			return "218"
		}
		b.blp = args[0]
		return "BLP * " + args[0]
	}
	panic("no model of " + command[0])
}

var opposite = map[string]string{"AL": "BL", "BL": "AL"}

func (b *book) add(list, email, name string, group []string) string {
	answer := strings.Join(append([]string{"ADD", list, "*", email, name}, group...), " ")
	_, there := b.lists[list][email]
	if list != "FL" {
		if there {
			return "215"
		}
		if _, there := b.lists[opposite[list]][email]; there {
			return "219"
		}
		b.lists[list][email] = name
		return answer
	}
	id := 0
	if len(group) > 0 {
		id = number(group[0])
	}
	if there && (len(group) == 0 || b.in[email].Has(uint32(id))) {
		return "215"
	}
	if _, ok := b.groups[id]; !ok {
		return "224"
	}
	if !there {
		b.lists["FL"][email] = name
	}
	b.in[email] = b.in[email].With(uint32(id))
	return answer
}

func (b *book) rem(list, email string, group []string) string {
	answer := strings.Join(append([]string{"REM", list, "*", email}, group...), " ")
	if _, there := b.lists[list][email]; !there {
		return "216"
	}
	if list != "FL" || len(group) == 0 {
		delete(b.lists[list], email)
		if list == "FL" {
			delete(b.in, email)
		}
		return answer
	}
	id := number(group[0])
	if _, ok := b.groups[id]; !ok {
		return "224"
	}
	if !b.in[email].Has(uint32(id)) {
		return "225"
	}
	b.in[email] = b.in[email].Without(uint32(id))
	return answer
}

func (b *book) adg(name string) string {
	id := 1
	for b.groups[id] != "" {
		id++
	}
	b.groups[id] = name
	return fmt.Sprintf("ADG * %s %d 0", name, id)
}

func (b *book) reg(group, name string) string {
	if _, ok := b.groups[number(group)]; !ok {
		return "224"
	}
	b.groups[number(group)] = name
	return fmt.Sprintf("REG * %s %s 0", group, name)
}

func (b *book) rmg(group string) string {
	id := number(group)
	if id == 0 {
		return "230"
	}
	if _, ok := b.groups[id]; !ok {
		return "224"
	}
	delete(b.groups, id)
	for email, in := range b.in {
		if !in.Has(uint32(id)) {
			continue
		}
		if b.in[email] = in.Without(uint32(id)); b.in[email].Empty() {
			delete(b.in, email)
			delete(b.lists["FL"], email)
		}
	}
	return "RMG * " + group
}

// rea renames the user, who is in no list of the book, or somebody on a list.
func (b *book) rea(email, name string) string {
	known := false
	for _, names := range b.lists {
		if _, ok := names[email]; ok {
			names[email], known = name, true
		}
	}
	if !known {
		b.name = name
	}
	return fmt.Sprintf("REA * %s %s", email, name)
}

func number(word string) int {
	n, err := strconv.Atoi(word)
	if err != nil {
		panic(err) // our own word
	}
	return n
}

const (
	// maxBookGroups keeps the groups below the protocol's limit.
	maxBookGroups = 8
	// maxRenames is how often users may change their own name in a minute; a
	// sixth time is refused. What is sent now may count later.
	maxRenames, renamesWithin = 5, 2 * time.Minute
)

// invent makes up the next command of the user. Now and then it is one that
// will be refused. renames is when the user was renamed.
func (b *book) invent(rng *rand.Rand, self string, others []string, renames *[]time.Time) []string {
	other := others[rng.IntN(len(others))]
	list := []string{"FL", "FL", "AL", "BL"}[rng.IntN(4)]
	name := fmt.Sprintf("name%%20%d", rng.IntN(1000))
	group := strconv.Itoa(b.someGroup(rng))
	switch _, there := b.lists[list][other]; rng.IntN(14) {
	case 0, 1, 2, 3, 4:
		if !there {
			return b.adding(rng, list, other, name, group)
		}
		if list == "FL" && rng.IntN(2) == 0 {
			return []string{"ADD", "FL", other, name, group}
		}
		return []string{"REM", list, other}
	case 5:
		return []string{"ADD", list, other, name}
	case 6:
		return []string{"REM", list, other}
	case 7:
		// Nobody is left in no group at all, which looks like group 0.
		if in := b.in[other]; !in.Empty() && !in.Without(uint32(number(group))).Empty() {
			return []string{"REM", "FL", other, group}
		}
	case 8, 9:
		if len(b.groups) < maxBookGroups {
			return []string{"ADG", name, "0"}
		}
		return []string{"RMG", group}
	case 10:
		return []string{"RMG", group}
	case 11:
		return []string{"REG", group, name, "0"}
	case 12:
		if there {
			return []string{"REA", other, name}
		}
		if n := len(*renames); n < maxRenames || time.Since((*renames)[n-maxRenames]) > renamesWithin {
			*renames = append(*renames, time.Now())
			return []string{"REA", self, name}
		}
	case 13:
		return []string{"BLP", []string{"AL", "BL"}[rng.IntN(2)]}
	}
	return b.adding(rng, list, other, name, group)
}

func (b *book) adding(rng *rand.Rand, list, other, name, group string) []string {
	command := []string{"ADD", list, other, name}
	if list == "FL" && rng.IntN(2) == 0 {
		command = append(command, group)
	}
	return command
}

// someGroup draws one that exists; its order must not depend on that of a map.
func (b *book) someGroup(rng *rand.Rand) int {
	ids := slices.Sorted(maps.Keys(b.groups))
	return ids[rng.IntN(len(ids))]
}
