package directory

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/monarch-msn/monarch/services/directory/store"
)

// quietFor is how long faults of one kind are only counted after one of them
// was logged. An outage makes thousands, and one line says it.
const quietFor = 10 * time.Second

// faults logs what goes wrong, one line for a burst.
type faults struct {
	log *slog.Logger

	mu     sync.Mutex
	bursts map[string]*burst
	full   bool // the last change found no space
}

type burst struct {
	logged time.Time
	silent int // faults since
}

// burst counts a fault and reports whether to log it, and how many before it
// were not.
func (f *faults) burst(kind string) (say bool, silent int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.bursts[kind]
	if b == nil {
		b = new(burst)
		f.bursts[kind] = b
	}
	if now := time.Now(); now.Sub(b.logged) >= quietFor {
		silent, *b = b.silent, burst{logged: now}
		return true, silent
	}
	b.silent++
	return false, 0
}

// say logs a fault unless its burst has been logged. Kinds are a closed set.
func (f *faults) say(ctx context.Context, level slog.Level, kind, text, method string, err error) {
	if say, silent := f.burst(kind); say {
		f.log.Log(ctx, level, text, "method", method, "error", err, "more_before", silent)
	}
}

// fault turns an error that is no refusal into a status. The caller learns no
// detail, the log does.
func (f *faults) fault(ctx context.Context, method string, err error) (result string, _ error) {
	switch ended := context.Cause(ctx); {
	case errors.Is(err, errCrowded):
		f.say(ctx, slog.LevelWarn, "crowded", "calls are refused: too many wait for the database", method, err)
		return resultBusy, status.Error(codes.ResourceExhausted, method+": "+errCrowded.Error())
	case errors.Is(ended, context.Canceled):
		return resultFault, status.Error(codes.Canceled, method+": the caller left")
	case ended != nil:
		f.say(ctx, slog.LevelWarn, "slow", "call took too long", method, err)
		return resultFault, status.Error(codes.DeadlineExceeded, method+": no answer from the database in time")
	case errors.Is(err, store.ErrFull):
		f.setFull(true)
		f.say(ctx, slog.LevelError, "full", "edits are refused: the database has no space left", method, err)
		return resultFault, status.Error(codes.Unavailable, method+": the database has no space left")
	case errors.Is(err, store.ErrUnreachable):
		f.say(ctx, slog.LevelError, "away", "calls fail: the database is away", method, err)
		return resultFault, status.Error(codes.Unavailable, method+": the database is away")
	}
	f.say(ctx, slog.LevelError, method, "call failed", method, err)
	return resultFault, status.Error(codes.Unavailable, method+": the database failed")
}

// changed notes that a change succeeded.
func (f *faults) changed(ctx context.Context) {
	if f.setFull(false) {
		f.log.InfoContext(ctx, "edits are taken again: the database has space")
	}
}

func (f *faults) setFull(full bool) (was bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was, f.full = f.full, full
	return was
}
