package notification

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/monarch-msn/monarch/internal/cluster"
	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// hub knows the sessions of this node by user. It brings them what comes out of
// the node's inbox, and their own messages on the way.
type hub struct {
	svc *Service

	mu sync.RWMutex
	// sessions has the newest session of each user, by email; older ones that
	// are about to end hang behind it by next.
	sessions map[string]*session
	count    int

	graves graves
}

func newHub(svc *Service) *hub {
	return &hub{svc: svc, sessions: make(map[string]*session)}
}

// add makes the session known, before its record names this node.
func (h *hub) add(s *session) {
	h.mu.Lock()
	s.next = h.sessions[s.email.String()]
	h.sessions[s.email.String()] = s
	h.count++
	h.mu.Unlock()
	h.svc.leavers.join(s)
}

// remove forgets the session; one that was never added is no harm.
func (h *hub) remove(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	head := h.sessions[s.email.String()]
	at := &head
	for *at != nil && *at != s {
		at = &(*at).next
	}
	if *at == nil {
		return
	}
	*at = s.next
	s.next = nil
	h.count--
	if head == nil {
		delete(h.sessions, s.email.String())
	} else {
		h.sessions[s.email.String()] = head
	}
}

// len returns how many sessions are known.
func (h *hub) len() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.count
}

// hasUser reports whether there is a session of a user.
func (h *hub) hasUser(email string) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.sessions[email] != nil
}

// of returns the sessions of one user: mostly none or one.
func (h *hub) of(email string) []*session {
	h.mu.RLock()
	defer h.mu.RUnlock()
	head := h.sessions[email]
	if head == nil {
		return nil
	}
	found := make([]*session, 0, 1)
	for s := head; s != nil; s = s.next {
		found = append(found, s)
	}
	return found
}

// all returns every session.
func (h *hub) all() []*session {
	h.mu.RLock()
	defer h.mu.RUnlock()
	found := make([]*session, 0, h.count)
	for _, head := range h.sessions {
		for s := head; s != nil; s = s.next {
			found = append(found, s)
		}
	}
	return found
}

var propagator propagation.TraceContext

// send brings a message to a node; what is for this node does not leave it.
// The trace of a sampled command rides along.
func (h *hub) send(ctx context.Context, node string, m *clusterv1.Message) {
	if h.svc.member.IsSelf(node) {
		ctx, delivered := h.delivery(ctx)
		defer delivered()
		h.Deliver(ctx, node, m)
		return
	}
	h.post(ctx, node, m)
}

// post sends a message to another node.
func (h *hub) post(ctx context.Context, node string, m *clusterv1.Message) {
	if trace.SpanContextFromContext(ctx).IsSampled() {
		carrier := propagation.MapCarrier{}
		propagator.Inject(ctx, carrier)
		m.Traceparent = carrier["traceparent"]
	}
	m.Sent = h.sent()
	h.svc.member.Send(node, m)
}

// sent is what a message says of when it was sent; 0 while that is not known.
func (h *hub) sent() int64 {
	now := h.svc.cluster.Clock()
	if now.IsZero() {
		return 0
	}
	return now.UnixMicro()
}

// sendPresence brings a presence to its recipients on a node.
func (h *hub) sendPresence(ctx context.Context, node nodeID, p *presence, to []recipient) {
	id := node.String()
	if !h.svc.member.IsSelf(id) {
		h.post(ctx, id, &clusterv1.Message{Kind: &clusterv1.Message_Presence{Presence: p.toWire(to)}})
		return
	}
	ctx, delivered := h.delivery(ctx)
	defer delivered()
	h.deliverPresence(ctx, p, to, h.sent())
}

