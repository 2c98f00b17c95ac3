package client

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/monarch-msn/monarch/msnp"
)

// DefaultDialects is what the official client of MSNP7 offers.
var DefaultDialects = []string{"MSNP7", "MSNP6", "MSNP5", "MSNP4", msnp.CVR0}

// ErrNoDialect is a login at a server that speaks none of the dialects.
var ErrNoDialect = errors.New("no dialect in common")

// maxReferrals ends a login that is sent from server to server.
const maxReferrals = 8

// Options say who logs in, and how.
type Options struct {
	Dispatch string // host:port of a dispatch server, or of a notification server directly
	Email    string
	Password string

	Dialects []string // offered in this order; nil means DefaultDialects
	SkipINF  bool     // leave INF out, as many bots do
	TrIDBase uint32   // sent last before this session: the first id is one more

	// Product answers CHL; "" means msnp.DefaultProduct. With
	// IgnoreChallenges set nobody does.
	Product          string
	IgnoreChallenges bool

	// Dial opens connections; nil means net.Dialer's DialContext.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// A Client is a connection that has logged in at a notification server. CHL is
// answered as it is read, and returned all the same, and so is the QRY that
// confirms the answer.
type Client struct {
	Dialogue
	Email     string        // as the server spells it
	Name      msnp.Nick     // the user's own name at login
	Verified  bool          // what USR OK said; false before MSNP6
	Dialect   *msnp.Dialect // negotiated with the notification server
	Profile   []byte        // payload of the message behind USR OK
	Referrals []string      // addresses that XFR named, in order

	opt Options
}

// Login signs in. It follows referrals on new connections, counting
// transaction ids on, and returns once the profile message is there. A refusal
// is an error that wraps its msnp.Code.
func Login(ctx context.Context, o Options) (*Client, error) {
	c := &Client{opt: o}
	c.trid.Store(o.TrIDBase)
	c.hear = c.answerChallenge
	if c.opt.Dial == nil {
		c.opt.Dial = new(net.Dialer).DialContext
	}
	if c.opt.Dialects == nil {
		c.opt.Dialects = DefaultDialects
	}
	if c.opt.Product == "" {
		c.opt.Product = msnp.DefaultProduct
	}
	addr := o.Dispatch
	for range maxReferrals {
		next, err := c.login(ctx, addr)
		if err != nil {
			return nil, fmt.Errorf("log %s in at %s: %w", o.Email, addr, err)
		}
		if next == "" {
			return c, nil
		}
		c.Referrals = append(c.Referrals, next)
		addr = next
	}
	return nil, fmt.Errorf("log %s in at %s: more than %d referrals", o.Email, o.Dispatch, maxReferrals)
}

// login talks to one server. It returns the address of another if it is sent
// there; otherwise, without an error, c is logged in.
func (c *Client) login(ctx context.Context, addr string) (next string, err error) {
	conn, err := dial(ctx, c.opt.Dial, addr)
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil || next != "" {
			conn.Close()
		}
	}()
	c.Conn, c.held = conn, nil

	m, err := c.Do(ctx, "VER", c.opt.Dialects...)
	if err != nil {
		return "", err
	}
	var ok bool
	if c.Dialect, ok = msnp.DialectByName(m.Arg(1)); !ok {
		return "", fmt.Errorf("%w: %q", ErrNoDialect, m.Text)
	}
	if !c.opt.SkipINF {
		if m, err = c.Do(ctx, "INF"); err != nil {
			return "", err
		}
		if m.Arg(1) != "MD5" {
			return "", unexpected("INF", m)
		}
	}
	if m, err = c.Do(ctx, "USR", "MD5", "I", c.opt.Email); err != nil {
		return "", err
	}
	switch {
	case m.Verb == "XFR" && m.Arg(1) == "NS" && m.Arg(2) != "":
		return m.Arg(2), nil
	case m.Verb != "USR" || m.Arg(1) != "MD5" || m.Arg(2) != "S" || m.Arg(3) == "":
		return "", unexpected("USR", m)
	}
	sum := msnp.Respond(m.Arg(3), c.opt.Password)
	if m, err = c.Do(ctx, "USR", "MD5", "S", hex.EncodeToString(sum[:])); err != nil {
		return "", err
	}
	if m.Verb != "USR" || m.Arg(1) != "OK" || m.Arg(3) == "" {
		return "", unexpected("USR", m)
	}
	c.Email, c.Name, c.Verified = m.Arg(2), msnp.Nick(m.Arg(3)), m.Arg(4) == "1"
	if m, err = c.Next(ctx); err != nil {
		return "", err
	}
	if m.Verb != "MSG" {
		return "", unexpected("USR", m)
	}
	c.Profile = m.Payload
	return "", nil
}

func unexpected(verb string, m Message) error {
	return fmt.Errorf("answer to %s: %q", verb, m.Text)
}

// Sync sends SYN with the version that the client has, and returns all lines
// of the answer: one if that version is the present one.
func (c *Client) Sync(ctx context.Context, version uint32) ([]Message, error) {
	m, err := c.Do(ctx, "SYN", strconv.FormatUint(uint64(version), 10))
	if err != nil {
		return nil, err
	}
	block := []Message{m}
	if m.Arg(1) == strconv.FormatUint(uint64(version), 10) {
		return block, nil
	}
	trid := m.TrID()
	for {
		m, err := c.await(ctx, func(m Message) bool { return m.TrID() == trid || m.Verb == "BPR" })
		if err != nil {
			return block, err
		}
		block = append(block, m)
		// There is no end mark: the block ends with the last entry of the
		// reverse list.
		if m.Verb == "LST" && m.Arg(1) == "RL" && m.Arg(3) == m.Arg(4) {
			return block, nil
		}
	}
}

// answerChallenge is told of each message.
func (c *Client) answerChallenge(m Message) error {
	if m.Verb != "CHL" || c.opt.IgnoreChallenges {
		return nil
	}
	return c.Answer(m.Arg(1))
}

// Answer answers a challenge of CHL with the client's product.
func (c *Client) Answer(challenge string) error {
	sum, ok := msnp.RespondClient(challenge, c.opt.Product)
	if !ok {
		return fmt.Errorf("answer challenge: unknown product %q", c.opt.Product)
	}
	line := fmt.Sprintf("QRY %d %s", c.NextTrID(), c.opt.Product)
	return c.SendPayload(line, []byte(hex.EncodeToString(sum[:])))
}
