package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/allinone"
)

// terminalOf is somebody who runs "monarchctl chat".
type terminalOf struct {
	t      *testing.T
	name   string
	in     *io.PipeWriter
	status chan int

	mu      sync.Mutex
	out     bytes.Buffer
	read    int
	changed chan struct{}
}

func (p *terminalOf) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out.Write(b)
	close(p.changed)
	p.changed = make(chan struct{})
	return len(b), nil
}

// talker starts a chat client, and returns when it is signed in.
func talker(t *testing.T, n *allinone.Network, name string) *terminalOf {
	t.Helper()
	in, w := io.Pipe()
	p := &terminalOf{t: t, name: name, in: w, status: make(chan int, 1), changed: make(chan struct{})}
	go func() {
		args := []string{"chat", name + "@example.com", "--dispatch", n.Dispatch()}
		p.status <- run(context.Background(), args, console{in: in, out: p, err: p})
		in.Close()
	}()
	p.types("secret")
	p.sees("* you are NLN")
	return p
}

func (p *terminalOf) types(line string) {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.in, line); err != nil {
		p.t.Fatalf("%s types %q: %v", p.name, line, err)
	}
}

// sees waits for a line, behind those that it saw before.
func (p *terminalOf) sees(want string) {
	p.t.Helper()
	late := time.After(patience)
	for {
		p.mu.Lock()
		rest, changed := p.out.String()[p.read:], p.changed
		if i := strings.Index(rest, want+"\n"); i >= 0 {
			p.read += i + len(want) + 1
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		select {
		case <-changed:
		case <-late:
			p.t.Fatalf("%s does not see %q, but\n%s", p.name, want, rest)
		}
	}
}

func (p *terminalOf) ends(want int) {
	p.t.Helper()
	if got := <-p.status; got != want {
		p.t.Errorf("%s: exit status %d, want %d\n%s", p.name, got, want, p.out.String())
	}
}

func TestChat(t *testing.T) {
	dir := t.TempDir()
	n, err := allinone.Start(t.Context(), allinone.Options{
		DataDir: dir, NotificationNodes: 2, SwitchboardNodes: 2, OperatorListen: "127.0.0.1:0",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(); err != nil {
			t.Errorf("stop the network: %v", err)
		}
	})
	var accounts []*directoryv1.NewAccount
	for _, name := range []string{"Ann", "Bob", "Cat"} {
		accounts = append(accounts, &directoryv1.NewAccount{
			Email: strings.ToLower(name) + "@example.com", Password: "secret", Name: name,
		})
	}
	if _, err := n.Accounts().CreateAccounts(t.Context(), &directoryv1.CreateAccountsRequest{Accounts: accounts}); err != nil {
		t.Fatal(err)
	}
	ann, bob := talker(t, n, "ann"), talker(t, n, "bob")
	ann.types("anybody there?")
	ann.sees("* you talk to nobody: /call somebody")
	ann.types("/add bob@example.com")
	ann.sees("* bob@example.com is on your list")
	ann.sees("* bob@example.com is NLN")
	bob.sees("* ann@example.com has put you on a list")
	ann.types("/call bob@example.com")
	ann.sees("* it rings")
	bob.sees("* Ann (ann@example.com) calls: /answer to talk")
	bob.types("/answer")
	bob.sees("* Ann (ann@example.com) is here")
	ann.sees("* Bob (bob@example.com) is here")
	ann.types("Hi Bob, grüß Gott")
	bob.sees("Ann: Hi Bob, grüß Gott")
	bob.types("/typing")
	ann.sees("* Bob is typing")

	// A third is invited, by the one who was.
	bob.types("/call cat@example.com")
	bob.sees("* refused: 217 not online")
	cat := talker(t, n, "cat")
	bob.types("/call cat@example.com")
	cat.sees("* Bob (bob@example.com) calls: /answer to talk")
	cat.types("/answer")
	cat.sees("* Ann (ann@example.com) is here")
	cat.sees("* Bob (bob@example.com) is here")
	ann.sees("* Cat (cat@example.com) is here")
	cat.types("hello both")
	ann.sees("Cat: hello both")
	bob.sees("Cat: hello both")

	// One leaves and is called again.
	bob.types("/leave")
	bob.sees("* you have left")
	ann.sees("* bob@example.com has left")
	ann.types("/call bob@example.com")
	bob.sees("* Ann (ann@example.com) calls: /answer to talk")
	bob.types("/answer")
	cat.sees("* Bob (bob@example.com) is here")

	cat.types("/quit")
	cat.ends(exitDone)
	ann.sees("* cat@example.com has left")
	// The end of the input is as good.
	bob.in.Close()
	bob.ends(exitDone)
	ann.sees("* bob@example.com is offline")
	ann.types("still there?")
	ann.sees("* not everybody has heard that")

	// What the operator announces is shown.
	r := ctl("", "--server", "http://"+n.Operator(), "--token-file", filepath.Join(dir, "operator.token"),
		"announce", "--to", "ann@example.com", "--minutes", "5", "Tea & cake")
	if r.status != exitDone {
		t.Errorf("announce: status %d, %s", r.status, r.err)
	}
	ann.sees("* the network goes down in 5 minutes")
	ann.sees("* announcement: Tea & cake")

	// A slip is told, and costs nothing.
	const states = "* /status is followed by NLN, BSY, IDL, BRB, AWY, PHN, LUN or HDN"
	for _, slip := range [][2]string{
		{"/add", "* /add whom? An email address is wanted"},
		{"/call  ", "* /call whom? An email address is wanted"},
		{"/add bob", `* "bob" is not an email address`},
		{"/call bob@example.com cat@example.com", `* "bob@example.com cat@example.com" is not an email address`},
		{"/status", states},
		{"/status away", states},
		{"/status FLN", states},
	} {
		ann.types(slip[0])
		ann.sees(slip[1])
	}
	ann.types("/status  awy")
	ann.sees("* you are AWY")
	ann.types("/quit")
	ann.ends(exitDone)
}

// A server that is silent is named, and the user may break off without more
// words.
func TestChatAtASilentServer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	addr := ln.Addr().String()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	talked := make(chan outcome, 1)
	go func() {
		var out bytes.Buffer
		in := strings.NewReader("secret\n")
		status := run(ctx, []string{"chat", "ann@example.com", "--dispatch", addr}, console{in: in, out: &out, err: &out})
		talked <- outcome{status, out.String()}
	}()
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	interrupt()
	if got, want := <-talked, (outcome{exitFault, "monarchctl: interrupted\n"}); got != want {
		t.Errorf("interrupted: want %+v, got %+v", want, got)
	}

	c := chatCommand{Email: "ann@example.com", Dispatch: addr, Dialect: "MSNP7"}
	late, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := c.signIn(late, "secret"); err == nil || err.Error() != addr+" does not answer" {
		t.Errorf("out of time: want %s named, got %v", addr, err)
	}
}

