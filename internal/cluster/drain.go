package cluster

import (
	"context"
	"sync"
	"time"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
)

// A Drain takes a node out of service, and back if whoever asked for it thinks
// better of it:
//
//	serving ─Begin─▶ draining ─two refreshes─▶ alone ─empty─▶ done
//	   ▲                 │                       │              │
//	   └──────────────Resume─────────────────────┴──────────────┘
//
// From Begin on the lease says that the node drains, so that nobody picks it
// any more; two refreshes later that holds for everybody's view, and the node
// is alone with the clients that it has. Leave is Begin by the process itself,
// which ends behind it: from there no Resume leads back.
//
// All methods may be called from any goroutine.
type Drain struct {
	m     *Member
	empty func(ctx context.Context)
	wake  chan struct{}
	ended chan struct{} // Run has returned

	mu    sync.Mutex
	run   *draining // nil while the node serves
	final bool
}

// draining is one drain, from Begin to Resume.
type draining struct {
	ctx    context.Context
	cancel context.CancelFunc
	alone  chan struct{}
	done   chan struct{}
	taken  bool // Run has it, or had it
}

// Drain prepares the drain of a node. empty has the clients leave and returns
// when there is nothing left to wait for; at the latest when its context ends.
func (m *Member) Drain(empty func(ctx context.Context)) *Drain {
	return &Drain{m: m, empty: empty, wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

// Run does the work until ctx ends, and then returns nil. It is called once.
func (d *Drain) Run(ctx context.Context) error {
	defer close(d.ended)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.wake:
		}
		if run := d.take(); run != nil {
			stop := context.AfterFunc(ctx, run.cancel)
			d.work(run)
			stop()
		}
	}
}

// take returns the drain that nobody has worked on yet, if there is one.
func (d *Drain) take() *draining {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.run == nil || d.run.taken {
		return nil
	}
	d.run.taken = true
	return d.run
}

func (d *Drain) work(run *draining) {
	timer := time.NewTimer(2 * d.m.timing.Refresh)
	defer timer.Stop()
	select {
	case <-run.ctx.Done():
		return
	case <-timer.C:
	}
	close(run.alone)
	d.empty(run.ctx)
	if run.ctx.Err() == nil {
		d.m.log.Info("drained", "node", d.m.ID())
		close(run.done)
	}
}

// Begin has the node drain. One that drains already goes on with that.
func (d *Drain) Begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.begin()
}

// begin is Begin for whoever holds mu.
func (d *Drain) begin() *draining {
	if d.run != nil {
		return d.run
	}
	run := &draining{alone: make(chan struct{}), done: make(chan struct{})}
	run.ctx, run.cancel = context.WithCancel(context.Background())
	d.run = run
	d.m.SetState(clusterv1.State_STATE_DRAINING)
	d.m.log.Info("drains", "node", d.m.ID())
	select {
	case d.wake <- struct{}{}:
	default:
	}
	return run
}

// Resume puts the node back into service. It reports whether the node serves:
// it does not if the process is about to end.
func (d *Drain) Resume() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.final {
		return false
	}
	if d.run == nil {
		return true
	}
	d.run.cancel()
	d.run = nil
	d.m.SetState(clusterv1.State_STATE_SERVING)
	d.m.log.Info("serves again", "node", d.m.ID())
	return true
}

// Leave has the node drain for good, and returns when that is done, with nil,
// or when ctx or Run ended before, with an error.
func (d *Drain) Leave(ctx context.Context) error {
	d.mu.Lock()
	d.final = true
	run := d.begin()
	d.mu.Unlock()
	select {
	case <-run.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-d.ended:
		return errEnded
	}
}

// Draining reports whether the node is being taken out of service, or is out of
// it.
func (d *Drain) Draining() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.run != nil
}

// Alone reports whether the node drains and nobody is sent to it any more.
func (d *Drain) Alone() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.run == nil {
		return false
	}
	select {
	case <-d.run.alone:
		return true
	default:
		return false
	}
}

// Deliver does what a message of kind Drain asks for, and answers with the state
// that the node has from then on. Handlers call it with what they were given.
func (d *Drain) Deliver(from string, msg *clusterv1.Message) {
	state := clusterv1.State_STATE_DRAINING
	if !msg.GetDrain().GetResume() {
		d.Begin()
	} else if d.Resume() {
		state = clusterv1.State_STATE_SERVING
	}
	if msg.GetAsk() != 0 {
		d.m.Answer(from, msg.GetAsk(), &clusterv1.Message{Kind: &clusterv1.Message_Drain{
			Drain: &clusterv1.Drain{State: state},
		}})
	}
}
