package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/monarch-msn/monarch/msnp"
	"github.com/monarch-msn/monarch/msnp/client"
)

// login is the conversation of a login in MSNP7, up to the profile.
const login = `
	C: VER 1 MSNP7 MSNP6 MSNP5 MSNP4 CVR0
	S: VER 1 MSNP7
	C: INF 2
	S: INF 2 MD5
	C: USR 3 MD5 I ann@example.com
	S: USR 3 MD5 S 1726321960.482915073
	C: USR 4 MD5 S bec0ba62b515cf44b19b7acfb9e82524
	S: USR 4 OK ann@example.com Ann 1
	S: MSG Hotmail Hotmail 7
	s: profile`

func options(s *server) client.Options {
	return client.Options{Dispatch: s.addr(), Email: "ann@example.com", Password: "swordfish"}
}

// signIn plays login and what follows it.
func signIn(t *testing.T, conversation string) (*client.Client, *server) {
	t.Helper()
	s := listen(login + conversation)
	c, err := client.Login(t.Context(), options(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, s
}

// expect reads one message.
func expect(t *testing.T, next func(context.Context) (client.Message, error), want string) client.Message {
	t.Helper()
	m, err := next(t.Context())
	if err != nil || m.Text != want {
		t.Fatalf("want %q, got %q, %v", want, m.Text, err)
	}
	return m
}

func TestLogin(t *testing.T) {
	c, s := signIn(t, "")
	s.wait(t)
	if c.Email != "ann@example.com" || c.Name != "Ann" || !c.Verified || c.Dialect != msnp.MSNP7 || string(c.Profile) != "profile" || len(c.Referrals) != 0 {
		t.Errorf("want Ann, verified, MSNP7, not referred; got %s %s %v %v %q %v", c.Email, c.Name, c.Verified, c.Dialect, c.Profile, c.Referrals)
	}
	if _, err := c.Next(t.Context()); err != io.EOF {
		t.Errorf("want the end, got %v", err)
	}
}

func TestLoginFollowsReferralsAndCountsOn(t *testing.T) {
	second := listen(`
		C: VER 1000 MSNP2
		S: VER 1000 MSNP2
		C: USR 1001 MD5 I ann@example.com
		S: USR 1001 MD5 S 1726321960.482915073
		C: USR 1002 MD5 S bec0ba62b515cf44b19b7acfb9e82524
		S: USR 1002 OK ann@example.com Ann
		S: MSG Hotmail Hotmail 0
		C: CHG 1003 HDN
		S: CHG 1003 HDN`)
	first := listen(`
		C: VER 998 MSNP2
		S: VER 998 MSNP2
		C: USR 999 MD5 I ann@example.com
		S: XFR 999 NS ` + second.addr())
	o := options(first)
	o.Dialects, o.SkipINF, o.TrIDBase = []string{"MSNP2"}, true, 997
	c, err := client.Login(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Dialect != msnp.MSNP2 || c.Verified || len(c.Referrals) != 1 || c.Referrals[0] != second.addr() {
		t.Errorf("want MSNP2 and one referral, got %v, %v", c.Dialect, c.Referrals)
	}
	if m, err := c.Do(t.Context(), "CHG", "HDN"); err != nil || m.Text != "CHG 1003 HDN" {
		t.Errorf("want CHG 1003 HDN, got %q, %v", m, err)
	}
	first.wait(t)
	second.wait(t)
}

func TestTrIDsWrapAround(t *testing.T) {
	s := listen(`
		C: VER 4294967295 MSNP5
		S: VER 4294967295 MSNP5
		C: INF 0
		S: 600 0`)
	o := options(s)
	o.Dialects, o.TrIDBase = []string{"MSNP5"}, 1<<32-2
	_, err := client.Login(t.Context(), o)
	if !errors.Is(err, msnp.CodeBusy) {
		t.Errorf("want %v, got %v", msnp.CodeBusy, err)
	}
	s.wait(t)
}

func TestLoginFails(t *testing.T) {
	const hello = `
		C: VER 1 MSNP7 MSNP6 MSNP5 MSNP4 CVR0
		S: VER 1 MSNP7
		C: INF 2
		S: INF 2 MD5
		C: USR 3 MD5 I ann@example.com
	`
	for _, test := range []struct {
		name         string
		conversation string
		want         error  // nil: any
		text         string // part of the error
	}{
		{"no dialect", "C: VER 1 MSNP7 MSNP6 MSNP5 MSNP4 CVR0\nS: VER 1 0", client.ErrNoDialect, "VER 1 0"},
		{"only CVR0", "C: VER 1 MSNP7 MSNP6 MSNP5 MSNP4 CVR0\nS: VER 1 CVR0", client.ErrNoDialect, "VER 1 CVR0"},
		{"another way to log in", "C: VER 1 MSNP7 MSNP6 MSNP5 MSNP4 CVR0\nS: VER 1 MSNP7\nC: INF 2\nS: INF 2 CTP", nil, "INF 2 CTP"},
		{"no domain", hello + "S: 206 3", msnp.CodeNoDomain, "206 domain name missing"},
		{"busy", hello + "S: 600 3", msnp.CodeBusy, "600"},
		{"a challenge of another kind", hello + "S: USR 3 TWN S x", nil, "USR 3 TWN S x"},
		{"a referral to a switchboard", hello + "S: XFR 3 SB 192.0.2.9:1863 CKI 1", nil, "XFR 3 SB"},
		{"a wrong password", hello + "S: USR 3 MD5 S 1726322222.777000111\nC: USR 4 MD5 S ", msnp.CodeAuthentication, "log ann@example.com in at 127.0.0.1:"},
		{"a server that closes", hello, io.EOF, ""},
		{"a server that closes amid a line", hello + "s: USR 3 MD", io.ErrUnexpectedEOF, ""},
		{"a server that is sloppy", hello + `s: USR 3  MD5\r\n`, msnp.ErrForm, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := test.conversation
			if rest, ok := strings.CutSuffix(text, "C: USR 4 MD5 S "); ok {
				sum := msnp.Respond("1726322222.777000111", "swordfish")
				text = rest + fmt.Sprintf("C: USR 4 MD5 S %x\nS: 911 4", sum)
			}
			s := listen(text)
			_, err := client.Login(t.Context(), options(s))
			if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("want an error with %v and %q, got %v", test.want, test.text, err)
			}
			s.wait(t)
		})
	}
}

func TestLoginEndsAnEndlessReferral(t *testing.T) {
	// The address is known only once the server listens, and then each
	// conversation sends the client back to it.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var texts []string
	for i := range 8 {
		id := 2*i + 1
		texts = append(texts, fmt.Sprintf("C: VER %d MSNP7\nS: VER %d MSNP7\nC: USR %d MD5 I ann@example.com\nS: XFR %d NS %s 0 x:1", id, id, id+1, id+1, ln.Addr()))
	}
	s := &server{ln: ln, done: make(chan error, 1)}
	go func() { s.done <- s.serve(texts) }()
	o := options(s)
	o.Dialects, o.SkipINF = []string{"MSNP7"}, true
	if _, err := client.Login(t.Context(), o); err == nil || !strings.Contains(err.Error(), "more than 8 referrals") {
		t.Errorf("want the client to give up, got %v", err)
	}
	s.wait(t)
}

func TestLoginUsesTheDialerOfTheOptions(t *testing.T) {
	broken := errors.New("no network")
	var asked string
	_, err := client.Login(t.Context(), client.Options{
		Dispatch: "dispatch.example.com", Email: "ann@example.com",
		Dial: func(_ context.Context, network, addr string) (net.Conn, error) {
			asked = network + " " + addr
			return nil, broken
		},
	})
	if !errors.Is(err, broken) || asked != "tcp dispatch.example.com:1863" {
		t.Errorf("want %v from tcp dispatch.example.com:1863, got %v from %s", broken, err, asked)
	}
}

func TestDoKeepsWhatComesInBetween(t *testing.T) {
	c, s := signIn(t, `
		C: ADD 5 FL bob@example.com Bob 0
		S: NLN NLN cat@example.com Cat
		S: ADD 0 RL 9 cat@example.com Cat
		S: ADD 5 FL 10 bob@example.com Bob 0
		S: BPR 10 bob@example.com MOB N
		S: ILN 5 NLN bob@example.com Bob
		C: PNG
		S: FLN cat@example.com
		S: QNG`)
	if m, err := c.Do(t.Context(), "ADD", "FL", "bob@example.com", "Bob", "0"); err != nil || m.Text != "ADD 5 FL 10 bob@example.com Bob 0" {
		t.Errorf("want the reply, got %q, %v", m, err)
	}
	if err := c.Ping(t.Context()); err != nil {
		t.Errorf("ping: %v", err)
	}
	for _, want := range []string{
		"NLN NLN cat@example.com Cat", "ADD 0 RL 9 cat@example.com Cat",
		"BPR 10 bob@example.com MOB N", "ILN 5 NLN bob@example.com Bob", "FLN cat@example.com",
	} {
		expect(t, c.Next, want)
	}
	if _, err := c.Next(t.Context()); err != io.EOF {
		t.Errorf("want the end, got %v", err)
	}
	s.wait(t)
}

func TestDoReturnsARefusal(t *testing.T) {
	c, s := signIn(t, `
		C: REM 5 FL bob@example.com
		S: 216 5
		C: CHG 6 NLN
		S: CHG 6 NLN`)
	m, err := c.Do(t.Context(), "REM", "FL", "bob@example.com")
	if err != msnp.CodeNotOnList || m.Text != "216 5" {
		t.Errorf("want %v, got %q, %v", msnp.CodeNotOnList, m, err)
	}
	if _, err := c.Do(t.Context(), "CHG", "NLN"); err != nil {
		t.Errorf("behind a refusal: %v", err)
	}
	s.wait(t)
}

func TestSync(t *testing.T) {
	c, s := signIn(t, `
		C: SYN 5 9
		S: SYN 5 9
		C: SYN 6 0
		S: SYN 6 9
		S: GTC 6 9 A
		S: LST 6 FL 9 1 1 bob@example.com Bob 0
		S: BPR 9 bob@example.com MOB N
		S: LST 6 RL 9 1 2 bob@example.com Bob
		S: LST 6 RL 9 2 2 cat@example.com Cat
		S: NLN NLN bob@example.com Bob
		C: SYN 7 1
		S: SYN 7 9
		S: LST 7 RL 9 0 0
		C: SYN 8 1
		S: 500 8`)
	for _, test := range []struct {
		version uint32
		want    string
	}{
		{9, "[SYN 5 9]"},
		{0, "[SYN 6 9 GTC 6 9 A LST 6 FL 9 1 1 bob@example.com Bob 0 BPR 9 bob@example.com MOB N" +
			" LST 6 RL 9 1 2 bob@example.com Bob LST 6 RL 9 2 2 cat@example.com Cat]"},
		{1, "[SYN 7 9 LST 7 RL 9 0 0]"},
	} {
		block, err := c.Sync(t.Context(), test.version)
		if got := fmt.Sprint(block); err != nil || got != test.want {
			t.Errorf("Sync(%d):\nwant %s\n got %s, %v", test.version, test.want, got, err)
		}
	}
	if _, err := c.Sync(t.Context(), 1); err != msnp.CodeInternal {
		t.Errorf("want %v, got %v", msnp.CodeInternal, err)
	}
	expect(t, c.Next, "NLN NLN bob@example.com Bob")
	s.wait(t)
}

func TestChallengeIsAnswered(t *testing.T) {
	c, s := signIn(t, `
		S: CHL 0 31415926535897932384
		C: QRY 5 msmsgs@msnmsgr.com 32
		c: 5900baf7ab746df3bef2c20e04dd1f94
		S: QRY 5`)
	expect(t, c.Next, "CHL 0 31415926535897932384")
	expect(t, c.Next, "QRY 5")
	s.wait(t)
}

func TestChallengeIsIgnored(t *testing.T) {
	s := listen(login + `
		S: CHL 0 31415926535897932384
		C: PNG
		S: QNG`)
	o := options(s)
	o.IgnoreChallenges = true
	c, err := client.Login(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	expect(t, c.Next, "CHL 0 31415926535897932384")
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	s.wait(t)
}

func TestUnknownProduct(t *testing.T) {
	s := listen(login + "\nS: CHL 0 1\n")
	o := options(s)
	o.Product = "nothing"
	c, err := client.Login(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Next(t.Context()); err == nil || !strings.Contains(err.Error(), `unknown product "nothing"`) {
		t.Errorf("want the product refused, got %v", err)
	}
	s.wait(t)
}

func TestLogout(t *testing.T) {
	c, s := signIn(t, `
		C: OUT
		S: NLN NLN bob@example.com Bob
		S: OUT`)
	if err := c.Logout(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.Send("PNG"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("behind Logout: want %v, got %v", net.ErrClosed, err)
	}
	s.wait(t)
}
