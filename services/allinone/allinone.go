// Package allinone runs a whole network in one process: every service as it
// runs in a process of its own, over loopback sockets, an in-memory gRPC
// listener, SQLite and an embedded Redis, or over the real stores where their
// URLs are given. There is no second implementation of anything here.
package allinone

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"golang.org/x/sync/errgroup"

	"github.com/monarch-msn/monarch/internal/cluster"
	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/internal/rpc"
	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/directory"
	"github.com/monarch-msn/monarch/services/dispatch"
	"github.com/monarch-msn/monarch/services/notification"
	"github.com/monarch-msn/monarch/services/operator"
	"github.com/monarch-msn/monarch/services/switchboard"
)

// Options say what to run. The zero value of a field is a small network for
// tests: one notification node and one switchboard, ports chosen by the system,
// embedded stores.
type Options struct {
	// DataDir holds the database, the keys and the operator's token. It is
	// created if it is missing. With the embedded Redis it is that of one network
	// at a time; a second one fails to start.
	DataDir string
	// Bind is the address that every client listener binds; empty is
	// 127.0.0.1.
	Bind string
	// Advertise is the host that XFR and RNG name; empty is the bind address, or for
	// a wildcard the address by which each client came.
	Advertise string
	// DispatchPort, and NotificationPort and SwitchboardPort of the first node,
	// the next ones counting up; 0 lets the system choose.
	DispatchPort, NotificationPort, SwitchboardPort int
	// NotificationNodes and SwitchboardNodes are how many; 0 is one.
	NotificationNodes, SwitchboardNodes int
	// OperatorListen is host:port; empty runs no operator.
	OperatorListen string
	// Redis and Database are URLs; empty is the embedded Redis, and SQLite in
	// the data directory.
	Redis, Database string
	// Cluster and Timing tune Redis and the leases; the zero values are those
	// of production.
	Cluster cluster.Options
	Timing  cluster.Timing
	// Clocks are the times of day of the notification nodes, in their order; a
	// node without one has that of Cluster.Now. RedisClock is the time of day of
	// the embedded Redis, read four times a second; nil is the process's. Both
	// are for tests: clocks that differ and step must not be noticed by anybody.
	// Called from any goroutine.
	Clocks     []func() time.Time
	RedisClock func() time.Time

	Dispatch     dispatch.Config
	Notification notification.Config
	Switchboard  switchboard.Config
	Directory    directory.Config
	Operator     operator.Config

	// Log, Meter and Tracer may be nil: then nothing is recorded.
	Log    *slog.Logger
	Meter  metric.Meter
	Tracer trace.Tracer
	// Version is the release, for the operator.
	Version string
}

