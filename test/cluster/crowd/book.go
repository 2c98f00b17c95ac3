package crowd

import (
	"fmt"
	"maps"
	"strings"

	"github.com/monarch-msn/monarch/msnp"
	"github.com/monarch-msn/monarch/msnp/client"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// A fact is one thing that a user's own commands decide: that somebody is on
// one of the lists ("FL bob@example.com"), the privacy mode ("BLP") or the
// user's name ("name").
type fact string

const (
	privacy fact = "BLP"
	name    fact = "name"
	on           = "on"
)

func onList(list, email string) fact { return fact(list + " " + email) }

// facts are what holds; what is not in it is not on a list.
type facts map[fact]string

// set changes a fact; an empty value takes it away.
func (f facts) set(k fact, value string) {
	if value == "" {
		delete(f, k)
	} else {
		f[k] = value
	}
}

// readBlock takes the facts, and who has the user on FL, out of the whole
// answer to SYN 0.
func readBlock(block []client.Message) (f facts, reverse map[string]bool) {
	f, reverse = facts{}, map[string]bool{}
	for _, m := range block {
		switch {
		case m.Verb == "BLP":
			f[privacy] = m.Arg(2)
		case m.Verb != "LST" || m.Arg(4) == "0": // an empty list
		case m.Arg(1) == "RL":
			reverse[m.Arg(5)] = true
		default:
			f[onList(m.Arg(1), m.Arg(5))] = on
		}
	}
	return f, reverse
}

// readAccount takes the same out of what the directory holds, and the version.
func readAccount(snap *directoryv1.Snapshot) (f facts, reverse map[string]bool) {
	f, reverse = facts{name: snap.GetName(), privacy: "BL"}, map[string]bool{}
	if snap.GetBlpAllow() {
		f[privacy] = "AL"
	}
	for _, m := range snap.GetMembers() {
		lists := msnp.List(m.GetLists())
		for _, l := range []msnp.List{msnp.FL, msnp.AL, msnp.BL} {
			if lists.Has(l) {
				f[onList(l.String(), m.GetEmail())] = on
			}
		}
		if lists.Has(msnp.RL) {
			reverse[m.GetEmail()] = true
		}
	}
	return f, reverse
}

// A book is what holds by the user's acknowledged commands, and what may hold
// besides: an edit whose outcome the user was not told may have been made, or
// be made yet.
type book struct {
	facts
	maybe map[fact]string
}

// adopt takes over what was found, and says what of it cannot be. What is not
// found at all, as the lists do not tell the name, is left alone.
func (b *book) adopt(found facts) error {
	var wrong []string
	for k := range union(b.facts, found) {
		want, got := b.facts[k], found[k]
		if want == got || k == name && got == "" {
			continue
		}
		if other, ok := b.maybe[k]; ok && other == got {
			b.set(k, got)
			continue
		}
		wrong = append(wrong, fmt.Sprintf("%s: acknowledged %q, found %q", k, want, got))
	}
	if wrong != nil {
		return fmt.Errorf("not what was acknowledged: %s", strings.Join(wrong, "; "))
	}
	return nil
}

// differ says in which facts two differ, names aside.
func differ(want, got facts) string {
	var wrong []string
	for k := range union(want, got) {
		if k != name && want[k] != got[k] {
			wrong = append(wrong, fmt.Sprintf("%s: want %q, got %q", k, want[k], got[k]))
		}
	}
	return strings.Join(wrong, "; ")
}

func union(a, b facts) facts {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}