// Deliver hands a message to the sessions that it is for. It implements
// cluster.Handler.
func (h *hub) Deliver(ctx context.Context, from string, m *clusterv1.Message) {
	if m.GetTraceparent() != "" {
		var delivered func()
		ctx, delivered = h.delivery(propagator.Extract(ctx, propagation.MapCarrier{"traceparent": m.GetTraceparent()}))
		defer delivered()
	}
	switch kind := m.GetKind().(type) {
	case *clusterv1.Message_Presence:
		p, to := fromWire(kind.Presence)
		h.deliverPresence(ctx, p, to, m.GetSent())
	case *clusterv1.Message_ListChanged:
		for _, s := range h.of(kind.ListChanged.GetEmail()) {
			s.post(listChangedEvent{kind.ListChanged})
		}
	case *clusterv1.Message_Close:
		for _, s := range h.of(kind.Close.GetEmail()) {
			s.post(closeEvent{kind.Close})
		}
	case *clusterv1.Message_Notice:
		h.notify(kind.Notice)
	case *clusterv1.Message_Ring:
		h.deliverRing(from, m)
	case *clusterv1.Message_Drain:
		h.svc.drain.Deliver(from, m)
	case *clusterv1.Message_Settle:
		h.svc.background(func(ctx context.Context) { h.settle(ctx, from, m) })
	}
}

// delivery begins the span of a delivery, if its trace is sampled.
func (h *hub) delivery(ctx context.Context) (context.Context, func()) {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ctx, func() {}
	}
	ctx, span := h.svc.tracer.Start(ctx, "deliver", trace.WithSpanKind(trace.SpanKindConsumer))
	return ctx, func() { span.End() }
}

// deliverPresence hands a presence that was sent at a moment to those of its
// recipients who are here.
func (h *hub) deliverPresence(ctx context.Context, p *presence, to []recipient, sent int64) {
	type delivery struct {
		s  *session // nil for nobody
		as recipient
	}
	var few [32]delivery // on the stack; more are as rare as popular people
	deliveries := few[:0]
	h.mu.RLock()
	for _, r := range to {
		s := h.sessions[r.email]
		for ; s != nil && s.next != nil; s = s.next {
			deliveries = append(deliveries, delivery{s, r})
		}
		deliveries = append(deliveries, delivery{s, r})
	}
	h.mu.RUnlock()
	for _, d := range deliveries {
		if d.s != nil {
			d.s.learn(presenceEvent{p, d.as})
		} else if d.as.role == probed {
			h.notHere(ctx, p, d.as)
		}
	}
	if sent != 0 {
		h.svc.metrics.delivered(ctx, h.svc.cluster.Clock().Sub(time.UnixMicro(sent)), h.svc.lease())
	}
}

// notHere answers the probe of a session that this node does not have: a
// session is in the hub before its record names the node, so what the prober
// found is over, and its record may go.
func (h *hub) notHere(ctx context.Context, p *presence, asked recipient) {
	h.sendPresence(ctx, p.at.node, &presence{
		email: msnp.MakeEmail(asked.email),
		at:    place{makeNodeID(h.svc.member.ID()), asked.epoch},
		over:  true,
		reply: true,
	}, []recipient{{email: p.email.String(), role: hidden}})
	h.svc.background(func(ctx context.Context) { h.svc.forget(ctx, asked.email, asked.epoch) })
}

// deliverRing hands a call to the newest session of the callee: of several the
// others are about to end.
func (h *hub) deliverRing(from string, m *clusterv1.Message) {
	sessions := h.of(m.GetRing().GetCallee())
	if len(sessions) == 0 {
		h.svc.answerRing(from, m.GetAsk(), &clusterv1.RingResult{Outcome: clusterv1.RingResult_OUTCOME_NOT_HERE})
		return
	}
	sessions[0].post(ringEvent{m.GetRing(), from, m.GetAsk()})
}

// Undelivered tells the sender's session that nobody will answer its probes, and
// looks after the records that led to a node that is not there. It implements
// cluster.Handler.
func (h *hub) Undelivered(to string, m *clusterv1.Message) {
	var emails []string
	switch kind := m.GetKind().(type) {
	case *clusterv1.Message_Presence:
		probes := kind.Presence.GetProbes()
		if len(probes) == 0 {
			return
		}
		asked := make([]msnp.Email, len(probes))
		for i, p := range probes {
			asked[i] = msnp.MakeEmail(p.GetEmail())
			emails = append(emails, p.GetEmail())
		}
		for _, s := range h.of(kind.Presence.GetEmail()) {
			s.post(unreachableEvent{asked})
		}
	case *clusterv1.Message_ListChanged:
		emails = append(emails, kind.ListChanged.GetEmail())
	}
	if len(emails) > 0 && h.svc.isGone(to) {
		h.svc.forgetThoseOf(to, emails)
	}
}