// outcome is an exit status, and all that was printed.
type outcome struct {
	status int
	text   string
}

func TestChatReadsAnnouncements(t *testing.T) {
	alert := func(text string) []byte {
		return []byte("<NOTIFICATION ver=\"1\" id=\"7\">\r\n<TO pid=\"0x0:0x1\" name=\"ann@example.com\" />\r\n" +
			"<MSG id=\"7\">\r\n<ACTION url=\"\" />\r\n<BODY lang=\"1033\">\r\n<TEXT>" + text + "</TEXT>\r\n</BODY>\r\n</MSG>\r\n</NOTIFICATION>\r\n")
	}
	for in, want := range map[string]string{
		string(alert("Tea &amp; cake")): "Tea & cake",
		string(alert("")):               "",
		"<other>":                       "",
	} {
		if got := alertText([]byte(in)); got != want {
			t.Errorf("alert %q: want %q, got %q", in, want, got)
		}
	}
	for in, want := range map[string]string{
		"MIME-Version: 1.0\r\nContent-Type: application/x-msmsgssystemmessage\r\n\r\nType: 1\r\nArg1: 5\r\n\r\n": "5",
		"MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsprofile\r\n\r\nArg1: 5\r\n":                             "",
	} {
		if got := systemMinutes([]byte(in)); got != want {
			t.Errorf("message %q: want %q, got %q", in, want, got)
		}
	}
}

func TestChatRefused(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"", "the password, which is the first line of standard input, is empty"},
		{"secret\n", "127.0.0.1:1"},
	} {
		r := ctl(test.in, "chat", "ann@example.com", "--dispatch", "127.0.0.1:1")
		if r.status == exitDone || !strings.Contains(r.err, test.want) || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%q: status %d, %q, want one line with %q", test.in, r.status, r.err, test.want)
		}
	}
}
