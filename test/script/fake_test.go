package script

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// A fake is a network of one dispatch server and some notification nodes that
// knows how to log in and else answers as the test tells it to. It shares
// nothing with the real servers.
type fake struct {
	t        *testing.T
	dispatch net.Listener
	nodes    []net.Listener

	mu        sync.Mutex
	directory fakeDirectory
	settled   int
	// answers maps a line, as the wire has it but for account marks, to all
	// the bytes that it is answered with.
	answers map[string]string
	// onSettle is written to every connection that is logged in.
	onSettle string
	online   []net.Conn
}

// closing in place of an answer ends the connection, also behind others.
const closing = "<close>"

func newFake(t *testing.T, nodes int, answers map[string]string) *fake {
	f := &fake{t: t, answers: answers}
	f.directory.versions = map[string]uint32{}
	f.directory.passwords = map[string]string{}
	f.dispatch = f.listen(true)
	for range nodes {
		f.nodes = append(f.nodes, f.listen(false))
	}
	return f
}

// listen serves until the test ends, and waits for what it started.
func (f *fake) listen(dispatch bool) net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				f.serve(c, dispatch)
			})
		}
	})
	f.t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln
}

func (f *fake) serve(c net.Conn, dispatch bool) {
	r := bufio.NewReader(c)
	email, dialect := "", ""
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		words := strings.Split(line, " ")
		answer, told := f.answer(line)
		switch {
		case told:
		case words[0] == "VER":
			dialect = words[2]
			answer = "VER " + words[1] + " " + dialect + "\r\n"
		case words[0] == "INF":
			answer = line + " MD5\r\n"
		case words[0] == "USR" && dispatch:
			answer = "XFR " + words[1] + " NS " + f.nodes[0].Addr().String()
			if dialect != "MSNP2" {
				answer += " 0"
			}
			if dialect == "MSNP7" {
				answer += " " + f.dispatch.Addr().String()
			}
			answer += "\r\n"
		case words[0] == "USR" && words[3] == "I":
			email = strings.ToLower(words[4])
			answer = "USR " + words[1] + " MD5 S 1013928519.693957190\r\n"
		case words[0] == "USR":
			answer = f.login(words[1], words[4], email, dialect)
			f.mu.Lock()
			f.online = append(f.online, c)
			f.mu.Unlock()
		case words[0] == "SYN":
			answer = "SYN " + words[1] + " 3\r\nLST " + words[1] + " RL 3 0 0\r\n"
		case words[0] == "CHG":
			answer = line + "\r\nILN " + words[1] + " NLN someone@example.com Someone\r\n"
		case words[0] == "SAY": // with a payload, which is given back
			n, _ := strconv.Atoi(words[1])
			body := make([]byte, n)
			if _, err := io.ReadFull(r, body); err != nil {
				return
			}
			answer = fmt.Sprintf("MSG Hotmail Hotmail %d\r\n%s", n, body)
		case words[0] == "PNG":
			answer = "QNG\r\n"
		case words[0] == "OUT":
			answer = "OUT\r\n" + closing
		}
		rest, over := strings.CutSuffix(answer, closing)
		if _, err := c.Write([]byte(rest)); err != nil || over {
			return
		}
	}
}

// answer looks for what the test has set, without regard to account marks.
func (f *fake) answer(line string) (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for want, answer := range f.answers {
		plain := strings.ReplaceAll(want, "ann@", f.mark()+"@")
		if line == plain {
			return strings.ReplaceAll(answer, "ann@", f.mark()+"@"), true
		}
	}
	return "", false
}

// mark is the local part that ann has on the wire.
func (f *fake) mark() string {
	for email := range f.directory.passwords {
		if strings.HasPrefix(email, "ann.") {
			local, _, _ := strings.Cut(email, "@")
			return local
		}
	}
	return "ann"
}

func (f *fake) login(trid, response, email, dialect string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if response != respond("1013928519.693957190", f.directory.passwords[email]) {
		return "911 " + trid + "\r\n" + closing
	}
	verified := ""
	if dialect >= "MSNP6" {
		verified = " 1"
	}
	body := "PreferredEmail: " + email + "\r\n\r\n"
	return fmt.Sprintf("USR %s OK %s Ann%s\r\nMSG Hotmail Hotmail %d\r\n%s", trid, email, verified, len(body), body)
}

