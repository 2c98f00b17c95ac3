package msnp_test

import (
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/monarch-msn/monarch/msnp"
)

// A server reads what a client of the time sends, and answers in the form
// that clients count on.
func ExampleReader() {
	const input = "CHG 9 NLN\nREA 10 Ann@Example.com Ann%20L\u00e9a\r\nCHG 11 HOT\r\n"

	r := msnp.NewReader(strings.NewReader(input), msnp.FromClient)
	var cmd msnp.Command
	var l msnp.Line
	for {
		err := r.Next(&cmd)
		if err == io.EOF {
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		l.Reset()
		p := cmd.Params()
		switch cmd.Verb {
		case "CHG":
			if s := p.Status(); p.Err() == nil {
				l.Verb("CHG").TrID(cmd.TrID).Status(s)
			}
		case "REA":
			e, n := p.Email(msnp.CodeInvalidParameter), p.Nick(msnp.MaxNick, msnp.CodeInvalidNick)
			if p.Err() == nil {
				l.Verb("REA").TrID(cmd.TrID).Uint(10).Email(e).Nick(n)
			}
		}
		if p.Err() != nil {
			fmt.Println(p.Err())
			continue
		}
		fmt.Printf("%q\n", l.Bytes())
	}
	// Output:
	// "CHG 9 NLN\r\n"
	// "REA 10 10 ann@example.com Ann%20L%C3%A9a\r\n"
	// malformed command
}

// A dialect renders the lines that differ between the versions.
func ExampleDialect() {
	offered := [][]byte{[]byte("MSNP5"), []byte("MSNP4"), []byte("CVR0")}
	d, _ := msnp.Negotiate(offered, nil)

	for _, d := range []*msnp.Dialect{d, msnp.MSNP7} {
		var l msnp.Line
		d.AppendReferral(&l, []byte("3"), "192.0.2.5:1863", "192.0.2.1:1863")
		fmt.Printf("%v: %q\n", d, l.Bytes())
	}
	// Output:
	// MSNP5: "XFR 3 NS 192.0.2.5:1863 0\r\n"
	// MSNP7: "XFR 3 NS 192.0.2.5:1863 0 192.0.2.1:1863\r\n"
}

// Before a handler sees a command, its row decides.
func ExampleRow_Admit() {
	row := msnp.Lookup(msnp.Notification, "VER")
	action, code := row.Admit(msnp.Present, msnp.MSNP7, 1)
	fmt.Println(action == msnp.Close, code)
	// Output: true 715 not expected
}