func (o *Options) setDefaults() {
	if o.Bind == "" {
		o.Bind = "127.0.0.1"
	}
	if o.NotificationNodes == 0 {
		o.NotificationNodes = 1
	}
	if o.SwitchboardNodes == 0 {
		o.SwitchboardNodes = 1
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Meter == nil {
		o.Meter = metricnoop.Meter{}
	}
	if o.Tracer == nil {
		o.Tracer = tracenoop.Tracer{}
	}
}

// validate returns all faults of the options, joined.
func (o *Options) validate() error {
	var faults []error
	if o.NotificationNodes < 0 {
		faults = append(faults, fmt.Errorf("notification.nodes must not be negative, got %d", o.NotificationNodes))
	}
	if o.SwitchboardNodes < 0 {
		faults = append(faults, fmt.Errorf("switchboard.nodes must not be negative, got %d", o.SwitchboardNodes))
	}
	if net.ParseIP(o.Bind) == nil {
		faults = append(faults, fmt.Errorf("bind %q is not an IP address", o.Bind))
	}
	if o.DataDir == "" {
		faults = append(faults, errors.New("data-dir is missing"))
	}
	return errors.Join(append(faults, o.Dispatch.Validate(), o.Notification.Validate(), o.Switchboard.Validate(),
		o.Directory.Validate(), o.Operator.Validate())...)
}

// Network is a running network.
type Network struct {
	opt   Options
	redis *embeddedRedis // nil where a real one is used
	// redisURL is where Redis is found.
	redisURL string

	client        *cluster.Client
	directory     *directoryServer
	dispatch      *dispatch.Service
	notifications []*notification.Service
	switchboards  []*switchboard.Service
	operator      *operator.Service

	dispatchAddr      string
	notificationAddrs []string
	switchboardAddrs  []string
	operatorAddr      string

	// What runs, in the order in which it is stopped.
	front, back *errgroup.Group
	stopFront   context.CancelFunc
	stopBack    context.CancelFunc
	failed      chan error
	closers     []func() error
}

// Start brings the network up and returns when clients can log in, or when
// that failed or ctx ended. The network runs until Stop, whatever happens to
// ctx.
func Start(ctx context.Context, opt Options) (*Network, error) {
	opt.setDefaults()
	if err := opt.validate(); err != nil {
		return nil, err
	}
	n := &Network{opt: opt, failed: make(chan error, 1)}
	if err := n.start(ctx); err != nil {
		return nil, errors.Join(err, n.Stop())
	}
	return n, nil
}

func (n *Network) start(ctx context.Context) error {
	if err := os.MkdirAll(n.opt.DataDir, 0o700); err != nil {
		return fmt.Errorf("create data directory: %w", err)
	}
	if err := n.startStores(ctx); err != nil {
		return err
	}
	if err := n.startServices(ctx); err != nil {
		return err
	}
	// Now dispatch can refer clients to every notification node, and each of
	// those to every switchboard.
	return n.await(ctx, n.allKnown)
}

// startStores opens database and Redis, and the directory above the database.
func (n *Network) startStores(ctx context.Context) error {
	url := n.opt.Redis
	if url == "" {
		unlock, err := lock(n.opt.DataDir)
		if err != nil {
			return err
		}
		n.onClose(unlock)
		redis, err := startEmbeddedRedis(n.opt.RedisClock)
		if err != nil {
			return fmt.Errorf("start embedded Redis: %w", err)
		}
		n.redis = redis
		n.onClose(redis.close)
		url = redis.url()
	}
	n.redisURL = url
	client, err := n.openRedis(n.opt.Cluster.Now)
	if err != nil {
		return err
	}
	n.client = client
	if err := client.Ping(ctx); err != nil {
		return err
	}

	database := n.opt.Database
	if database == "" {
		path, err := filepath.Abs(filepath.Join(n.opt.DataDir, "monarch.db"))
		if err != nil {
			return fmt.Errorf("find data directory: %w", err)
		}
		database = "sqlite://" + filepath.ToSlash(path)
	}
	n.directory, err = n.startDirectory(ctx, database)
	return err
}

// openRedis opens a client of Redis for a time of day.
func (n *Network) openRedis(now func() time.Time) (*cluster.Client, error) {
	opt := n.opt.Cluster
	opt.Now = now
	client, err := cluster.Open(n.redisURL, opt)
	if err != nil {
		return nil, err
	}
	n.onClose(client.Close)
	return client, nil
}

// startServices listens everywhere before anything runs, so that a port in use
// is said at once and nothing has to be undone.
func (n *Network) startServices(ctx context.Context) error {
	dispatchListener, err := n.listen(ctx, n.opt.DispatchPort, "dispatch.port")
	if err != nil {
		return err
	}
	n.dispatchAddr = dispatchListener.Addr().String()
	notificationListeners, err := n.listenAll(ctx, n.opt.NotificationNodes, n.opt.NotificationPort, "notification.port")
	if err != nil {
		return err
	}
	n.notificationAddrs = addresses(notificationListeners)
	switchboardListeners, err := n.listenAll(ctx, n.opt.SwitchboardNodes, n.opt.SwitchboardPort, "switchboard.port")
	if err != nil {
		return err
	}
	n.switchboardAddrs = addresses(switchboardListeners)

	frontCtx, stopFront := context.WithCancel(context.WithoutCancel(ctx))
	backCtx, stopBack := context.WithCancel(context.WithoutCancel(ctx))
	n.stopFront, n.stopBack = stopFront, stopBack
	n.front, n.back = new(errgroup.Group), new(errgroup.Group)

	n.dispatch, err = dispatch.New(n.opt.Dispatch, dispatch.Deps{
		Cluster: n.client, Timing: n.opt.Timing, Log: n.logger("dispatch"), Meter: n.opt.Meter, Tracer: n.opt.Tracer,
	}, dispatchListener)
	if err != nil {
		return err
	}
	for i, l := range switchboardListeners {
		node, err := switchboard.New(n.opt.Switchboard, switchboard.Deps{
			Cluster: n.client, Timing: n.opt.Timing,
			Log:   n.logger("switchboard").With("number", i+1),
			Meter: n.opt.Meter, Tracer: n.opt.Tracer, Version: n.opt.Version,
		}, l)
		if err != nil {
			return err
		}
		n.switchboards = append(n.switchboards, node)
		n.run(n.front, frontCtx, node.Run)
	}
	// Whoever reads the list of nodes once they have joined knows them from the
	// start, and need not wait for the next refresh.
	if err := n.await(ctx, func() bool { return ready(n.switchboards) }); err != nil {
		return err
	}
	for i, l := range notificationListeners {
		now := n.opt.Cluster.Now
		if i < len(n.opt.Clocks) {
			now = n.opt.Clocks[i]
		}
		// As in a process of its own, each knows of epochs and of Redis's clock
		// only what it has seen itself.
		client, err := n.openRedis(now)
		if err != nil {
			return err
		}
		node, err := notification.New(n.opt.Notification, notification.Deps{
			Directory: n.Directory(),
			Cluster:   client, Timing: n.opt.Timing, Now: now,
			Log:   n.logger("notification").With("number", i+1),
			Meter: n.opt.Meter, Tracer: n.opt.Tracer, Version: n.opt.Version,
		}, l)
		if err != nil {
			return err
		}
		n.notifications = append(n.notifications, node)
		n.run(n.front, frontCtx, node.Run)
	}
	if err := n.await(ctx, func() bool { return ready(n.notifications) }); err != nil {
		return err
	}
	n.run(n.front, frontCtx, n.dispatch.Run)
	return n.startOperator(ctx, backCtx)
}

func (n *Network) startOperator(ctx, runCtx context.Context) error {
	if n.opt.OperatorListen == "" {
		return nil
	}
	tokens, err := ensureToken(filepath.Join(n.opt.DataDir, "operator.token"))
	if err != nil {
		return err
	}
	listener, err := front.Listen(ctx, n.opt.OperatorListen)
	if err != nil {
		return fmt.Errorf("%w; choose another with --operator.listen", err)
	}
	n.onClose(func() error { return ignoreClosed(listener.Close()) })
	n.operatorAddr = listener.Addr().String()
	n.operator = operator.New(n.opt.Operator, operator.Deps{
		Accounts: n.Accounts(),
		Cluster:  n.client, Timing: n.opt.Timing, Listener: listener,
		Tokens: func() []string { return tokens },
		Log:    n.logger("operator"), Meter: n.opt.Meter, Tracer: n.opt.Tracer, Version: n.opt.Version,
	})
	n.run(n.back, runCtx, n.operator.Run)
	return nil
}

// listenAll opens a client socket for each node of a role.
func (n *Network) listenAll(ctx context.Context, nodes, port int, flag string) ([]front.Listener, error) {
	var listeners []front.Listener
	for i := range nodes {
		at := port
		if at != 0 {
			at += i
		}
		l, err := n.listen(ctx, at, flag)
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// addresses are where the listeners are bound.
func addresses(listeners []front.Listener) []string {
	var bound []string
	for _, l := range listeners {
		bound = append(bound, l.Addr().String())
	}
	return bound
}

// listen opens one client socket.
func (n *Network) listen(ctx context.Context, port int, flag string) (front.Listener, error) {
	ln, err := front.Listen(ctx, net.JoinHostPort(n.opt.Bind, strconv.Itoa(port)))
	if err != nil {
		return front.Listener{}, fmt.Errorf("%w; choose another with --%s", err, flag)
	}
	n.onClose(func() error { return ignoreClosed(ln.Close()) })
	host := n.opt.Advertise
	if host == "" && !net.ParseIP(n.opt.Bind).IsUnspecified() {
		host = n.opt.Bind
	}
	_, bound, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return front.Listener{}, fmt.Errorf("listen: %w", err)
	}
	return front.Listener{Listener: ln, Advertise: net.JoinHostPort(host, bound)}, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (n *Network) logger(role string) *slog.Logger { return n.opt.Log.With("role", role) }

// run keeps one service going. The first that fails is reported by Failed.
func (n *Network) run(group *errgroup.Group, ctx context.Context, service func(context.Context) error) {
	group.Go(func() error {
		err := service(ctx)
		if err != nil {
			select {
			case n.failed <- err:
			default:
			}
		}
		return err
	})
}

// await returns when the nodes are where the start has to wait for them.
func (n *Network) await(ctx context.Context, done func() bool) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the nodes to join: %w", ctx.Err())
		case err := <-n.failed:
			return err
		case <-tick.C:
		}
	}
	return nil
}

