package main

import (
	"bufio"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/monarch-msn/monarch/msnp"
	msn "github.com/monarch-msn/monarch/msnp/client"
)

type chatCommand struct {
	Email    emailArg `arg:"" help:"Who signs in."`
	Dispatch string   `default:"127.0.0.1:1863" placeholder:"HOST:PORT" help:"Where clients of the network connect."`
	Dialect  string   `enum:"MSNP2,MSNP3,MSNP4,MSNP5,MSNP6,MSNP7" default:"MSNP7" help:"The protocol to speak: ${enum}."`
}

const chatHelp = `Type what you want to say, or
  /call EMAIL     call somebody into the conversation, or into a new one
  /answer         enter the conversation that called last
  /typing         tell the others that you are typing
  /leave          leave the conversation
  /add EMAIL      put somebody on your list
  /status STATE   NLN, BSY, IDL, BRB, AWY, PHN, LUN or HDN
  /quit`

// Run signs a user in and talks, on a terminal or with lines from anywhere. The
// password is asked for on a terminal, and else the first line.
func (c *chatCommand) Run(ctx context.Context, a *app) error {
	input := bufio.NewScanner(a.in)
	var password string
	if f, ok := terminal(a.in); ok {
		var err error
		if password, err = a.askPassword(ctx, f, string(c.Email)); err != nil {
			return err
		}
	} else if input.Scan() {
		password = input.Text()
	}
	if password == "" {
		return usageError{errors.New("the password, which is the first line of standard input, is empty")}
	}
	bounded, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	session, err := c.signIn(bounded, password)
	if err != nil {
		return err
	}
	t := &talk{app: a, session: session, events: make(chan func() error), stop: make(chan struct{})}
	defer t.end()
	return t.run(ctx, input)
}

// loginTimeout bounds a login with the reading of the lists. A network that is
// busy lets a login wait for some seconds.
const loginTimeout = 15 * time.Second

// signIn logs the user in and reads the lists.
func (c *chatCommand) signIn(ctx context.Context, password string) (*msn.Client, error) {
	var addr string // of the server that is spoken to
	session, err := msn.Login(ctx, msn.Options{
		Dispatch: c.Dispatch, Email: string(c.Email), Password: password, Dialects: []string{c.Dialect, msnp.CVR0},
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			addr = address
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	})
	if errors.Is(err, msnp.CodeAuthentication) {
		return nil, fmt.Errorf("sign %s in: no such account, or a wrong password", c.Email)
	}
	if err != nil {
		return nil, unanswered(ctx, addr, err)
	}
	if _, err := session.Sync(ctx, 0); err != nil {
		session.Close()
		return nil, unanswered(ctx, addr, fmt.Errorf("read the lists: %w", err))
	}
	return session, nil
}

// unanswered says instead of err that the user broke off what was under way
// with a server, or that it ran out of time.
func unanswered(ctx context.Context, addr string, err error) error {
	var timeout net.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return errInterrupted
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%s does not answer", addr)
	}
	return err
}

// talk is a user at a terminal. What happens comes as events, one at a time, to
// the goroutine of run; others read, and touch nothing.
type talk struct {
	*app
	session *msn.Client
	chat    *msn.Chat // nil while in none
	ring    *msn.Ring // the last that was not answered
	calling string    // who is to be called once there is a chat

	events  chan func() error
	stop    chan struct{} // closed at the end
	reading sync.WaitGroup
}

// errQuit ends a talk in good order.
var errQuit = errors.New("quit")

func (t *talk) run(ctx context.Context, input *bufio.Scanner) error {
	if _, err := t.session.Start("CHG", "NLN"); err != nil {
		return err
	}
	t.show("signed in as %s (%s), %s", t.session.Name.Decode(), t.session.Email, t.session.Dialect)
	t.show("%s", chatHelp)
	t.read(func() (msn.Message, error) { return t.session.Next(ctx) }, func(m msn.Message, err error) error {
		return t.hear(ctx, m, err)
	})
	// Nothing interrupts a read from a terminal: this goroutine is left to the
	// end of the process, which follows at once.
	go func() {
		for input.Scan() {
			line := input.Text()
			if !t.happen(func() error { return t.say(ctx, line) }) {
				return
			}
		}
		t.happen(func() error { return errQuit })
	}()
	for {
		select {
		case event := <-t.events:
			err := event()
			switch {
			case errors.Is(err, errQuit):
				return nil
			case ctx.Err() != nil:
				return errInterrupted
			case err != nil:
				return err
			}
		case <-ctx.Done():
			return errInterrupted
		}
	}
}

