package convergence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"

	"github.com/monarch-msn/monarch/msnp"
	"github.com/monarch-msn/monarch/msnp/client"
)

// user is one account, what holds for it by its own acknowledged commands, and
// what its client was told of everybody else.
type user struct {
	email, password string
	name            string
	lists           map[string]map[string]bool // FL, AL, BL: emails
	blpAllow        bool

	client *client.Client // nil while offline
	status string         // empty before CHG
	told   told
	log    []string
}

// told is what a client has been told.
type told struct {
	version  uint64
	presence map[string]string // email: "NLN name"; missing is offline
	reverse  map[string]bool
}

func newUser(email, password, name string) *user {
	return &user{
		email: email, password: password, name: name, blpAllow: true,
		lists: map[string]map[string]bool{"FL": {}, "AL": {}, "BL": {}},
	}
}

func (u *user) note(format string, args ...any) {
	u.log = append(u.log, fmt.Sprintf(format, args...))
}

// sees is what the observer has to be told of u: its state and name, or "" for
// offline.
func (u *user) sees(observer string) string {
	if u.client == nil || u.status == "" || u.status == "HDN" || u.lists["BL"][observer] {
		return ""
	}
	if !u.blpAllow && !u.lists["AL"][observer] {
		return ""
	}
	return u.status + " " + u.name
}

// login signs in at the address, on whatever connection was there before, and
// reads the lists.
func (u *user) login(ctx context.Context, address string) error {
	old := u.client
	c, err := client.Login(ctx, client.Options{Dispatch: address, Email: u.email, Password: u.password})
	if err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	u.note("-- login at %s", address)
	if old != nil {
		if err := displaced(ctx, old); err != nil {
			return err
		}
	}
	u.client, u.status = c, ""
	u.told = told{presence: map[string]string{}, reverse: map[string]bool{}}
	if err := u.do(ctx, "SYN", "0"); err != nil {
		return err
	}
	return u.fence(ctx)
}

// displaced reads the end of a connection whose user has logged in elsewhere.
func displaced(ctx context.Context, c *client.Client) error {
	defer c.Close()
	last := ""
	for {
		m, err := c.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read what a displaced client is told: %w", err)
		}
		last = m.Text
	}
	if last != "OUT OTH" {
		return fmt.Errorf("want a displaced client to hear OUT OTH last, got %q", last)
	}
	return nil
}

// logout ends the session, politely or not, and waits until the server has
// taken note.
func (u *user) logout(ctx context.Context, rng *rand.Rand) error {
	c := u.client
	u.client, u.status = nil, ""
	defer c.Close()
	u.note("-- logout")
	if rng.IntN(2) == 0 {
		return c.Logout(ctx)
	}
	half, ok := c.NetConn().(interface{ CloseWrite() error })
	if !ok {
		return errors.New("connection cannot be closed by half")
	}
	if err := half.CloseWrite(); err != nil {
		return err
	}
	for {
		if _, err := c.Next(ctx); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("hang up: %w", err)
		}
	}
}

// do sends a command, takes in what comes until its answer, and returns the
// code if that is an error.
func (u *user) do(ctx context.Context, verb string, args ...string) error {
	trid, err := u.client.Start(verb, args...)
	if err != nil {
		return err
	}
	u.note("> %s %d %v", verb, trid, args)
	for {
		m, err := u.next(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", verb, err)
		}
		if m.TrID() != strconv.FormatUint(uint64(trid), 10) {
			continue
		}
		if code, ok := m.Code(); ok {
			return code
		}
		if m.Verb == verb {
			return nil
		}
	}
}

// fence reads up to the answer of a PNG: what was sent before is taken in.
func (u *user) fence(ctx context.Context) error {
	if u.client == nil {
		return nil
	}
	if err := u.client.Send("PNG"); err != nil {
		return err
	}
	for {
		m, err := u.next(ctx)
		if err != nil {
			return fmt.Errorf("PNG: %w", err)
		}
		if m.Verb == "QNG" {
			return nil
		}
	}
}

func (u *user) next(ctx context.Context) (client.Message, error) {
	m, err := u.client.Next(ctx)
	if err != nil {
		return m, err
	}
	if m.Verb != "QNG" {
		u.note("< %s", m.Text)
	}
	return m, u.hear(m)
}

