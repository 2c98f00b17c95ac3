package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/monarch-msn/monarch/msnp"
)

// ErrNotDelivered is a message that did not reach every other member of a chat,
// or that nobody was there to get: NAK.
var ErrNotDelivered = errors.New("not delivered")

// A Chat is a connection to a switchboard, in a conversation. Who enters and
// leaves and what is said comes by Next: JOI, BYE, MSG.
type Chat struct {
	Dialogue
	Email   string    // of the user, as the server spells it
	Name    msnp.Nick // shown to the others; unknown to who was called
	Session string    // number of the conversation; unknown until somebody is called
	Present []Member  // the others who were there at the time of entering
}

// A Member is somebody in a chat.
type Member struct {
	Email string
	Name  msnp.Nick
}

// A Ring is a call to a chat: RNG.
type Ring struct {
	Session string
	Address string // host:port of the switchboard
	Cookie  string // lets the user in, once
	Caller  Member
}

// ParseRing reads a RNG; ok tells whether m is one.
func ParseRing(m Message) (r Ring, ok bool) {
	if m.Verb != "RNG" || len(m.Args) < 6 || m.Arg(2) != "CKI" {
		return Ring{}, false
	}
	return Ring{
		Session: m.Arg(0), Address: m.Arg(1), Cookie: m.Arg(3),
		Caller: Member{m.Arg(4), msnp.Nick(m.Arg(5))},
	}, true
}

// OpenChat asks for a switchboard and begins a conversation there. A refusal
// is an error that wraps its msnp.Code: 913 of a user who hides.
func (c *Client) OpenChat(ctx context.Context) (*Chat, error) {
	m, err := c.Do(ctx, "XFR", "SB")
	if err != nil {
		return nil, fmt.Errorf("ask for a switchboard: %w", err)
	}
	if m.Verb != "XFR" || m.Arg(1) != "SB" || m.Arg(3) != "CKI" || m.Arg(4) == "" {
		return nil, fmt.Errorf("ask for a switchboard: %w", unexpected("XFR", m))
	}
	return c.BeginChat(ctx, m.Arg(2), m.Arg(4))
}

// BeginChat begins a conversation with a ticket, at the switchboard that came
// with it in the answer to XFR. Like EnterChat it does not touch the connection
// of c, so it may be called while another goroutine reads from that.
func (c *Client) BeginChat(ctx context.Context, addr, ticket string) (*Chat, error) {
	return c.dialChat(ctx, addr, func(chat *Chat) error {
		reply, err := chat.Do(ctx, "USR", c.Email, ticket)
		if err != nil {
			return err
		}
		if reply.Verb != "USR" || reply.Arg(1) != "OK" {
			return unexpected("USR", reply)
		}
		chat.Name = msnp.Nick(reply.Arg(3))
		return nil
	})
}

// EnterChat answers a call. A call that is over is an error that wraps
// msnp.CodeAuthentication.
func (c *Client) EnterChat(ctx context.Context, r Ring) (*Chat, error) {
	return c.dialChat(ctx, r.Address, func(chat *Chat) error {
		chat.Session = r.Session
		m, err := chat.Do(ctx, "ANS", c.Email, r.Cookie, r.Session)
		for ; err == nil && m.Verb == "IRO"; m, err = chat.Next(ctx) {
			chat.Present = append(chat.Present, Member{m.Arg(3), msnp.Nick(m.Arg(4))})
		}
		if err != nil {
			return err
		}
		if m.Verb != "ANS" || m.Arg(1) != "OK" {
			return unexpected("ANS", m)
		}
		return nil
	})
}

// dialChat connects to a switchboard and enters.
func (c *Client) dialChat(ctx context.Context, addr string, enter func(*Chat) error) (*Chat, error) {
	conn, err := dial(ctx, c.opt.Dial, addr)
	if err != nil {
		return nil, fmt.Errorf("open a chat: %w", err)
	}
	chat := &Chat{Dialogue: Dialogue{Conn: conn}, Email: c.Email}
	if err := enter(chat); err != nil {
		conn.Close()
		return nil, fmt.Errorf("enter a chat at %s: %w", addr, err)
	}
	return chat, nil
}

// Call invites a user. It returns once the user's client rings; that the user
// comes is told by a JOI. Somebody who cannot be called is an error that wraps
// msnp.CodeNotOnline, whatever the reason.
func (c *Chat) Call(ctx context.Context, email string) error {
	m, err := c.Do(ctx, "CAL", email)
	if err != nil {
		return fmt.Errorf("call %s: %w", email, err)
	}
	if m.Verb != "CAL" || m.Arg(1) != "RINGING" {
		return unexpected("CAL", m)
	}
	c.Session = m.Arg(2)
	return nil
}

// Write sends a message of mode U, N or A with any payload, and awaits nothing.
// It returns the transaction id, by which ACK and NAK are known.
func (c *Chat) Write(mode string, payload []byte) (trid uint32, err error) {
	trid = c.NextTrID()
	return trid, c.SendPayload("MSG "+strconv.FormatUint(uint64(trid), 10)+" "+mode, payload)
}

// Deliver sends a message of mode A and awaits that every other member has it.
// ErrNotDelivered says that somebody does not, or that nobody is there.
func (c *Chat) Deliver(ctx context.Context, payload []byte) error {
	trid, err := c.Write("A", payload)
	if err != nil {
		return err
	}
	m, err := c.await(ctx, func(m Message) bool { return m.TrID() == strconv.FormatUint(uint64(trid), 10) })
	switch {
	case err != nil:
		return err
	case m.Verb == "NAK":
		return ErrNotDelivered
	case m.Verb != "ACK":
		return unexpected("MSG", m)
	}
	return nil
}

// TextMessage is the payload of what somebody says, in the form of official
// clients.
func TextMessage(text string) []byte {
	return []byte("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n" +
		"X-MMS-IM-Format: FN=MS%20Sans%20Serif; EF=; CO=0; CS=0; PF=0\r\n\r\n" + text)
}

// TypingMessage is the payload of the notice that the user is typing. It is sent
// in mode U, every five seconds.
func TypingMessage(email string) []byte {
	return []byte("MIME-Version: 1.0\r\nContent-Type: text/x-msmsgscontrol\r\nTypingUser: " + email + "\r\n\r\n\r\n")
}

// ParseMessage splits a payload into its content type, without parameters and in
// lower case, and its body.
func ParseMessage(payload []byte) (contentType string, body []byte) {
	header, body, _ := bytes.Cut(payload, []byte("\r\n\r\n"))
	for line := range strings.SplitSeq(string(header), "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "Content-Type") {
			value, _, _ = strings.Cut(value, ";")
			contentType = strings.ToLower(strings.TrimSpace(value))
		}
	}
	return contentType, body
}
