package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Service is one piece of work of a process.
type Service struct {
	// Name appears in errors and in the log.
	Name string
	// Run works until its context ends and returns when nothing of it is
	// left. To return earlier is a fault, with or without an error.
	Run func(ctx context.Context) error
	// Drain, if not nil, makes the service leave in good order while Run goes
	// on, and returns when there is nothing left to wait for. Its context has
	// the deadline of the drain and ends early at a second signal; Drain then
	// returns with the context's error, which is no fault.
	Drain func(ctx context.Context) error
}

// Serve runs services through the life of the process. It starts them in the
// order given, drains all of them together when the process is told to stop,
// and ends them in the reverse order, waiting for each. It also ends when ctx
// does, without a drain, and when a service ends by itself; then the error
// says which. Serve may be called once.
func (p *Process) Serve(ctx context.Context, services ...Service) error {
	if !p.startServing() {
		return nil
	}
	services = append([]Service{p.rereads()}, services...)

	ended := make(chan error, len(services)) // faults, first one wins
	stops := make([]func() error, len(services))
	for i, s := range services {
		stops[i] = p.start(ctx, s, ended)
	}

	var fault error
	select {
	case fault = <-ended:
	case <-ctx.Done():
	case <-p.draining:
		fault = p.drain(ctx, services, ended)
	}
	for i := len(stops) - 1; i >= 0; i-- {
		if err := stops[i](); err != nil && fault == nil {
			fault = err
		}
	}
	if fault == nil {
		select {
		case fault = <-ended: // while something else ended the serving
		default:
		}
	}
	return fault
}

// startServing says whether there is anything to serve for.
func (p *Process) startServing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.serving {
		panic("node: Serve called twice")
	}
	select {
	case <-p.draining:
		return false
	default:
	}
	p.serving = true
	p.ready.block("")
	return true
}

// start runs s on a goroutine of its own. If it ends before stop is called,
// ended receives why. stop ends it, waits, and returns the error of its end.
func (p *Process) start(ctx context.Context, s Service, ended chan<- error) (stop func() error) {
	// The context of a service does not end with the others': they end one
	// after another.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var (
		running  sync.WaitGroup
		stopping = make(chan struct{})
		err      error
	)
	running.Go(func() {
		err = s.Run(ctx)
		select {
		case <-stopping:
			if err != nil && !errors.Is(err, context.Canceled) {
				err = fmt.Errorf("stop %s: %w", s.Name, err)
			} else {
				err = nil
			}
		default:
			if err == nil {
				err = errors.New("ended by itself")
			}
			ended <- fmt.Errorf("run %s: %w", s.Name, err)
			err = nil // told once
		}
	})
	return func() error {
		close(stopping)
		cancel()
		running.Wait()
		return err
	}
}

// drain drains all services and returns when they are done, the time is up, or
// one of them ended by itself.
func (p *Process) drain(ctx context.Context, services []Service, ended <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, p.drainTimeout)
	defer cancel()
	p.Log.Info("drains", "timeout", p.drainTimeout.String())

	results := make(chan error, len(services))
	pending := 0
	for _, s := range services {
		if s.Drain == nil {
			continue
		}
		pending++
		go func() { // waited for through results
			err := s.Drain(ctx)
			if err != nil && ctx.Err() == nil {
				results <- fmt.Errorf("drain %s: %w", s.Name, err)
				return
			}
			results <- nil
		}()
	}
	var fault error
	for pending > 0 {
		select {
		case err := <-results:
			pending--
			if fault == nil {
				fault = err
			}
		case err := <-ended:
			cancel() // the rest of the drain has lost its ground
			if fault == nil {
				fault = err
			}
		}
	}
	switch {
	case fault != nil:
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		p.Log.Warn("drain ran out of time", "timeout", p.drainTimeout.String())
	case ctx.Err() != nil:
		p.Log.Warn("drain was cut short")
	default:
		p.Log.Info("drained")
	}
	return fault
}
