package load

import (
	"bytes"
	"fmt"
	"testing"
)

// enterRoom puts all clients of a stage into one room.
func (s *stage) enterRoom() *room {
	m := &room{run: s.run}
	m.talking = newPacer(s.messages, 0, 0, nil)
	for i, c := range s.clients {
		one := &member{room: m, index: i, client: c, conn: newConn(s.run, &sink{}), heard: make([]uint32, len(s.clients))}
		one.slots = make([]slot, s.cfg.Pipeline)
		for k := range one.slots {
			one.slots[k].member, one.slots[k].index = one, k
		}
		m.members = append(m.members, one)
	}
	for _, one := range m.members {
		for k := range one.slots {
			one.slots[k].has.Store(m.all())
		}
	}
	s.rooms = append(s.rooms, m)
	s.talk.Store(&s.rooms)
	return m
}

// says sends a message of the first member, in one of its slots.
func (m *room) says(t *testing.T, slot int) {
	t.Helper()
	m.talking.mu.Lock()
	m.talking.running++
	m.talking.mu.Unlock()
	if !m.members[0].slots[slot].begin(m.run.now()) {
		t.Fatal("the first member cannot speak")
	}
}

// hears gives a member a message of the first one.
func (m *room) hears(index, slot int, seq uint32) {
	m.hearsBytes(index, appendMessage(nil, stamp{m.id, 0, uint8(slot), seq}, m.run.cfg.MessageBytes))
}

func (m *room) hearsBytes(index int, payload []byte) {
	from := m.members[0].client
	m.members[index].hear(split(fmt.Appendf(nil, "MSG %s %s %d", from.email, from.name, len(payload))), payload, m.run.now())
}

// acked answers a message of the first member.
func (m *room) acked(slot int, seq uint32) {
	m.members[0].acknowledged(fmt.Append(nil, seq*MaxPipeline+uint32(slot)), m.run.now())
}

func TestMessagesAreComparedWithWhatWasSent(t *testing.T) {
	for _, tt := range []struct {
		name string
		play func(t *testing.T, m *room)
		want counts
	}{
		{"everybody gets it", func(t *testing.T, m *room) {
			m.says(t, 0)
			m.hears(1, 0, 1)
			m.acked(0, 1)
			m.hears(2, 0, 1)
		}, counts{done: 1}},
		{"it comes twice", func(t *testing.T, m *room) {
			m.says(t, 0)
			m.hears(1, 0, 1)
			m.hears(1, 0, 1)
		}, counts{doubled: 1}},
		{"it comes again behind its end", func(t *testing.T, m *room) {
			for seq := uint32(1); seq <= 2; seq++ {
				m.says(t, 0)
				m.hears(1, 0, seq)
				m.hears(2, 0, seq)
				m.acked(0, seq)
			}
			m.hears(1, 0, 1)
		}, counts{doubled: 1, done: 2}},
		{"two change places", func(t *testing.T, m *room) {
			m.says(t, 0)
			m.says(t, 1)
			m.hears(1, 1, 2)
			m.hears(1, 0, 1)
		}, counts{outOfOrder: 1}},
		{"a byte is another one", func(t *testing.T, m *room) {
			m.says(t, 0)
			payload := appendMessage(nil, stamp{m.id, 0, 0, 1}, m.run.cfg.MessageBytes)
			payload[len(payload)-1] ^= 1
			m.hearsBytes(1, payload)
		}, counts{changed: 1}},
		{"the end is missing", func(t *testing.T, m *room) {
			m.says(t, 0)
			m.hearsBytes(1, appendMessage(nil, stamp{m.id, 0, 0, 1}, m.run.cfg.MessageBytes-1))
		}, counts{changed: 1}},
		{"it is of another room", func(t *testing.T, m *room) {
			m.says(t, 0)
			m.hearsBytes(1, appendMessage(nil, stamp{m.id + 1, 0, 0, 1}, m.run.cfg.MessageBytes))
		}, counts{changed: 1}},
		{"it is under another name", func(t *testing.T, m *room) {
			m.says(t, 0)
			m.hearsBytes(1, appendMessage(nil, stamp{m.id, 2, 0, 1}, m.run.cfg.MessageBytes))
		}, counts{changed: 1}},
		{"it was never sent", func(t *testing.T, m *room) {
			m.says(t, 0)
			m.hears(1, 0, 2)
			m.acked(0, 2)
		}, counts{changed: 2}},
		{"one does not get it", func(t *testing.T, m *room) {
			m.says(t, 0)
			m.hears(1, 0, 1)
			m.acked(0, 1)
			m.run.settleUp()
		}, counts{lost: 1}},
		{"nobody gets it in time", func(t *testing.T, m *room) {
			m.says(t, 0)
			m.run.settleUp()
			m.hears(1, 0, 1)
			m.acked(0, 1)
			m.says(t, 0)
			m.hears(2, 0, 1)
		}, counts{lost: 3, late: 3}},
		{"it is acknowledged twice", func(t *testing.T, m *room) {
			m.says(t, 0)
			m.acked(0, 1)
			m.acked(0, 1)
		}, counts{doubled: 1}},
		{"it is refused", func(t *testing.T, m *room) {
			m.says(t, 0)
			m.members[0].refused(fmt.Append(nil, MaxPipeline), m.run.now())
			m.says(t, 0)
			m.hears(1, 0, 2)
			m.hears(2, 0, 2)
			m.acked(0, 2)
		}, counts{errors: 1, done: 1}},
		{"the room breaks", func(t *testing.T, m *room) {
			m.says(t, 0)
			m.fail("room: BYE")
			m.run.settleUp()
		}, counts{errors: 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, Config{Ack: "A", MessageBytes: 120, Pipeline: 2}, "ann", "bob", "cat")
			tt.play(t, s.enterRoom())
			s.want(tt.want)
		})
	}
}

func TestAMessageIsOfTheSizeAskedFor(t *testing.T) {
	s := newStage(t, Config{Ack: "A", MessageBytes: 200, Pipeline: 1}, "ann", "bob")
	m := s.enterRoom()
	m.says(t, 0)
	sent := m.members[0].conn.nc.(*sink).sent.Bytes()
	line, payload, _ := bytes.Cut(sent, []byte("\r\n"))
	if string(line) != "MSG 64 A 200" || len(payload) != 200 {
		t.Errorf("sent %q and %d bytes", line, len(payload))
	}
	want := stamp{room: 0, sender: 0, slot: 0, seq: 1}
	if got, ok := parseMessage(payload); !ok || got != want {
		t.Errorf("want %+v, got %+v, %v", want, got, ok)
	}
	for size := MinMessage; size < MinMessage+3; size++ {
		if got, ok := parseMessage(appendMessage(nil, stamp{1 << 31, 63, 63, 1 << 30}, size)); !ok || got.seq != 1<<30 || got.room != 1<<31 {
			t.Errorf("of %d bytes came %+v, %v", size, got, ok)
		}
	}
}