// end hangs up and waits for the readers.
func (t *talk) end() {
	close(t.stop)
	if t.chat != nil {
		_ = t.chat.Send("OUT") // it is about to be closed anyhow
		t.chat.Close()
	}
	_ = t.session.Send("OUT")
	t.session.Close()
	t.reading.Wait()
}

// happen hands an event over. It returns false at the end of the talk.
func (t *talk) happen(event func() error) bool {
	select {
	case t.events <- event:
		return true
	case <-t.stop:
		return false
	}
}

// read makes events of the messages of a connection, until it ends.
func (t *talk) read(next func() (msn.Message, error), hear func(msn.Message, error) error) {
	t.reading.Go(func() {
		for {
			m, err := next()
			if !t.happen(func() error { return hear(m, err) }) || err != nil {
				return
			}
		}
	})
}

// show prints what the network may have sent, without what would move the
// cursor.
func (t *talk) show(format string, args ...any) {
	for line := range strings.SplitSeq(fmt.Sprintf(format, args...), "\n") {
		fmt.Fprintln(t.out, printable(strings.TrimSuffix(line, "\r")))
	}
}

// hear takes in a line of the notification server.
func (t *talk) hear(ctx context.Context, m msn.Message, err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the server has closed the connection")
	}
	if err != nil {
		return err
	}
	if code, ok := m.Code(); ok {
		t.calling = ""
		t.show("* refused: %v", code)
		return nil
	}
	switch m.Verb {
	case "ILN":
		t.show("* %s is %s", m.Arg(2), m.Arg(1))
	case "NLN":
		t.show("* %s is %s", m.Arg(1), m.Arg(0))
	case "FLN":
		t.show("* %s is offline", m.Arg(0))
	case "CHG":
		t.show("* you are %s", m.Arg(1))
	case "ADD":
		if m.TrID() == "0" {
			t.show("* %s has put you on a list", m.Arg(3))
		} else {
			t.show("* %s is on your list", m.Arg(3))
		}
	case "OUT":
		if m.Arg(0) == "OTH" {
			return errors.New("signed in elsewhere")
		}
	case "MSG":
		if minutes := systemMinutes(m.Payload); minutes != "" {
			t.show("* the network goes down in %s minutes", minutes)
		}
	case "NOT":
		if text := alertText(m.Payload); text != "" {
			t.show("* announcement: %s", text)
		}
	case "RNG":
		if ring, ok := msn.ParseRing(m); ok {
			t.ring = &ring
			t.show("* %s (%s) calls: /answer to talk", ring.Caller.Name.Decode(), ring.Caller.Email)
		}
	case "XFR":
		// The events come one at a time, so reading goes on meanwhile.
		bounded, cancel := context.WithTimeout(ctx, msn.WriteTimeout)
		defer cancel()
		chat, err := t.session.BeginChat(bounded, m.Arg(2), m.Arg(4))
		if err != nil {
			t.calling = ""
			return t.failed(unanswered(bounded, m.Arg(2), err))
		}
		t.enter(chat)
		callee := t.calling
		t.calling = ""
		return t.call(callee)
	}
	return nil
}

// systemMinutes reads the system message, which says in how many minutes the
// network goes down. Other messages give "".
func systemMinutes(payload []byte) string {
	kind, body := msn.ParseMessage(payload)
	if kind != "application/x-msmsgssystemmessage" {
		return ""
	}
	for line := range strings.Lines(string(body)) {
		if minutes, ok := strings.CutPrefix(line, "Arg1: "); ok {
			return strings.TrimSpace(minutes)
		}
	}
	return ""
}

// alertText reads the text of an alert, or "" if there is none.
func alertText(payload []byte) string {
	var alert struct {
		Text string `xml:"MSG>BODY>TEXT"`
	}
	if xml.Unmarshal(payload, &alert) != nil {
		return "" // An alert of another network.
	}
	return alert.Text
}

// failed shows what did not work, which ends nothing but if the user said so.
func (t *talk) failed(err error) error {
	if errors.Is(err, errInterrupted) {
		return err
	}
	if err != nil {
		t.show("* %v", err)
	}
	return nil
}

