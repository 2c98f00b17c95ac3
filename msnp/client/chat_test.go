package client_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/monarch-msn/monarch/msnp"
	"github.com/monarch-msn/monarch/msnp/client"
)

func TestOpenChat(t *testing.T) {
	board := listen(`
		C: USR 1 ann@example.com 17262740.1050826919.32308
		S: USR 1 OK ann@example.com Ann
		C: CAL 2 bob@example.com
		S: CAL 2 RINGING 11752013
		S: JOI bob@example.com Bob
		C: CAL 3 cat@example.com
		S: 217 3
		C: MSG 4 A 2
		c: hi
		s: MSG bob@example.com Bob 2\r\nhoACK 4\r\n
		S: BYE bob@example.com
		C: MSG 5 A 0
		S: NAK 5
		C: OUT`)
	c, ns := signIn(t, `
		C: XFR 5 SB
		S: XFR 5 SB `+board.addr()+` CKI 17262740.1050826919.32308`)
	chat, err := c.OpenChat(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if chat.Email != "ann@example.com" || chat.Name != "Ann" {
		t.Errorf("entered as %s, %s", chat.Email, chat.Name)
	}
	if err := chat.Call(t.Context(), "bob@example.com"); err != nil || chat.Session != "11752013" {
		t.Errorf("call: session %q, %v", chat.Session, err)
	}
	if err := chat.Call(t.Context(), "cat@example.com"); !errors.Is(err, msnp.CodeNotOnline) {
		t.Errorf("call of somebody offline: %v", err)
	}
	if err := chat.Deliver(t.Context(), []byte("hi")); err != nil {
		t.Errorf("deliver: %v", err)
	}
	if err := chat.Deliver(t.Context(), nil); !errors.Is(err, client.ErrNotDelivered) {
		t.Errorf("deliver to nobody: %v", err)
	}
	// What came while replies were awaited is there, in order.
	for _, want := range []string{"JOI bob@example.com Bob", "MSG bob@example.com Bob 2", "BYE bob@example.com"} {
		m, err := chat.Next(t.Context())
		if err != nil || m.Text != want {
			t.Errorf("want %q, got %q, %v", want, m.Text, err)
		}
	}
	if err := chat.Logout(t.Context()); err != nil {
		t.Error(err)
	}
	board.wait(t)
	ns.wait(t)
}

func TestEnterChat(t *testing.T) {
	board := listen(`
		C: ANS 1 ann@example.com 849102291.520491113 11752013
		S: IRO 1 1 2 bob@example.com Bob
		S: IRO 1 2 2 cat@example.com Cat%20Doe
		S: ANS 1 OK`, `
		C: ANS 1 ann@example.com 849102291.520491113 11752013
		S: 911 1`)
	c, ns := signIn(t, `
		S: RNG 11752013 `+board.addr()+` CKI 849102291.520491113 bob@example.com Bob`)
	m, err := c.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ring, ok := client.ParseRing(m)
	if !ok || ring.Caller != (client.Member{Email: "bob@example.com", Name: "Bob"}) {
		t.Fatalf("%q: %+v, %t", m.Text, ring, ok)
	}
	chat, err := c.EnterChat(t.Context(), ring)
	if err != nil {
		t.Fatal(err)
	}
	defer chat.Close()
	want := []client.Member{{Email: "bob@example.com", Name: "Bob"}, {Email: "cat@example.com", Name: "Cat%20Doe"}}
	if !slices.Equal(chat.Present, want) || chat.Session != "11752013" {
		t.Errorf("session %s with %v, want %v", chat.Session, chat.Present, want)
	}
	if _, err := c.EnterChat(t.Context(), ring); !errors.Is(err, msnp.CodeAuthentication) {
		t.Errorf("a second time: %v", err)
	}
	board.wait(t)
	ns.wait(t)
}

func TestOpenChatWhileHidden(t *testing.T) {
	c, ns := signIn(t, `
		C: XFR 5 SB
		S: 913 5`)
	if _, err := c.OpenChat(t.Context()); !errors.Is(err, msnp.CodeHidden) {
		t.Errorf("want 913, got %v", err)
	}
	ns.wait(t)
}

func TestParseRingWantsAll(t *testing.T) {
	for _, m := range []client.Message{
		{Verb: "NLN", Args: []string{"1", "a:1", "CKI", "2", "bob@example.com", "Bob"}},
		{Verb: "RNG", Args: []string{"1", "a:1", "CKI", "2", "bob@example.com"}},
		{Verb: "RNG", Args: []string{"1", "a:1", "XYZ", "2", "bob@example.com", "Bob"}},
	} {
		if r, ok := client.ParseRing(m); ok {
			t.Errorf("%v is taken for %+v", m, r)
		}
	}
}

func TestParseMessage(t *testing.T) {
	for _, test := range []struct{ payload, contentType, body string }{
		{string(client.TextMessage("Grüß\r\n\r\nGott")), "text/plain", "Grüß\r\n\r\nGott"},
		{string(client.TypingMessage("ann@example.com")), "text/x-msmsgscontrol", "\r\n"},
		{"content-type:TEXT/Plain\r\n\r\n", "text/plain", ""},
		{"no header", "", ""},
		{"", "", ""},
	} {
		contentType, body := client.ParseMessage([]byte(test.payload))
		if contentType != test.contentType || string(body) != test.body {
			t.Errorf("%q is %q with %q", test.payload, contentType, body)
		}
	}
}
