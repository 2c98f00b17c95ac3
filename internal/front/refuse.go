package front

import (
	"context"
	"net"
	"time"

	"github.com/monarch-msn/monarch/msnp"
)

// refusedLine bounds the first line of a client that is turned away. The
// commands that open a conversation are all much shorter.
const refusedLine = 1 << 10

// warnEvery is how often the log tells that connections are refused: each one
// would be a line per client at the moment when there are most of them.
const warnEvery = 10 * time.Second

// turnAway ends a connection that a limit keeps out, and never waits for it.
// Its client hears why, if not too many others are being told at the moment: a
// connection that ends without a word looks like a network that is broken, and
// clients of the time try such a server again at once. Beyond that bound the
// connection is closed at once. Left in the queue of the kernel it would be
// neither served nor refused, and keep others from both.
func (s *Server) turnAway(ctx context.Context, nc net.Conn, why refusal, call *serveCall) {
	s.metrics.refused(why)
	s.noteRefusal(nc, why)
	select {
	case s.excusing <- struct{}{}:
	default:
		nc.Close()
		return
	}
	call.conns.Go(func() {
		defer func() { <-s.excusing }()
		s.excuse(ctx, nc)
	})
}

// excuse answers the first command of a client with 600, "server busy", and
// closes. All of it takes Config.RefusalTime at most. What does not open a
// conversation is closed without a word, as it is by those who would serve it.
func (s *Server) excuse(ctx context.Context, nc net.Conn) {
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(s.cfg.RefusalTime))
	defer context.AfterFunc(ctx, func() { nc.SetDeadline(longPast) })()
	in := msnp.NewReader(nc, msnp.FromClient)
	in.Line = refusedLine
	var cmd msnp.Command
	if err := in.Next(&cmd); err != nil || !opens(&cmd) {
		return
	}
	var out msnp.Line
	out.Code(msnp.CodeBusy, cmd.TrID)
	if _, err := nc.Write(out.Bytes()); err != nil {
		return
	}
	if half, ok := nc.(halfCloser); ok {
		half.CloseWrite()
		drain(nc)
	}
}

// opens reports whether a conversation with any of the servers begins with this
// command.
func opens(cmd *msnp.Command) bool {
	if len(cmd.TrID) == 0 {
		return false
	}
	for _, server := range []msnp.Server{msnp.Dispatch, msnp.Notification, msnp.Switchboard} {
		if row := msnp.Lookup(server, cmd.Verb); row != nil && row.Phases&msnp.Connected != 0 {
			return true
		}
	}
	return false
}

// noteRefusal tells the log, now and then, how many were refused.
func (s *Server) noteRefusal(nc net.Conn, why refusal) {
	s.log.Debug("connection refused", "remote", nc.RemoteAddr().String(), "limit", string(why))
	now := time.Now()
	s.mu.Lock()
	s.unsaid++
	n := s.unsaid
	due := now.Sub(s.warned) >= warnEvery
	if due {
		s.warned, s.unsaid = now, 0
	}
	s.mu.Unlock()
	if due {
		s.log.Warn("connections are refused", "limit", string(why), "refused", n, "open", s.Connections())
	}
}