func (f *fake) Dispatch() string                       { return f.dispatch.Addr().String() }
func (f *fake) Notification(i int) string              { return f.nodes[i%len(f.nodes)].Addr().String() }
func (f *fake) Accounts() directoryv1.AccountsClient   { return &fakeAccounts{fake: f} }
func (f *fake) Directory() directoryv1.DirectoryClient { return &f.directory }

func (f *fake) Settle(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settled++
	for _, c := range f.online {
		if f.onSettle != "" {
			c.Write([]byte(f.onSettle)) // a connection already closed hears nothing
		}
	}
	return nil
}

type fakeAccounts struct {
	directoryv1.AccountsClient
	fake *fake
}

func (a *fakeAccounts) CreateAccounts(_ context.Context, in *directoryv1.CreateAccountsRequest, _ ...grpc.CallOption) (*directoryv1.CreateAccountsResponse, error) {
	a.fake.mu.Lock()
	defer a.fake.mu.Unlock()
	d := &a.fake.directory
	resp := &directoryv1.CreateAccountsResponse{}
	for i, row := range in.GetAccounts() {
		if row.GetPassword() == "refused" {
			resp.Errors = append(resp.Errors, &directoryv1.RowError{Row: uint32(i), Message: "password refused"})
			continue
		}
		d.passwords[row.GetEmail()], d.versions[row.GetEmail()] = row.GetPassword(), 1
		d.note("account", row.GetEmail(), row.GetName())
	}
	return resp, nil
}

func (a *fakeAccounts) ImportContacts(_ context.Context, in *directoryv1.ImportContactsRequest, _ ...grpc.CallOption) (*directoryv1.ImportContactsResponse, error) {
	a.fake.mu.Lock()
	defer a.fake.mu.Unlock()
	for _, row := range in.GetContacts() {
		a.fake.directory.note("contact", row.GetOwner(), row.GetContact())
		a.fake.directory.versions[row.GetOwner()] += 2
	}
	return &directoryv1.ImportContactsResponse{}, nil
}

// A fakeDirectory counts versions and writes down the edits.
type fakeDirectory struct {
	directoryv1.DirectoryClient
	passwords map[string]string
	versions  map[string]uint32
	edits     []string
}

func (d *fakeDirectory) note(words ...string) { d.edits = append(d.edits, strings.Join(words, " ")) }

func (d *fakeDirectory) edit(e *directoryv1.Edit, words ...any) (*directoryv1.EditResponse, error) {
	d.versions[e.GetEmail()]++
	d.note(strings.TrimSuffix(fmt.Sprintln(append([]any{e.GetEmail()}, words...)...), "\n"))
	return &directoryv1.EditResponse{Version: d.versions[e.GetEmail()]}, nil
}

func (d *fakeDirectory) Versions(_ context.Context, in *directoryv1.VersionsRequest, _ ...grpc.CallOption) (*directoryv1.VersionsResponse, error) {
	return &directoryv1.VersionsResponse{Versions: d.versions}, nil
}

func (d *fakeDirectory) AddMember(_ context.Context, in *directoryv1.AddMemberRequest, _ ...grpc.CallOption) (*directoryv1.EditResponse, error) {
	return d.edit(in.GetEdit(), in.GetList(), in.GetMember(), in.GetName(), in.Group != nil, in.GetGroup())
}

func (d *fakeDirectory) AddGroup(_ context.Context, in *directoryv1.AddGroupRequest, _ ...grpc.CallOption) (*directoryv1.EditResponse, error) {
	return d.edit(in.GetEdit(), "group", in.GetName())
}

func (d *fakeDirectory) Rename(_ context.Context, in *directoryv1.RenameRequest, _ ...grpc.CallOption) (*directoryv1.EditResponse, error) {
	return d.edit(in.GetEdit(), "rename", in.GetName())
}

func (d *fakeDirectory) SetPrivacy(_ context.Context, in *directoryv1.SetPrivacyRequest, _ ...grpc.CallOption) (*directoryv1.EditResponse, error) {
	return d.edit(in.GetEdit(), "privacy", in.GetGtcAsk(), in.GetBlpAllow())
}

func (d *fakeDirectory) SetPhone(_ context.Context, in *directoryv1.SetPhoneRequest, _ ...grpc.CallOption) (*directoryv1.EditResponse, error) {
	return d.edit(in.GetEdit(), in.GetKey(), in.GetValue())
}
