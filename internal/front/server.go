package front

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// A Server keeps the client connections of one role of one node, from any
// number of listeners. Its methods may be called by any goroutine.
type Server struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	door    *door

	// proxyFrom is Config.ProxyFrom, headers how many of its headers are waited
	// for at a time.
	proxyFrom []netip.Prefix
	headers   int

	readers    sync.Pool // of *reader; all for lines of cfg.ReadLine
	lingerTime time.Duration

	// firstReserved is the first number of a descriptor that is not for clients.
	firstReserved uint64
	// excusing has an element for each refused connection that is being told.
	excusing chan struct{}

	mu    sync.Mutex
	conns map[*Conn]struct{}
	// unsaid is how many connections were refused since the log was warned.
	unsaid int
	warned time.Time
}

// NewServer returns a Server without listeners. role is the value of the label
// by which its metrics are told from those of other roles in the process. It
// fails if cfg is not valid.
func NewServer(cfg Config, log *slog.Logger, meter metric.Meter, role string) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure %s connections: %w", role, err)
	}
	cfg = cfg.withDefaults()
	s := &Server{
		cfg:        cfg,
		log:        log,
		door:       newDoor(cfg),
		lingerTime: lingerTime,
		conns:      make(map[*Conn]struct{}),
	}
	s.proxyFrom, _ = parseNetworks(cfg.ProxyFrom) // Validate has said what is wrong
	m, err := newMetrics(meter, role, s.outboxBytes)
	if err != nil {
		return nil, fmt.Errorf("register metrics of %s connections: %w", role, err)
	}
	s.metrics = m
	var excusing int
	s.firstReserved, excusing = bound(cfg, openFiles(), log)
	// Half of the reserve may go to refusals, and a quarter to these.
	s.headers = max(1, int(reserve(openFiles())/4))
	s.excusing = make(chan struct{}, excusing)
	return s, nil
}

// Seats returns how many of so many sessions there are connections for, one in
// twenty being left to those who are referred elsewhere, and tells the log where
// that is fewer. A node that announced more would draw clients that it has to
// refuse.
func (s *Server) Seats(capacity int) int {
	clients := int(min(uint64(s.cfg.MaxConnections), s.firstReserved))
	seats := max(1, clients*19/20)
	if seats >= capacity {
		return capacity
	}
	// As in bound: nobody has asked for as many as the default allows.
	level := slog.LevelWarn
	if s.cfg.MaxConnections == DefaultMaxConnections {
		level = slog.LevelInfo
	}
	s.log.Log(context.Background(), level, "there are connections for fewer sessions than capacity allows: raise max-connections or the limit on open files to serve more, or lower capacity",
		"capacity", capacity, "connections", clients, "sessions", seats)
	return seats
}

// Connections returns how many connections are open, those that are being
// closed included.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// AwaitOpen returns when all connections that are open now have ended, or ctx
// is done. Those that come meanwhile are not waited for.
func (s *Server) AwaitOpen(ctx context.Context) {
	for _, c := range s.of(nil) {
		select {
		case <-c.ctx.Done():
		case <-ctx.Done():
			return
		}
	}
}

// Serve accepts connections of ln and has open make a session of each. It
// blocks until ctx is done, then closes ln and every connection that came by
// it, with ReasonShutdown, waits until their sessions have left, and returns
// nil. If ln breaks it does the same and returns the error.
//
// Next to accepting nothing is done while open is, so it must not block. The
// context of a session has the values of ctx and ends when the connection does;
// what has to be done behind the end wants context.WithoutCancel. A connection
// that its client ends, or a deadline, is closed for the reason that ReasonOf
// tells. A panic of the session is logged, and ends only its own connection.
//
// Serve may be called for several listeners at once. Its end takes
// Config.FlushTimeout and about a second at most, and what the sessions take.
func (s *Server) Serve(ctx context.Context, ln net.Listener, open func(ctx context.Context, c *Conn) Session) error {
	if len(s.proxyFrom) > 0 {
		ln = readHeaders(ln, s.proxyFrom, s.headers, func(nc net.Conn) {
			s.metrics.refused(refusedProxy)
			s.noteRefusal(nc, refusedProxy)
		})
	}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		ln.Close()
	})
	// The end of ctx ends a connection by a Close, so that whoever sees its
	// context end also sees a reason.
	call := &serveCall{ctx: context.WithoutCancel(ctx), crew: newCrew()}
	err := s.accept(ctx, ln, func(nc net.Conn) {
		if c := s.admit(ctx, nc, call); c != nil {
			c.begin(open)
		}
	})
	if stop() {
		ln.Close()
	} else {
		<-closed
	}
	for _, c := range s.of(call) {
		c.Close(ReasonShutdown)
	}
	call.conns.Wait()
	if call.poller != nil {
		call.poller.close()
		call.polling.Wait()
	}
	call.crew.stop()
	return err
}

