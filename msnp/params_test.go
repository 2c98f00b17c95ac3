package msnp_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/monarch-msn/monarch/msnp"
)

// params returns the arguments of one line of a client.
func params(t *testing.T, line string) msnp.Params {
	t.Helper()
	var cmd msnp.Command
	if err := msnp.NewReader(strings.NewReader(line+"\r\n"), msnp.FromClient).Next(&cmd); err != nil {
		t.Fatalf("read %q: %v", line, err)
	}
	return cmd.Params()
}

func TestParams(t *testing.T) {
	const bad = msnp.CodeInvalidParameter
	word := func(p *msnp.Params) any { return string(p.Word()) }
	number := func(p *msnp.Params) any { return p.Uint32() }
	email := func(p *msnp.Params) any { return p.Email(bad).String() }
	list := func(p *msnp.Params) any { return p.List() }
	status := func(p *msnp.Params) any { return p.Status() }
	name := func(p *msnp.Params) any { return p.Nick(msnp.MaxNick, bad) }
	mode := func(p *msnp.Params) any { return p.OneOf("A", "N") }

	for _, test := range []struct {
		name string
		args string
		read func(p *msnp.Params) any
		want any
		err  error
	}{
		{"a word", "x", word, "x", nil},
		{"a word missing", "", word, "", msnp.ErrMalformed},

		{"a number", "4294967295", number, uint32(1<<32 - 1), nil},
		{"a number with zeros", "007", number, uint32(7), nil},
		{"a number too large", "4294967296", number, uint32(0), msnp.ErrMalformed},
		{"a number below 0", "-1", number, uint32(0), msnp.ErrMalformed},
		{"a number missing", "", number, uint32(0), msnp.ErrMalformed},

		{"an address", "Bob@Example.COM", email, "bob@example.com", nil},
		{"an address missing", "", email, "", msnp.ErrMalformed},
		{"an address that is none", "not-an-address", email, "", bad},
		{"an address of 129 bytes", strings.Repeat("a", 117) + "@example.com", email, strings.Repeat("a", 117) + "@example.com", nil},
		{"an address of 130 bytes", strings.Repeat("a", 118) + "@example.com", email, "", msnp.ErrMalformed},

		{"a list", "RL", list, msnp.RL, nil},
		{"a list in lower case", "fl", list, msnp.List(0), msnp.ErrMalformed},
		{"a list unknown", "CL", list, msnp.List(0), msnp.ErrMalformed},
		{"a list missing", "", list, msnp.List(0), msnp.ErrMalformed},

		{"a state", "LUN", status, msnp.LUN, nil},
		{"FLN is a state", "FLN", status, msnp.FLN, nil},
		{"a state in lower case", "nln", status, msnp.StatusNone, msnp.ErrMalformed},
		{"a state unknown", "HOT", status, msnp.StatusNone, msnp.ErrMalformed},
		{"no state is called none", "none", status, msnp.StatusNone, msnp.ErrMalformed},

		{"a name", "Al%20é", name, msnp.Nick("Al%20%C3%A9"), nil},
		{"a name missing", "", name, msnp.Nick(""), msnp.ErrMalformed},
		{"a name of 387 bytes", strings.Repeat("a", 387), name, msnp.Nick(strings.Repeat("a", 387)), nil},
		{"a name of 388 bytes", strings.Repeat("a", 388), name, msnp.Nick(""), msnp.ErrMalformed},
		{"a name not UTF-8", "%FF", name, msnp.Nick(""), bad},

		{"a word of a set", "N", mode, "N", nil},
		{"a word outside of it", "B", mode, "", msnp.ErrMalformed},
		{"a word in lower case", "a", mode, "", msnp.ErrMalformed},
		{"a word of a set missing", "", mode, "", msnp.ErrMalformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := params(t, "URL 1 "+test.args)
			if got, want := p.More(), test.args != ""; got != want {
				t.Errorf("More: want %v, got %v", want, got)
			}
			if got := test.read(&p); got != test.want {
				t.Errorf("read %q: want %v, got %v", test.args, test.want, got)
			}
			if p.Err() != test.err {
				t.Errorf("read %q: want error %v, got %v", test.args, test.err, p.Err())
			}
			if p.More() {
				t.Errorf("read %q: want nothing left", test.args)
			}
		})
	}
}

func TestParamsReadOneAfterAnother(t *testing.T) {
	p := params(t, "ADD 12 FL bob@example.com Bob 2")
	got := fmt.Sprintln(p.List(), p.Email(msnp.CodeInvalidParameter), p.Nick(msnp.MaxNick, msnp.CodeInvalidParameter), p.More(), p.Uint32(), p.More())
	if want := "FL bob@example.com Bob true 2 false\n"; got != want || p.Err() != nil {
		t.Errorf("want %s, got %s, %v", want, got, p.Err())
	}
}

func TestFirstFaultSticks(t *testing.T) {
	p := params(t, "ADD 12 XX nonsense Bob 2")
	l, e, n, id := p.List(), p.Email(msnp.CodeInvalidParameter), p.Nick(1, msnp.CodeInvalidNick), p.Uint32()
	if l != 0 || !e.IsZero() || n != "" || id != 0 || p.More() || p.Err() != msnp.ErrMalformed {
		t.Errorf("want nothing behind a fault and %v, got %v %v %q %d, %v", msnp.ErrMalformed, l, e, n, id, p.Err())
	}
	p = params(t, "ADD 12 nonsense XX")
	p.Email(msnp.CodeInvalidParameter)
	p.List()
	if p.Err() != msnp.CodeInvalidParameter {
		t.Errorf("want the first fault %v, got %v", msnp.CodeInvalidParameter, p.Err())
	}
}

func TestCommandRow(t *testing.T) {
	var cmd msnp.Command
	r := msnp.NewReader(strings.NewReader("USR 1 MD5 I ann@example.com\r\n"), msnp.FromClient)
	if err := r.Next(&cmd); err != nil {
		t.Fatal(err)
	}
	if row := cmd.Row(msnp.Notification); row == nil || row.Min != 3 {
		t.Errorf("USR on notification: want a row with 3 arguments, got %+v", row)
	}
	if row := cmd.Row(msnp.Switchboard); row == nil || row.Min != 2 {
		t.Errorf("USR on a switchboard: want a row with 2 arguments, got %+v", row)
	}
	if err := r.Next(&cmd); err != io.EOF || cmd.Row(msnp.Notification) != nil {
		t.Errorf("want the end and no row, got %v, %+v", err, cmd.Row(msnp.Notification))
	}
}
