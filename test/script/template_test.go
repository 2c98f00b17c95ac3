package script

import (
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	v := vars{"n": "41", "salt": "1013928519.693957190", "dialect": "MSNP7"}
	for _, test := range []struct{ text, want, fault string }{
		{"VER 1 $dialect", "VER 1 MSNP7", ""},
		{"$n $n+1 $n-41 $n,$n", "41 42 0 41,41", ""},
		// The vector that hypothetic.org publishes.
		{"$md5($salt,mypassword)", "6f3963009fc8a9d2b2ff137da0905c55", ""},
		{"$MD5(1013928519.693957190,mypassword)", "6F3963009FC8A9D2B2FF137DA0905C55", ""},
		{"<$repeat(ab,3)>", "<ababab>", ""},
		{"AAAA$$ $", "AAAA$$ $", ""},
		{"$x", "", "$x: has no value yet"},
		{"$dialect+1", "", "is not a number"},
		{"$repeat(a)", "", "needs two arguments"},
		{"$repeat(a,-1)", "", "not a number of times"},
		{"$repeat(a,2000000)", "", "not a number of times"},
		{"$md5($x,a)", "", "$x: has no value yet"},
		{"$sha(a,b)", "", "no such function"},
	} {
		got, err := v.expand(test.text)
		if test.fault != "" {
			if err == nil || !strings.Contains(err.Error(), test.fault) {
				t.Errorf("expand %q: error %v, want %q", test.text, err, test.fault)
			}
		} else if err != nil || got != test.want {
			t.Errorf("expand %q: %q, %v, want %q", test.text, got, err, test.want)
		}
	}
}

func TestMatchTakesAllOrNothing(t *testing.T) {
	v := vars{"offer": "MSNP3 MSNP2"}
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"A $x $y", "A 1", false},
		{"A $x B", "A 1 C", false},
		{"A $x $x", "A 1 2", false},
		{"A $x", "A ", false},
		{"A *", "A ", false},
		{"A $x $y", "A 1 2", true},
		{"A $x", "A 2", false},
		{"A $x", "A 1", true},
		{"A $y-1 $y+$x", "A 1 2+1", true},
		{"A $offer B", "A MSNP3 MSNP2 B", true},
		{"A $offer", "A MSNP3", false},
		{"A $offer", "A MSNP3 MSNP2 CVR0", false},
	} {
		got, err := v.match(test.pattern, test.text)
		if err != nil || got != test.want {
			t.Errorf("match %q with %q: %v, %v, want %v", test.pattern, test.text, got, err, test.want)
		}
	}
	if _, err := v.match("A $z+1", "A 1"); err == nil {
		t.Error("arithmetic with a name that has no value is no error")
	}
}

func TestAlias(t *testing.T) {
	a := newAlias([]string{"ann@example.com", "bo.b@example.com"})
	mark := string(a.mark)
	if other := newAlias([]string{"ann@example.com"}); string(other.mark) == mark {
		t.Errorf("two plays with the mark %s", mark)
	}
	for _, test := range []struct{ plain, wire string }{
		{"ADD 1 FL ann@example.com Ann", "ADD 1 FL ann#@example.com Ann"},
		{"ann%40example%2Ecom", "ann#%40example%2Ecom"},
		{"ANN@Example.COM,bo.b@example.com", "ANN#@Example.COM,bo.b#@example.com"},
		{"joann@example.com ann@example.community x-ann@example.com", "joann@example.com ann@example.community x-ann@example.com"},
		{"\xff\x00ann@example.com\r\n", "\xff\x00ann#@example.com\r\n"},
		{"cat@example.com ann", "cat@example.com ann"},
		{"", ""},
	} {
		wire := strings.ReplaceAll(test.wire, "#", mark)
		if got := string(a.out([]byte(test.plain))); got != wire {
			t.Errorf("out %q: %q, want %q", test.plain, got, wire)
		}
		if got := string(a.in([]byte(wire))); got != test.plain {
			t.Errorf("in %q: %q, want %q", wire, got, test.plain)
		}
	}
	if got := newAlias(nil).email("ann@example.com"); got != "ann@example.com" {
		t.Errorf("without accounts ann@example.com became %q", got)
	}
}