// serveCall is one call of Serve.
type serveCall struct {
	ctx     context.Context // of its connections
	conns   sync.WaitGroup  // that are open, or being refused
	crew    *crew
	poller  *poller // nil before there is something to watch
	polling sync.WaitGroup
}

// watch has the poller tell when c can be read from here on. The goroutine that
// accepts connections calls it.
func (call *serveCall) watch(c *Conn) error {
	if c.fd < 0 {
		return errors.ErrUnsupported
	}
	if call.poller == nil {
		p, err := newPoller()
		if err != nil {
			return err
		}
		call.poller = p
		call.polling.Go(func() { p.run(call.ready) })
	}
	return call.poller.add(c)
}

// ready rings for several connections at once. It uses their slice.
func (call *serveCall) ready(conns []*Conn) {
	resting := conns[:0]
	for _, c := range conns {
		if c.rings.Add(1) == 1 {
			resting = append(resting, c)
		}
	}
	call.crew.put((*Conn).attend, resting...)
}

// How long to wait after an Accept that failed for a reason that may pass.
const (
	firstBackoff = 5 * time.Millisecond
	lastBackoff  = time.Second
)

// accept calls admit for each connection of ln, until ctx is done or ln broken.
func (s *Server) accept(ctx context.Context, ln net.Listener, admit func(net.Conn)) error {
	backoff := firstBackoff
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			backoff = firstBackoff
			admit(nc)
			continue
		case ctx.Err() != nil:
			return nil
		case !temporary(err):
			return fmt.Errorf("accept on %s: %w", ln.Addr(), err)
		}
		s.log.Warn("accept", "listener", ln.Addr().String(), "error", err, "wait", backoff)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

// temporary reports whether Accept may succeed later: the process or the
// machine is short of something, or a client left the queue.
func temporary(err error) bool {
	for _, errno := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// admit makes a Conn of nc, or turns it away and returns nil where a limit is
// reached.
func (s *Server) admit(ctx context.Context, nc net.Conn, call *serveCall) *Conn {
	remote := addrPort(nc.RemoteAddr()).Addr()
	fd := descriptor(nc)
	short := fd >= 0 && uint64(fd) >= s.firstReserved
	s.mu.Lock()
	var refused refusal
	switch {
	case short:
		refused = refusedFiles
	case len(s.conns) >= s.cfg.MaxConnections:
		refused = refusedFull
	default:
		refused = s.door.enter(remote, time.Now())
	}
	var c *Conn
	if refused == "" {
		c = newConn(s, nc, fd, call)
		call.conns.Add(1)
		s.conns[c] = struct{}{}
	}
	s.mu.Unlock()
	if c == nil {
		s.turnAway(ctx, nc, refused, call)
		return nil
	}
	s.metrics.opened()
	return c
}

// forget takes c, which is closed, out of the books.
func (s *Server) forget(c *Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.door.leave(c.RemoteAddr().Addr())
	s.mu.Unlock()
	s.metrics.closed(c.Reason())
}

// of returns the connections of one call of Serve, or all where it is nil.
func (s *Server) of(call *serveCall) []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*Conn
	for c := range s.conns {
		if call == nil || c.call == call {
			found = append(found, c)
		}
	}
	return found
}

// outboxBytes counts what waits to be sent. It is asked when metrics are
// collected; a running total would be one more thing that all processors share
// in each Send.
func (s *Server) outboxBytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sum int64
	for c := range s.conns {
		c.outbox.mu.Lock()
		sum += int64(c.outbox.unsent)
		c.outbox.mu.Unlock()
	}
	return sum
}