// hear takes in one line, and says what is wrong with it on its face.
func (u *user) hear(m client.Message) error {
	version := func(i int) error {
		v, err := strconv.ParseUint(m.Arg(i), 10, 32)
		if err != nil {
			return fmt.Errorf("%q: no version: %w", m.Text, err)
		}
		if v < u.told.version {
			return fmt.Errorf("%q: the version goes back from %d", m.Text, u.told.version)
		}
		u.told.version = v
		return nil
	}
	switch m.Verb {
	case "ILN":
		return u.online(m, m.Arg(1), m.Arg(2), m.Arg(3))
	case "NLN":
		return u.online(m, m.Arg(0), m.Arg(1), m.Arg(2))
	case "FLN":
		if u.told.presence[m.Arg(0)] == "" {
			return fmt.Errorf("%q: told twice that somebody is offline", m.Text)
		}
		delete(u.told.presence, m.Arg(0))
	case "SYN":
		return version(1)
	case "LST":
		if m.Arg(1) == "RL" && m.Arg(4) != "0" {
			u.told.reverse[m.Arg(5)] = true
		}
		return version(2)
	case "ADD", "REM":
		if m.Arg(1) == "RL" {
			if m.Verb == "ADD" == u.told.reverse[m.Arg(3)] {
				return fmt.Errorf("%q: not news", m.Text)
			}
			u.told.reverse[m.Arg(3)] = m.Verb == "ADD"
		}
		return version(2)
	case "REA", "BLP":
		return version(1)
	}
	return nil
}

func (u *user) online(m client.Message, status, email, name string) error {
	if u.status == "" {
		return fmt.Errorf("%q: told before the first CHG was answered", m.Text)
	}
	now := status + " " + name
	if u.told.presence[email] == now {
		return fmt.Errorf("%q: told twice", m.Text)
	}
	u.told.presence[email] = now
	return nil
}

// act does one thing at random.
func (u *user) act(ctx context.Context, rng *rand.Rand, w *world) error {
	other := w.users[rng.IntN(len(w.users))].email
	if u.client == nil || rng.IntN(20) == 0 {
		return u.login(ctx, w.address(rng))
	}
	if other == u.email {
		return nil
	}
	switch n := rng.IntN(20); {
	case n == 0:
		return u.logout(ctx, rng)
	case n < 7 || u.status == "":
		return u.change(ctx, states[rng.IntN(len(states))])
	case n < 9:
		return u.rename(ctx, "Name"+strconv.Itoa(rng.IntN(100)))
	case n < 10:
		return u.privacy(ctx)
	case n < 15:
		return u.toggle(ctx, "FL", other)
	default:
		return u.block(ctx, other)
	}
}

var states = []string{"NLN", "BSY", "IDL", "BRB", "AWY", "PHN", "LUN", "HDN", "NLN", "AWY"}

func (u *user) change(ctx context.Context, status string) error {
	before := u.status
	// The lines that tell of others come behind the echo.
	u.status = status
	if err := u.do(ctx, "CHG", status); err != nil {
		u.status = before
		return err
	}
	return nil
}

func (u *user) rename(ctx context.Context, name string) error {
	err := u.do(ctx, "REA", u.email, name)
	if errors.Is(err, msnp.CodeTooFast) {
		return nil
	}
	if err == nil {
		u.name = name
	}
	return err
}

func (u *user) privacy(ctx context.Context) error {
	word := "AL"
	if u.blpAllow {
		word = "BL"
	}
	err := u.do(ctx, "BLP", word)
	if err == nil {
		u.blpAllow = !u.blpAllow
	}
	return err
}

// toggle adds to a list or removes from it.
func (u *user) toggle(ctx context.Context, list, other string) error {
	if u.lists[list][other] {
		err := u.do(ctx, "REM", list, other)
		if err == nil {
			delete(u.lists[list], other)
			if list == "FL" {
				delete(u.told.presence, other)
			}
		}
		return err
	}
	err := u.do(ctx, "ADD", list, other, "x")
	if err == nil {
		u.lists[list][other] = true
	}
	return err
}

// block moves between AL, BL and neither, as clients do.
func (u *user) block(ctx context.Context, other string) error {
	switch {
	case u.lists["AL"][other]:
		if err := u.toggle(ctx, "AL", other); err != nil {
			return err
		}
		return u.toggle(ctx, "BL", other)
	case u.lists["BL"][other]:
		return u.toggle(ctx, "BL", other)
	default:
		return u.toggle(ctx, "AL", other)
	}
}
