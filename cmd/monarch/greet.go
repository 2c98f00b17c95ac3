package main

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/monarch-msn/monarch/internal/node"
)

// patientFor is how long a directory may not answer before the log says so:
// roles start in any order.
const patientFor = 5 * time.Second

// greet calls the directory until it answers once. A role serves meanwhile, as
// it does through an outage; but what keeps it from the directory from the start
// on is mostly a mistake, and the log and /readyz?verbose tell which. flag is the
// one that names the file with the token of the call.
func greet(p *node.Process, target, flag string, call func(context.Context) error) node.Service {
	return node.Service{Name: "greeting of the directory", Run: func(ctx context.Context) error {
		begun, told := time.Now(), ""
		for pause := firstPause; ; pause = min(2*pause, maxPause) {
			err := call(ctx)
			if ctx.Err() != nil {
				return nil
			}
			if err == nil {
				break
			}
			says := "no directory answers at " + target
			refused := status.Code(err) == codes.Unauthenticated
			if refused {
				says = "the directory refuses the token of " + flag + ": all processes of a network need the same"
			}
			p.Detail("directory", says)
			if says != told && (refused || time.Since(begun) > patientFor) {
				p.Log.Warn(says, "error", err)
				told = says
			}
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return nil
			}
		}
		p.Detail("directory", "has answered")
		if told != "" {
			p.Log.Info("the directory answers")
		}
		<-ctx.Done()
		return nil
	}}
}