// Gone buries the dead of a node for every client of this one. It implements
// cluster.Handler.
func (h *hub) Gone(node string) {
	id := makeNodeID(node)
	h.graves.add(id)
	h.svc.background(func(context.Context) {
		for _, s := range h.all() {
			s.post(goneEvent{id})
		}
	})
}

// isGone reports whether a node has been buried. One that the view has again was
// missing only where this node looked, as on a master of a Redis Cluster that was
// none any more.
func (h *hub) isGone(node nodeID) bool {
	return h.graves.have(node) && h.svc.member.View().Node(node.String()) == nil
}

// Resync has every session compared with the truth. It implements
// cluster.Handler.
func (h *hub) Resync(reason, peer string) {
	h.svc.log.Info("resync", "reason", reason, "peer", peer)
	h.svc.auditor.all(reason == cluster.ResyncLease)
}

// displace closes the session that a newer one took over from.
func (h *hub) displace(ctx context.Context, displaced *clusterv1.Session) {
	h.send(ctx, displaced.GetNode(), &clusterv1.Message{Kind: &clusterv1.Message_Close{Close: &clusterv1.Close{
		Email: displaced.GetEmail(),
		Epoch: displaced.GetEpoch(),
		Cause: clusterv1.Close_CAUSE_DISPLACED,
	}}})
}

// closeEvent ends sessions up to an epoch.
type closeEvent struct{ msg *clusterv1.Close }

func (closeEvent) mayBlock(*session) bool { return false }

func (e closeEvent) handle(_ context.Context, s *session) {
	if s.record == nil || e.msg.GetEpoch() != 0 && s.record.GetEpoch() > e.msg.GetEpoch() {
		return
	}
	s.flush()
	if e.msg.GetCause() == clusterv1.Close_CAUSE_DISPLACED {
		s.conn.Close(front.ReasonDisplaced)
	} else {
		s.conn.Close(front.ReasonOperator)
	}
}

// settle answers once everything that reached this node before has been
// handled: a marker goes through every actor, then through the inbox of every
// peer that the asker names.
func (h *hub) settle(ctx context.Context, from string, m *clusterv1.Message) {
	ctx, cancel := context.WithTimeout(ctx, h.svc.cfg.CallTimeout)
	defer cancel()
	if !h.awaitLeaving(ctx) {
		return // no answer: the asker asks again
	}
	var passed sync.WaitGroup
	for _, s := range h.all() {
		passed.Add(1)
		if !s.post(markerEvent{&passed}) {
			passed.Done() // the session is about to end
		}
	}
	passed.Wait()
	for _, peer := range m.GetSettle().GetPeers() {
		if h.svc.member.IsSelf(peer) {
			continue
		}
		_, err := h.svc.member.Ask(ctx, peer, &clusterv1.Message{Kind: &clusterv1.Message_Settle{Settle: &clusterv1.Settle{}}})
		if err != nil {
			return
		}
	}
	sent, handled := h.svc.member.Traffic()
	h.svc.member.Answer(from, m.GetAsk(), &clusterv1.Message{Kind: &clusterv1.Message_Settle{
		Settle: &clusterv1.Settle{Sent: sent, Handled: handled},
	}})
}

// awaitLeaving waits for the sessions whose connection has ended to say so to
// their watchers. It returns false when ctx ends first.
func (h *hub) awaitLeaving(ctx context.Context) bool {
	for _, s := range h.all() {
		for s.conn.Reason() != "" && h.has(s) {
			select {
			case <-ctx.Done():
				return false
			case <-time.After(time.Millisecond):
			}
		}
	}
	return true
}

func (h *hub) has(s *session) bool { return slices.Contains(h.of(s.email.String()), s) }

// markerEvent has come through an actor when everything before it has.
type markerEvent struct{ passed *sync.WaitGroup }

func (markerEvent) mayBlock(*session) bool { return false }

func (e markerEvent) handle(context.Context, *session) { e.passed.Done() }
