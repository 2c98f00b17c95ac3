package allinone

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/alicebob/miniredis/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/monarch-msn/monarch/internal/rpc"
	"github.com/monarch-msn/monarch/services/directory"
	"github.com/monarch-msn/monarch/services/directory/store"
)

// embeddedRedis is a Redis-speaking server in this process. It keeps nothing
// over a restart, which is all that the cluster asks of a Redis.
type embeddedRedis struct {
	server *miniredis.Miniredis
	// now is its time of day, if that is not the process's.
	now      func() time.Time
	password string
	stop     chan struct{}
	stopped  chan struct{}
}

func startEmbeddedRedis(now func() time.Time) (*embeddedRedis, error) {
	r := &embeddedRedis{
		server: miniredis.NewMiniRedis(), now: now, password: rand.Text(),
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	// The socket is open to every user of the machine.
	r.server.RequireAuth(r.password)
	if err := r.server.StartAddr("127.0.0.1:0"); err != nil {
		return nil, err
	}
	go r.expire()
	return r, nil
}

// expireEvery is how often keys are checked for their end.
const expireEvery = 250 * time.Millisecond

// expire moves the server's clock, without which no key would ever expire. The
// server could do that by itself, but then sorts all its keys at each command.
//
// A Redis goes by its time of day: where that steps forward, keys end early, and
// where it steps back, they live for so much longer.
func (r *embeddedRedis) expire() {
	defer close(r.stopped)
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	last := r.read()
	for {
		select {
		case <-r.stop:
			return
		case <-tick.C:
			now := r.read()
			r.server.FastForward(now.Sub(last))
			last = now
		}
	}
}

// read looks at the clock, and sets the server's if that has one of its own.
func (r *embeddedRedis) read() time.Time {
	if r.now == nil {
		return time.Now()
	}
	now := r.now()
	r.server.SetTime(now)
	return now
}

func (r *embeddedRedis) url() string { return "redis://:" + r.password + "@" + r.server.Addr() }

func (r *embeddedRedis) close() error {
	close(r.stop)
	<-r.stopped
	r.server.Close()
	return nil
}

// directoryServer is the directory over an in-memory listener.
type directoryServer struct {
	conn *grpc.ClientConn
}

const bufconnBytes = 1 << 20

func (n *Network) startDirectory(ctx context.Context, database string) (*directoryServer, error) {
	st, err := store.Open(ctx, database)
	if err != nil {
		return nil, err
	}
	n.onClose(st.Close)
	if err := st.Migrate(ctx); err != nil {
		return nil, err
	}
	if err := st.Unlock(ctx, filepath.Join(n.opt.DataDir, "password.keys")); err != nil {
		return nil, err
	}
	server, err := directory.New(n.opt.Directory, st, n.logger("directory"), n.opt.Meter, n.opt.Tracer)
	if err != nil {
		return nil, err
	}
	listener := bufconn.Listen(bufconnBytes)
	g := rpc.NewServer(rpc.ServerOptions{Log: n.logger("directory")})
	server.Register(g)
	served := make(chan error, 1)
	go func() { served <- g.Serve(listener) }()
	n.onClose(func() error {
		g.Stop()
		if err := <-served; !errors.Is(err, grpc.ErrServerStopped) { // by which it says that it had not begun
			return err
		}
		return nil
	})
	conn, err := rpc.Dial("passthrough:///directory", rpc.DialOptions{
		Dialer: func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) },
	})
	if err != nil {
		return nil, fmt.Errorf("dial directory: %w", err)
	}
	n.onClose(conn.Close)
	return &directoryServer{conn}, nil
}
