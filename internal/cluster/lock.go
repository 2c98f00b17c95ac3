package cluster

import (
	"context"
	"sync"
)

// keyedLock is a lock for each key, waited for no longer than a context lasts.
// It holds memory for keys that are locked or waited for only.
type keyedLock struct {
	mu   sync.Mutex
	held map[string]*turn
	// before is set by tests that decide who goes next; it is called ahead of
	// each attempt to take a lock.
	before func(ctx context.Context, key string)
}

type turn struct {
	token chan struct{} // holds one value while the key is free
	users int           // that hold or wait
}

// lock takes the lock for key; unlock gives it back.
func (l *keyedLock) lock(ctx context.Context, key string) (unlock func(), err error) {
	if l.before != nil {
		l.before(ctx, key)
	}
	l.mu.Lock()
	t := l.held[key]
	if t == nil {
		t = &turn{token: make(chan struct{}, 1)}
		t.token <- struct{}{}
		if l.held == nil {
			l.held = make(map[string]*turn)
		}
		l.held[key] = t
	}
	t.users++
	l.mu.Unlock()

	select {
	case <-t.token:
		return func() {
			t.token <- struct{}{}
			l.drop(key, t)
		}, nil
	case <-ctx.Done():
		l.drop(key, t)
		return nil, ctx.Err()
	}
}

func (l *keyedLock) drop(key string, t *turn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.users--; t.users == 0 {
		delete(l.held, key)
	}
}