// enter makes the chat the one in which the user talks.
func (t *talk) enter(chat *msn.Chat) {
	t.leave()
	t.chat = chat
	t.read(func() (msn.Message, error) { return chat.Next(context.Background()) }, func(m msn.Message, err error) error {
		if t.chat == chat {
			t.hearChat(m, err)
		}
		return nil
	})
}

func (t *talk) leave() {
	if t.chat == nil {
		return
	}
	_ = t.chat.Send("OUT") // it is about to be closed anyhow
	t.chat.Close()
	t.chat = nil
}

// hearChat takes in a line of the switchboard.
func (t *talk) hearChat(m msn.Message, err error) {
	if err != nil {
		t.leave()
		t.show("* the conversation is over")
		return
	}
	if code, ok := m.Code(); ok {
		t.show("* refused: %v", code)
		return
	}
	switch m.Verb {
	case "CAL":
		t.show("* it rings")
	case "JOI":
		t.show("* %s (%s) is here", msnp.Nick(m.Arg(1)).Decode(), m.Arg(0))
	case "BYE":
		t.show("* %s has left", m.Arg(0))
	case "NAK":
		t.show("* not everybody has heard that")
	case "MSG":
		name := msnp.Nick(m.Arg(1)).Decode()
		switch kind, body := msn.ParseMessage(m.Payload); kind {
		case "text/plain":
			t.show("%s: %s", name, body)
		case "text/x-msmsgscontrol":
			t.show("* %s is typing", name)
		default:
			t.show("* %s sends %s, which cannot be shown here", name, kind)
		}
	}
}

// say does what a line of the user's asks for.
func (t *talk) say(ctx context.Context, line string) error {
	command, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
	arg = strings.TrimSpace(arg)
	if err := checkArgument(command, arg); err != nil {
		return t.failed(err)
	}
	switch command {
	case "":
		return nil
	case "/call":
		if t.chat != nil {
			return t.call(arg)
		}
		t.calling = arg
		_, err := t.session.Start("XFR", "SB")
		return err
	case "/answer":
		if t.ring == nil {
			return t.failed(errors.New("nobody calls"))
		}
		ring := *t.ring
		t.ring = nil
		bounded, cancel := context.WithTimeout(ctx, msn.WriteTimeout)
		defer cancel()
		chat, err := t.session.EnterChat(bounded, ring)
		if err != nil {
			return t.failed(unanswered(bounded, ring.Address, err))
		}
		t.enter(chat)
		for _, m := range chat.Present {
			t.show("* %s (%s) is here", m.Name.Decode(), m.Email)
		}
		return nil
	case "/leave":
		t.leave()
		t.show("* you have left")
		return nil
	case "/add":
		_, err := t.session.Start("ADD", "FL", arg, arg)
		return err
	case "/status":
		_, err := t.session.Start("CHG", strings.ToUpper(arg))
		return err
	case "/quit":
		return errQuit
	}
	switch {
	case strings.HasPrefix(command, "/") && command != "/typing":
		t.show("%s", chatHelp)
		return nil
	case t.chat == nil:
		return t.failed(errors.New("you talk to nobody: /call somebody"))
	case command == "/typing":
		_, err := t.chat.Write("U", msn.TypingMessage(t.chat.Email))
		return t.failed(err)
	}
	_, err := t.chat.Write("N", msn.TextMessage(line))
	return t.failed(err)
}

// checkArgument keeps from the server what it would answer with a hang-up: a
// command that lacks its argument, or has a word that is none.
func checkArgument(command, arg string) error {
	switch command {
	case "/call", "/add":
		if arg == "" {
			return fmt.Errorf("%s whom? An email address is wanted", command)
		}
		if _, err := msnp.ParseEmail([]byte(arg)); err != nil {
			return fmt.Errorf("%q is not an email address", arg)
		}
	case "/status":
		if status, ok := msnp.ParseStatus([]byte(strings.ToUpper(arg))); !ok || status == msnp.FLN {
			return errors.New("/status is followed by NLN, BSY, IDL, BRB, AWY, PHN, LUN or HDN")
		}
	}
	return nil
}

// call rings somebody. What comes of it is heard.
func (t *talk) call(email string) error {
	if email == "" {
		return nil
	}
	_, err := t.chat.Start("CAL", email)
	return t.failed(err)
}