func ready[S interface{ Ready() error }](nodes []S) bool {
	for _, s := range nodes {
		if s.Ready() != nil {
			return false
		}
	}
	return true
}

func (n *Network) allKnown() bool {
	for _, s := range n.notifications {
		if n.dispatch.View().Node(s.ID()) == nil {
			return false
		}
		for _, b := range n.switchboards {
			if s.View().Node(b.ID()) == nil {
				return false
			}
		}
	}
	return true
}

// Dispatch returns host:port of the dispatch server.
func (n *Network) Dispatch() string { return n.dispatchAddr }

// Nodes returns how many notification nodes there are.
func (n *Network) Nodes() int { return len(n.notifications) }

// Notification returns host:port of the i-th notification node, counted from 0
// and around.
func (n *Network) Notification(i int) string {
	return n.notificationAddrs[i%len(n.notificationAddrs)]
}

// Switchboards returns how many switchboard nodes there are.
func (n *Network) Switchboards() int { return len(n.switchboards) }

// Switchboard returns host:port of the i-th switchboard node, counted from 0
// and around.
func (n *Network) Switchboard(i int) string {
	return n.switchboardAddrs[i%len(n.switchboardAddrs)]
}

// Redis returns the URL of the network's Redis, with the password of one that is
// embedded.
func (n *Network) Redis() string { return n.redisURL }

