package switchboard

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"

	"github.com/monarch-msn/monarch/internal/cluster"
	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp/client"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long anything may take that must happen.
const patience = 30 * time.Second

// timing lets nodes notice each other at the speed of a test.
var timing = cluster.Timing{Lease: 2 * time.Second, Beat: 50 * time.Millisecond, Refresh: 50 * time.Millisecond}

// board is a switchboard node with a Redis of its own.
type board struct {
	*Service
	t     *testing.T
	redis *miniredis.Miniredis
	addr  string
	stop  func() // Run ends, and has ended
}

func newBoard(t *testing.T, cfg Config) *board {
	t.Helper()
	redis := miniredis.RunT(t)
	redis.ClockTTL(true)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	svc, err := New(cfg, Deps{
		Cluster: open(t, redis), Timing: timing, Log: slog.New(slog.DiscardHandler),
		Meter: metricnoop.Meter{}, Tracer: tracenoop.Tracer{}, Version: "test",
	}, front.Listener{Listener: ln, Advertise: addr})
	if err != nil {
		t.Fatal(err)
	}
	b := &board{Service: svc, t: t, redis: redis, addr: addr}
	b.stop = run(t, svc.Run)
	<-svc.member.Ready()
	return b
}

func open(t *testing.T, redis *miniredis.Miniredis) *cluster.Client {
	t.Helper()
	c, err := cluster.Open("redis://"+redis.Addr(), cluster.Options{Command: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// run runs something until the test ends or the result is called.
func run(t *testing.T, f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := f(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	t.Cleanup(stop)
	return stop
}

// node is a notification node of which the test decides what it answers.
type node struct {
	*cluster.Member
	t *testing.T
	// rings are those that came, to be answered with answer.
	rings chan ringing
	// kill ends the node; the records of its sessions stay.
	kill func()
}

type ringing struct {
	*clusterv1.Ring
	from string
	ask  uint64
}

func (b *board) node() *node {
	b.t.Helper()
	n := &node{t: b.t, rings: make(chan ringing, 16)}
	n.Member = open(b.t, b.redis).Member(cluster.MemberConfig{
		Node: &clusterv1.Node{Role: clusterv1.Role_ROLE_NOTIFICATION}, Timing: timing,
	}, n)
	n.kill = run(b.t, n.Run)
	<-n.Ready()
	return n
}

func (n *node) Deliver(_ context.Context, from string, m *clusterv1.Message) {
	if ring := m.GetRing(); ring != nil {
		n.rings <- ringing{ring, from, m.GetAsk()}
	}
}
func (*node) Undelivered(string, *clusterv1.Message) {}
func (*node) Gone(string)                            {}
func (*node) Resync(string, string)                  {}

// claim makes the node that on which the user is logged in.
func (n *node) claim(email string) *clusterv1.Session {
	n.t.Helper()
	s := &clusterv1.Session{Id: email, Email: email, Dialect: "MSNP7"}
	if _, err := n.Claim(n.t.Context(), s); err != nil {
		n.t.Fatal(err)
	}
	return s
}

// ring waits for a ring.
func (n *node) ring() ringing {
	n.t.Helper()
	select {
	case r := <-n.rings:
		return r
	case <-time.After(patience):
		n.t.Fatal("no ring came")
		return ringing{}
	}
}

// answer answers a ring; name is that of the callee.
func (n *node) answer(r ringing, outcome clusterv1.RingResult_Outcome, name string) {
	n.Answer(r.from, r.ask, &clusterv1.Message{Kind: &clusterv1.Message_RingResult{
		RingResult: &clusterv1.RingResult{Outcome: outcome, Dialect: "MSNP7", Name: name},
	}})
}

// peer is a client at the switchboard.
type peer struct {
	*client.Conn
	t *testing.T
}

func (b *board) dial() *peer {
	b.t.Helper()
	c, err := client.Dial(b.t.Context(), b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	return &peer{c, b.t}
}

func (b *board) ticket(email, node string, ttl time.Duration) string {
	b.t.Helper()
	token, err := b.cluster.Issue(b.t.Context(), &clusterv1.Ticket{Email: email, Name: name(email), Dialect: "MSNP7", Node: node}, ttl)
	if err != nil {
		b.t.Fatal(err)
	}
	return token
}

// name is "Ann" of ann@example.com.
func name(email string) string {
	return strings.ToUpper(email[:1]) + email[1:strings.IndexByte(email, '@')]
}

// found opens a room.
func (b *board) found(email string) *peer {
	b.t.Helper()
	p := b.dial()
	p.says("USR 1 " + email + " " + b.ticket(email, b.ID(), time.Minute))
	p.hears("USR 1 OK " + email + " " + name(email))
	return p
}

// join brings a user into the room of p, and returns what the user heard of
// the others by the way.
func (b *board) join(p *peer, n *node, email string) *peer {
	b.t.Helper()
	n.claim(email)
	p.says("CAL 2 " + email)
	ring := n.ring()
	n.answer(ring, clusterv1.RingResult_OUTCOME_RINGING, name(email))
	p.hears("CAL 2 RINGING " + ring.GetSessionId())
	q := b.dial()
	q.says("ANS 1 " + email + " " + ring.GetCookie() + " " + ring.GetSessionId())
	for {
		if m := q.next(); m.Verb == "ANS" {
			break
		}
	}
	p.hears("JOI " + email + " " + name(email))
	return q
}

func (p *peer) says(line string) {
	p.t.Helper()
	if err := p.Send(line); err != nil {
		p.t.Fatalf("send %q: %v", line, err)
	}
}

func (p *peer) next() client.Message {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	m, err := p.Next(ctx)
	if err != nil {
		p.t.Fatalf("want another line, got %v", err)
	}
	return m
}

func (p *peer) hears(want string) {
	p.t.Helper()
	if m := p.next(); m.Text != want {
		p.t.Fatalf("want %q, got %q", want, m.Text)
	}
}

// closed wants the end, without a word.
func (p *peer) closed() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if m, err := p.Next(ctx); !errors.Is(err, io.EOF) {
		p.t.Fatalf("want the connection closed, got %q, %v", m.Text, err)
	}
}

// message sends a payload.
func (p *peer) message(trid int, mode string, payload []byte) {
	p.t.Helper()
	if err := p.SendPayload("MSG "+strconv.Itoa(trid)+" "+mode, payload); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatal(err)
	}
}

// gets wants a message of that payload.
func (p *peer) gets(payload []byte) {
	p.t.Helper()
	if m := p.next(); m.Verb != "MSG" || !bytes.Equal(m.Payload, payload) {
		p.t.Fatalf("want a message of %d bytes, got %q with %d", len(payload), m.Text, len(m.Payload))
	}
}

// until waits for something that the service itself knows.
func (b *board) until(what string, holds func() bool) {
	b.t.Helper()
	for late := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			b.t.Fatalf("waited in vain for %s", what)
		}
	}
}
