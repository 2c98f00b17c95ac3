package switchboard

import (
	"context"

	"github.com/monarch-msn/monarch/msnp"
)

// handleMSG sends a payload, untouched, to every other member.
//
//	C: MSG TrID {U|N|A} length payload    S: ACK TrID    S: NAK TrID
//
// What is acknowledged has been queued for each of them, in the order that all
// of them see. Of mode U the client hears nothing, of N only a failure.
func (s *session) handleMSG(ctx context.Context, cmd *msnp.Command) error {
	p := cmd.Params()
	mode := p.OneOf("U", "N", "A")
	if err := p.Err(); err != nil {
		return err
	}
	s.keepPace(ctx)
	delivered := s.room.relay(s, cmd.Payload, mode == "U")
	s.svc.metrics.message(mode, delivered)
	switch {
	case mode == "U":
	case !delivered:
		s.out.Verb("NAK").TrID(cmd.TrID)
	case mode == "A":
		s.out.Verb("ACK").TrID(cmd.TrID)
	}
	return nil
}

// keepPace makes a member that sends faster than people do wait while another
// one does not keep up: otherwise whoever sends at full speed could have
// everybody dropped who reads a little slower. A member within the rate never
// waits, whoever lags.
func (s *session) keepPace(ctx context.Context) {
	if !s.pace.Allow() && s.room.lagging(s) {
		_ = s.pace.Wait(ctx) // the connection ended, as its reader will see
	}
}

// relay sends a payload to all members but the sender, and reports whether it
// reached every one of them, and anybody at all. A notice, such as that
// somebody types, is of use only at once: a member that lags does not get it.
func (r *room) relay(from *session, payload []byte, notice bool) bool {
	l := lines.Get().(*msnp.Line)
	defer func() { lines.Put(l.Reset()) }()
	l.Verb("MSG").Email(from.email).Nick(from.name).Payload(payload)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.touch()
	delivered := len(r.members) > 1
	for _, m := range r.members {
		switch {
		case m == from:
			continue
		case notice && m.conn.Unsent() > r.svc.cfg.OutboxBytes/4:
			r.svc.metrics.notices.Add(context.Background(), 1)
			continue
		}
		m.conn.Send(l.Bytes())
		if m.conn.Reason() != "" {
			delivered = false
		}
	}
	return delivered
}
