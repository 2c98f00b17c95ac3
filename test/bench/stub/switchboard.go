package main

import (
	"io"
	"slices"
	"strconv"
	"sync"
)

// room is a conversation. All that members hear of each other is sent with mu
// held, so that they see one order.
type room struct {
	id string

	mu      sync.Mutex
	members []*member
}

type member struct {
	*account
	conn *conn
}

// maxPayload is the longest message that the protocol has.
const maxPayload = 1664

// open makes a room and returns the cookie of its founder.
func (s *server) open() (cookie string) { return s.invite(&room{id: s.number()}) }

// number returns a number that was not given before.
func (s *server) number() string { return strconv.FormatInt(s.last.Add(1)+10_000_000, 10) }

// invite returns a cookie that lets somebody into the room.
func (s *server) invite(r *room) (cookie string) {
	cookie = s.number()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rooms[cookie] = r
	return cookie
}

// enter takes a cookie back.
func (s *server) enter(cookie string) *room {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[cookie]
	delete(s.rooms, cookie)
	return r
}

// serveSwitchboard serves a client in one room.
func (s *server) serveSwitchboard(c *conn) error {
	words, err := c.next()
	if err != nil {
		return err
	}
	if len(words) < 4 {
		return errProtocol
	}
	r, a := s.enter(words[3]), s.accounts[words[2]]
	if r == nil || a == nil {
		return errProtocol
	}
	m := &member{a, c}
	r.join(m, words[0], words[1])
	defer r.leave(m)
	for {
		words, err := c.next()
		if err != nil {
			return err
		}
		switch {
		case len(words) == 0:
		case words[0] == "OUT":
			return nil
		case words[0] == "MSG" && len(words) == 4:
			if err := r.relay(m, words); err != nil {
				return err
			}
		case words[0] == "CAL" && len(words) == 3:
			s.call(r, m, words[1], words[2])
		default:
			return errProtocol
		}
	}
}

// call rings the callee.
func (s *server) call(r *room, m *member, trid, email string) {
	callee := s.accounts[email]
	if callee != nil {
		if _, c := callee.get(); c != nil {
			m.conn.say("CAL", trid, "RINGING", r.id)
			c.say("RNG", r.id, s.switchboard, "CKI", s.invite(r), m.email, m.name)
			return
		}
	}
	m.conn.say("217", trid)
}

// join makes m a member, by USR as the founder or by ANS.
func (r *room) join(m *member, verb, trid string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if verb == "USR" {
		m.conn.say("USR", trid, "OK", m.email, m.name)
	} else {
		var answer []byte
		for i, other := range r.members {
			answer = appendLine(answer, "IRO", trid, strconv.Itoa(i+1), strconv.Itoa(len(r.members)), other.email, other.name)
		}
		m.conn.send(appendLine(answer, "ANS", trid, "OK"))
		r.tell(m, appendLine(nil, "JOI", m.email, m.name))
	}
	r.members = append(r.members, m)
}

func (r *room) leave(m *member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members = slices.DeleteFunc(r.members, func(other *member) bool { return other == m })
	r.tell(m, appendLine(nil, "BYE", m.email))
}

// relay sends a message of m to the others.
func (r *room) relay(m *member, msg []string) error {
	n, err := strconv.Atoi(msg[3])
	if err != nil || n < 0 || n > maxPayload {
		return errProtocol
	}
	line := appendLine(nil, "MSG", m.email, m.name, msg[3])
	head := len(line)
	line = append(line, make([]byte, n)...)
	if _, err := io.ReadFull(m.conn.in, line[head:]); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	there := r.tell(m, line)
	switch mode := msg[2]; {
	case mode == "U":
	case !there:
		m.conn.say("NAK", msg[1])
	case mode == "A":
		m.conn.say("ACK", msg[1])
	}
	return nil
}

// tell sends a line to everybody but m, and reports whether there is anybody.
// The caller holds mu.
func (r *room) tell(m *member, line []byte) (there bool) {
	for _, other := range r.members {
		if other != m {
			other.conn.send(line)
			there = true
		}
	}
	return there
}
