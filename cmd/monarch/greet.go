package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/monarch-msn/monarch/internal/node"
	"github.com/monarch-msn/monarch/internal/rpc"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

const (
	// patientFor is how long a directory may not answer before the log says so:
	// roles start in any order.
	patientFor = 5 * time.Second
	// greetEvery is how often a directory that has answered is called again: a
	// token that is changed wrongly is noticed before somebody wonders why nobody
	// can log in.
	greetEvery = 10 * time.Second
)

// A greeting calls the directory for as long as the process serves. A process is
// not ready before a directory has answered, nor while one refuses its token:
// both are mostly mistakes, and whoever replaces one process after the other
// should stop there. It serves all the same, and stays ready through an outage.
type greeting struct {
	p      *node.Process
	target string
	flag   string // names the file with the token of the call
	call   func(context.Context) error

	unready atomic.Pointer[string] // why it is not ready; nil if it is
}

// greet returns the service that greets, and makes the process ready by it.
func greet(p *node.Process, target, flag string, call func(context.Context) error) node.Service {
	g := newGreeting(p, target, flag, call)
	p.Ready("directory", g.ready)
	return node.Service{Name: "greeting of the directory", Run: g.run}
}

func newGreeting(p *node.Process, target, flag string, call func(context.Context) error) *greeting {
	g := &greeting{p: p, target: target, flag: flag, call: call}
	waits := "waiting for the directory at " + target
	g.unready.Store(&waits)
	return g
}

func (g *greeting) ready() error {
	if why := g.unready.Load(); why != nil {
		return errors.New(*why)
	}
	return nil
}

func (g *greeting) run(ctx context.Context) error {
	begun, pause := time.Now(), firstPause
	answered, told := false, "" // whether it ever has, and what the log was told
	for {
		err := g.call(ctx)
		if ctx.Err() != nil {
			return nil
		}
		why, refused := g.explain(err)
		switch {
		case why == "":
			answered = true
			g.unready.Store(nil)
			g.p.Detail("directory", "answers")
			if told != "" {
				g.p.Log.Info("the directory answers")
				told = ""
			}
		case refused || !answered:
			g.unready.Store(&why)
			fallthrough
		default:
			g.p.Detail("directory", why)
			if why != told && (refused || !answered && time.Since(begun) > patientFor) {
				g.p.Log.Warn(why, "error", err)
				told = why
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		pause = min(2*pause, maxPause)
		if answered {
			pause = greetEvery
		}
	}
}

// explain says in a sentence what keeps the process from the directory; "" if
// nothing does. refused says that it is the token.
func (g *greeting) explain(err error) (why string, refused bool) {
	switch {
	case err == nil, rpc.Reason(err) != directoryv1.Reason_REASON_UNSPECIFIED:
		return "", false
	case status.Code(err) == codes.Unauthenticated:
		return "the directory refuses the token of " + g.flag + ": all processes of a network need the same", true
	case status.Code(err) == codes.PermissionDenied:
		return "the directory was given no token, and answers on its own machine alone: set " + g.flag + " there too", true
	case rpc.Unavailable(err):
		return "no directory answers at " + g.target, false
	}
	return "", false // it answers, be it with a fault of its own
}
