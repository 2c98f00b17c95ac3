package load

import (
	"context"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"math/bits"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what a run may be asked for.
const (
	MaxRoom     = 64 // members; who has a message is a word with a bit for each
	MaxPipeline = 64
	MinMessage  = len(messageHead) + stampSize
	MaxMessage  = 1664 // the most that a switchboard takes
)

// A message is text as clients send it, so that nothing on the way has a reason
// to treat it otherwise. Its body begins with a stamp in hexadecimal digits:
// room, sender, slot, number and checksum of all the rest.
const (
	messageHead = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\n"
	stampSize   = 8 + 2 + 2 + 8 + 8
	sumAt       = len(messageHead) + stampSize - 8
)

// stamp says which message a payload is.
type stamp struct {
	room   uint32
	sender uint8
	slot   uint8
	seq    uint32
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendMessage appends a payload of a size.
func appendMessage(b []byte, s stamp, size int) []byte {
	from := len(b)
	b = append(b, messageHead...)
	b = hex.AppendEncode(b, []byte{
		byte(s.room >> 24), byte(s.room >> 16), byte(s.room >> 8), byte(s.room), s.sender, s.slot,
		byte(s.seq >> 24), byte(s.seq >> 16), byte(s.seq >> 8), byte(s.seq),
	})
	b = append(b, "--------"...)
	for i := len(b) - from; i < size; i++ {
		b = append(b, 'a'+byte((uint32(i)+s.seq)%26))
	}
	sum := checksum(b[from:])
	hex.Encode(b[from+sumAt:], []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
	return b
}

// checksum is of a payload without its checksum.
func checksum(p []byte) uint32 {
	return crc32.Update(crc32.Checksum(p[:sumAt], castagnoli), castagnoli, p[sumAt+8:])
}

// parseMessage reads the stamp of a payload that is as it was sent.
func parseMessage(p []byte) (s stamp, ok bool) {
	if len(p) < MinMessage || string(p[:len(messageHead)]) != messageHead {
		return stamp{}, false
	}
	var b [stampSize / 2]byte
	if _, err := hex.Decode(b[:], p[len(messageHead):MinMessage]); err != nil {
		return stamp{}, false
	}
	word := func(b []byte) uint32 {
		return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	}
	if word(b[10:]) != checksum(p) {
		return stamp{}, false
	}
	return stamp{room: word(b[0:]), sender: b[4], slot: b[5], seq: word(b[6:])}, true
}

// room is a conversation on a switchboard.
type room struct {
	run     *run
	id      uint32
	members []*member
	// missing counts members who have not met all the others yet.
	missing atomic.Int32
	failed  atomic.Bool // some member is not there, or no longer
	opening *pacer
	talking *pacer
}

// member is a client in a room.
type member struct {
	room   *room
	index  int
	client *client

	mu    sync.Mutex
	conn  *conn // nil while not in the room
	out   []byte
	sent  uint32              // number of the last message
	given map[uint32]struct{} // messages that were given up

	slots []slot
	// heard is the highest number of each member, as this one's reader knows.
	heard []uint32
}

// slot is room for a message that is under way.
type slot struct {
	member     *member
	index      int
	seq        atomic.Uint32
	due, begun atomic.Int64
	// has has a bit for each member who has the message, and for the sender
	// once it is acknowledged. It is over with all bits set.
	has atomic.Uint64
}

// all has the bits of all members.
func (r *room) all() uint64 { return 1<<len(r.members) - 1 }

// ticket is the right to enter a switchboard, from XFR or RNG.
type ticket struct{ addr, cookie, session string }

func (r *run) prepareChat(ctx context.Context) ([]*pacer, error) {
	if err := r.bringUp(ctx, r.clients); err != nil {
		return nil, err
	}
	if err := r.openRooms(ctx, r.clients); err != nil {
		return nil, err
	}
	r.worked = []*tally{r.messages}
	return []*pacer{r.messagePacer(r.cfg.Rate, r.cfg.UnderWay)}, nil
}

// openRooms puts clients into rooms, in their order.
func (r *run) openRooms(ctx context.Context, clients []*client) error {
	opening := newPacer(r.messages, 0, r.cfg.LoginsUnderWay, nil)
	var up []*client
	for _, c := range clients {
		if c.steady.Load() {
			up = append(up, c)
		}
	}
	for group := range slices.Chunk(up, r.cfg.RoomSize) {
		if len(group) < r.cfg.RoomSize {
			break
		}
		m := &room{run: r, id: uint32(len(r.rooms)), opening: opening}
		m.missing.Store(int32(len(group)))
		for i, c := range group {
			one := &member{room: m, index: i, client: c, heard: make([]uint32, len(group))}
			one.slots = make([]slot, r.cfg.Pipeline)
			for k := range one.slots {
				one.slots[k].member, one.slots[k].index = one, k
				one.slots[k].has.Store(1<<len(group) - 1)
			}
			m.members = append(m.members, one)
			c.mu.Lock()
			c.member = one
			c.ticket = make(chan ticket, 1)
			c.mu.Unlock()
		}
		r.rooms = append(r.rooms, m)
		opening.push(m)
	}
	if len(r.rooms) == 0 {
		return fmt.Errorf("%w: %d are online, a room has %d", ErrNobody, len(up), r.cfg.RoomSize)
	}
	r.talk.Store(&r.rooms)
	opening.fill()
	if err := opening.exhaust(ctx); err != nil {
		return err
	}
	for _, m := range r.rooms {
		if !m.failed.Load() {
			return nil
		}
	}
	return fmt.Errorf("%w: no room could be opened: %s", ErrNobody, r.faults.most())
}

// messagePacer lets members speak.
func (r *run) messagePacer(rate float64, underWay int) *pacer {
	p := newPacer(r.messages, rate, underWay, nil)
	// Rooms first, so that few messages at a time are in as many of them.
	for k := range r.cfg.Pipeline {
		for i := range r.cfg.RoomSize {
			for _, m := range r.rooms {
				if !m.failed.Load() {
					m.talking = p
					p.push(&m.members[i].slots[k])
				}
			}
		}
	}
	return p
}

// begin opens the room: its first member asks for a switchboard and calls the
// others, who come as they are rung.
func (m *room) begin(int64) bool {
	m.run.connections.Go(func() { m.members[0].open() })
	return true
}

// fail takes the room out.
func (m *room) fail(kind string) {
	if m.failed.Swap(true) {
		return
	}
	m.run.faults.error(kind, 1)
	if m.missing.Swap(-1) > 0 {
		m.opening.dropped()
	}
}

// complete is told that a member has met all the others.
func (m *room) complete() {
	if m.missing.Add(-1) == 0 {
		m.opening.dropped()
	}
}

// called answers RNG session address CKI cookie handle friendly.
func (c *client) called(f fields) {
	c.mu.Lock()
	m := c.member
	c.mu.Unlock()
	if m == nil || string(f[5]) != m.room.members[0].client.email {
		return // Somebody from outside calls.
	}
	t := ticket{addr: string(f[2]), cookie: string(f[4]), session: string(f[1])}
	c.run.connections.Go(func() {
		m.enter(t.addr, func(conn *conn) error {
			if err := m.say(conn, "ANS 1 "+c.email+" "+t.cookie+" "+t.session+"\r\n"); err != nil {
				return err
			}
			return m.meet(conn)
		})
	})
}

// referred takes in XFR TrID SB address CKI cookie.
func (c *client) referred(f fields) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ticket == nil || string(f[2]) != "SB" {
		return
	}
	select {
	case c.ticket <- ticket{addr: string(f[3]), cookie: string(f[5])}:
	default:
	}
}

// open has the first member begin the conversation.
func (m *member) open() {
	c := m.client
	c.mu.Lock()
	err := c.send(func(b []byte) []byte {
		b = strconv.AppendUint(append(b, "XFR "...), uint64(c.nextTrID()), 10)
		return append(b, " SB\r\n"...)
	})
	c.mu.Unlock()
	if err != nil {
		m.room.fail("room: " + reason(err))
		return
	}
	late := time.NewTimer(m.room.run.cfg.LoginDeadline)
	defer late.Stop()
	var t ticket
	select {
	case t = <-c.ticket:
	case <-late.C:
	}
	if t.addr == "" {
		m.room.fail("room: no switchboard")
		return
	}
	m.enter(t.addr, func(conn *conn) error {
		if err := m.say(conn, "USR 1 "+c.email+" "+t.cookie+"\r\n"); err != nil {
			return err
		}
		line, _, err := conn.next()
		if err != nil {
			return err
		}
		if f := split(line); string(f[0]) != "USR" || string(f[2]) != "OK" {
			return answer(f)
		}
		for i, other := range m.room.members[1:] {
			if err := m.say(conn, "CAL "+strconv.Itoa(i+2)+" "+other.client.email+"\r\n"); err != nil {
				return err
			}
		}
		return m.meet(conn)
	})
}

func answer(f fields) error {
	if len(f[0]) == 3 && f[0][0] <= '9' {
		return codeError(f[0])
	}
	return f.unexpected()
}

func (m *member) say(conn *conn, command string) error {
	_, err := conn.nc.Write([]byte(command))
	return err
}

// enter connects to the switchboard, comes in, and stays until the end.
func (m *member) enter(addr string, come func(*conn) error) {
	r := m.room.run
	ctx, cancel := context.WithTimeout(context.Background(), r.cfg.LoginDeadline)
	conn, err := r.dialer.dial(ctx, m.client, addr)
	cancel()
	if err == nil {
		_ = conn.nc.SetDeadline(time.Now().Add(r.cfg.LoginDeadline))
		if err = come(conn); err == nil {
			_ = conn.nc.SetDeadline(time.Time{})
			m.mu.Lock()
			m.conn = conn
			m.mu.Unlock()
			m.room.complete()
			err = m.listen(conn)
		}
		m.mu.Lock()
		m.conn = nil
		m.mu.Unlock()
		conn.close()
		conn.drop()
	}
	if !r.leaving.Load() {
		m.room.fail("room: " + reason(err))
	}
}

// meet reads until all other members are there.
func (m *member) meet(conn *conn) error {
	rest, entered := len(m.room.members)-1, m.index == 0
	for rest > 0 || !entered {
		line, payload, err := conn.next()
		if err != nil {
			return err
		}
		f := split(line)
		switch string(f[0]) {
		case "IRO", "JOI":
			rest--
		case "ANS":
			entered = true
		case "CAL":
		case "MSG":
			m.hear(f, payload, conn.at)
		default:
			return answer(f)
		}
	}
	return nil
}

// listen takes in what comes until the connection ends.
func (m *member) listen(conn *conn) error {
	for {
		line, payload, err := conn.next()
		if err != nil {
			return err
		}
		f := split(line)
		switch string(f[0]) {
		case "MSG":
			m.hear(f, payload, conn.at)
		case "ACK":
			m.acknowledged(f[1], conn.at)
		case "NAK":
			m.refused(f[1], conn.at)
		case "BYE":
			if !m.room.run.leaving.Load() {
				m.room.fail("room: BYE")
			}
		case "CAL", "JOI":
		default:
			return answer(f)
		}
	}
}

// begin sends a message.
func (s *slot) begin(due int64) bool {
	m := s.member
	r := m.room.run
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conn == nil || m.room.failed.Load() {
		return false
	}
	m.sent++
	seq := m.sent
	s.due.Store(due)
	s.begun.Store(r.now())
	s.seq.Store(seq)
	own := uint64(0)
	if r.cfg.Ack != "A" {
		own = 1 << m.index
	}
	s.has.Store(own)
	b := strconv.AppendUint(append(m.out[:0], "MSG "...), uint64(s.trid()), 10)
	b = append(append(append(b, ' '), r.cfg.Ack...), ' ')
	b = append(strconv.AppendInt(b, int64(r.cfg.MessageBytes), 10), "\r\n"...)
	m.out = appendMessage(b, stamp{m.room.id, uint8(m.index), uint8(s.index), seq}, r.cfg.MessageBytes)
	if _, err := m.conn.nc.Write(m.out); err != nil {
		s.has.Store(m.room.all())
		return false
	}
	return true
}

// trid tells the slot and the message. It repeats after some millions of
// messages, of which none is under way any more.
func (s *slot) trid() uint32 { return s.seq.Load()*MaxPipeline + uint32(s.index) }

// by finds the slot of a transaction.
func (m *member) by(trid []byte) *slot {
	n, ok := number(trid)
	if i := int(n % MaxPipeline); ok && i < len(m.slots) && m.slots[i].trid() == n {
		return &m.slots[i]
	}
	return nil
}

// has notes that a member has the message. It returns false if that was known.
func (s *slot) reached(index int, at int64) bool {
	bit, all := uint64(1)<<index, s.member.room.all()
	due := s.due.Load()
	old := s.has.Or(bit)
	if old&bit != 0 {
		return false
	}
	t := s.member.room.run.messages
	if index != s.member.index {
		t.delivered(due, at)
	}
	if old|bit == all {
		t.done(due, at)
		s.member.room.talking.done(s)
	}
	return true
}

// hear takes in MSG handle friendly length and its payload.
func (m *member) hear(f fields, payload []byte, at int64) {
	faults := &m.room.run.faults
	id, ok := parseMessage(payload)
	if !ok || id.room != m.room.id || len(payload) != m.room.run.cfg.MessageBytes ||
		int(id.sender) >= len(m.room.members) || int(id.slot) >= len(m.slots) {
		faults.seen(&faults.changed, "%s got a message that nobody has sent: %q", m.client.email, payload)
		return
	}
	from := m.room.members[id.sender]
	if string(f[1]) != from.client.email || string(f[2]) != from.client.name || from == m {
		faults.seen(&faults.changed, "%s got a message of %s under the name %s %s", m.client.email, from.client.email, f[1], f[2])
		return
	}
	s := &from.slots[id.slot]
	if seq := s.seq.Load(); seq < id.seq {
		faults.seen(&faults.changed, "%s got message %d of %s, which was not sent yet", m.client.email, id.seq, from.client.email)
		return
	} else if seq > id.seq || s.has.Load()&(1<<m.index) != 0 {
		if from.gaveUp(id.seq) {
			faults.late.Add(1)
		} else {
			faults.seen(&faults.doubled, "%s got message %d of %s twice", m.client.email, id.seq, from.client.email)
		}
		return
	}
	last := &m.heard[id.sender]
	if id.seq < *last {
		faults.seen(&faults.outOfOrder, "%s got message %d of %s behind message %d", m.client.email, id.seq, from.client.email, *last)
	}
	*last = max(*last, id.seq)
	s.reached(m.index, at)
}

func (m *member) gaveUp(seq uint32) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.given[seq]
	return ok
}

// acknowledged takes in ACK.
func (m *member) acknowledged(trid []byte, at int64) {
	faults := &m.room.run.faults
	s := m.by(trid)
	if s == nil || m.room.run.cfg.Ack != "A" {
		faults.seen(&faults.changed, "%s was answered ACK %s, which it did not send now", m.client.email, trid)
		return
	}
	if !s.reached(m.index, at) {
		if m.gaveUp(s.seq.Load()) {
			faults.late.Add(1)
			return
		}
		faults.seen(&faults.doubled, "%s was answered ACK %s twice", m.client.email, trid)
	}
}

// refused takes in NAK: the message has not reached everybody, and is over.
func (m *member) refused(trid []byte, at int64) {
	m.room.run.faults.error("message: NAK", 1)
	if s := m.by(trid); s != nil {
		s.giveUp(at, false)
	}
}

// overdue gives the message up if it was begun before then.
func (s *slot) overdue(before, at int64) {
	if s.has.Load() != s.member.room.all() && s.begun.Load() < before {
		s.giveUp(at, true)
	}
}

// giveUp ends a message that not everybody has. Whoever counts as lost was in
// the room all the time.
func (s *slot) giveUp(at int64, counts bool) {
	m := s.member
	all := m.room.all()
	m.mu.Lock()
	due, seq := s.due.Load(), s.seq.Load()
	if m.given == nil {
		m.given = make(map[uint32]struct{})
	}
	m.given[seq] = struct{}{}
	old := s.has.Or(all)
	m.mu.Unlock()
	if old == all {
		return
	}
	r := m.room.run
	if m.room.failed.Load() {
		r.faults.error("message: room lost", 1)
	} else if counts {
		for missing := all &^ old; missing != 0; missing &= missing - 1 {
			i := bits.TrailingZeros64(missing)
			if i == m.index {
				r.faults.seen(&r.faults.lost, "%s got no answer to message %d", m.client.email, seq)
			} else {
				r.faults.seen(&r.faults.lost, "%s did not get message %d of %s", m.room.members[i].client.email, seq, m.client.email)
			}
		}
	}
	if r.within(due) {
		r.messages.never(due, at)
	}
	m.room.talking.done(s)
}

// hangUp leaves the room.
func (m *member) hangUp() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conn != nil {
		_, _ = m.conn.nc.Write([]byte("OUT\r\n")) // who is gone has left
		m.conn.close()
	}
}
