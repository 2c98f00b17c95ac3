package front

import "sync"

// Tasks are goroutines that sessions, or what others say to them, set off, and
// that a service waits for before it ends. Unlike those of a sync.WaitGroup they
// may begin while somebody waits already, as when the last messages come in.
// The zero value is ready. All methods may be called from any goroutine.
type Tasks struct {
	mu    sync.Mutex
	count int           // of those under way
	idle  chan struct{} // if somebody waits: closed when none is under way
}

// Go runs f on a goroutine of its own.
func (t *Tasks) Go(f func()) {
	t.mu.Lock()
	t.count++
	t.mu.Unlock()
	go func() {
		defer t.done()
		f()
	}()
}

func (t *Tasks) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count--; t.count == 0 && t.idle != nil {
		close(t.idle)
		t.idle = nil
	}
}

// Wait returns as soon as none is under way, be it for a moment.
func (t *Tasks) Wait() {
	t.mu.Lock()
	if t.count == 0 {
		t.mu.Unlock()
		return
	}
	if t.idle == nil {
		t.idle = make(chan struct{})
	}
	idle := t.idle
	t.mu.Unlock()
	<-idle
}