// Operator returns host:port of the operator, empty where none runs.
func (n *Network) Operator() string { return n.operatorAddr }

// Directory returns a client of the directory's service for nodes.
func (n *Network) Directory() directoryv1.DirectoryClient {
	return directoryv1.NewDirectoryClient(n.directory.conn)
}

// Accounts returns a client of the directory's service for operators.
func (n *Network) Accounts() directoryv1.AccountsClient {
	return directoryv1.NewAccountsClient(n.directory.conn)
}

// Failed yields the error of a service that ended by itself.
func (n *Network) Failed() <-chan error { return n.failed }

// Ready returns nil while clients can log in.
func (n *Network) Ready() error {
	faults := []error{n.dispatch.Ready()}
	for _, s := range n.notifications {
		faults = append(faults, s.Ready())
	}
	for _, s := range n.switchboards {
		faults = append(faults, s.Ready())
	}
	return errors.Join(faults...)
}

// Drain closes the sessions of all nodes evenly over their drain time, and
// waits for the conversations to end over theirs.
func (n *Network) Drain(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return n.dispatch.Drain(ctx) })
	for _, s := range n.notifications {
		group.Go(func() error { return s.Drain(ctx) })
	}
	for _, s := range n.switchboards {
		group.Go(func() error { return s.Drain(ctx) })
	}
	return group.Wait()
}

// DrainNode takes the i-th node of a role, notification or switchboard, out of
// service, counted from 0 and around. It returns when nobody is sent there any
// more.
func (n *Network) DrainNode(ctx context.Context, role string, i int) error {
	node, err := n.drainable(role, i)
	if err != nil {
		return err
	}
	node.BeginDrain()
	return n.await(ctx, func() bool { return n.allSee(node.ID(), clusterv1.State_STATE_DRAINING) })
}

// ResumeNode puts a node back into service that DrainNode has taken out. It
// returns when everybody knows.
func (n *Network) ResumeNode(ctx context.Context, role string, i int) error {
	node, err := n.drainable(role, i)
	if err != nil {
		return err
	}
	if !node.Resume() {
		return fmt.Errorf("resume %s %d: it is about to end", role, i)
	}
	return n.await(ctx, func() bool { return n.allSee(node.ID(), clusterv1.State_STATE_SERVING) })
}

// drainable is a node that can be taken out of service.
type drainable interface {
	ID() string
	BeginDrain()
	Resume() bool
}

func (n *Network) drainable(role string, i int) (drainable, error) {
	switch role {
	case "notification":
		return n.notifications[i%len(n.notifications)], nil
	case "switchboard":
		return n.switchboards[i%len(n.switchboards)], nil
	}
	return nil, fmt.Errorf("drain %s: there are only notification and switchboard", role)
}

// allSee reports whether a node is in a state for all who send clients to it.
func (n *Network) allSee(id string, state clusterv1.State) bool {
	if n.dispatch.View().Node(id).GetState() != state {
		return false
	}
	for _, s := range n.notifications {
		if s.View().Node(id).GetState() != state {
			return false
		}
	}
	return true
}

// Settle returns when everything that was sent between the nodes so far has
// been handled: after it, silence is a fact and not a matter of waiting.
func (n *Network) Settle(ctx context.Context) error { return n.notifications[0].Settle(ctx) }

func (n *Network) onClose(f func() error) { n.closers = append(n.closers, f) }

// Stop ends everything, clients first, and returns when nothing is left. To
// stop again does nothing.
func (n *Network) Stop() error {
	var faults []error
	if n.front != nil {
		n.stopFront()
		faults = append(faults, n.front.Wait())
		n.stopBack()
		faults = append(faults, n.back.Wait())
	}
	for i := len(n.closers) - 1; i >= 0; i-- {
		faults = append(faults, n.closers[i]())
	}
	n.closers = nil
	return errors.Join(faults...)
}

// ensureToken reads the token in the file, or makes one.
func ensureToken(path string) (tokens []string, err error) {
	b, err := os.ReadFile(path)
	switch {
	case err == nil:
		tokens, err = rpc.ParseTokens(string(b))
		if err == nil && len(tokens) == 0 {
			err = errors.New("the file is empty")
		}
		if err != nil {
			return nil, fmt.Errorf("read token %s: %w: delete the file to have a new one made", path, err)
		}
		return tokens, nil
	case !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("read token: %w", err)
	}
	token := rand.Text()
	if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("write token: %w", err)
	}
	return []string{token}, nil
}
