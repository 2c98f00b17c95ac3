package node

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestProfilesAreForLoopbackPeers(t *testing.T) {
	h := loopbackOnly(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	for peer, want := range map[string]int{
		"127.0.0.1:4000":          200,
		"127.1.2.3:4000":          200,
		"[::1]:4000":              200,
		"[::ffff:127.0.0.1]:4000": 200,
		"10.0.0.1:4000":           403,
		"[::ffff:10.0.0.1]:4000":  403,
		"[2001:db8::1]:4000":      403,
		"":                        403,
	} {
		r := httptest.NewRequest("GET", "/debug/pprof/heap", nil)
		r.RemoteAddr = peer
		// What a proxy claims does not count.
		r.Header.Set("X-Forwarded-For", "127.0.0.1")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("peer %q: want %d, got %d", peer, want, w.Code)
		}
	}
}

func TestReadyReplacesByName(t *testing.T) {
	var r readiness
	r.add("store", func() error { return errors.New("away") })
	r.add("store", func() error { return nil })
	r.detail("address", "unknown")
	r.detail("address", "203.0.113.5:1863")
	text, ready := r.report(true)
	if want := "ok: store\nready\naddress: 203.0.113.5:1863\n"; !ready || text != want {
		t.Errorf("want %q, got %q (ready %v)", want, text, ready)
	}
}

// A process that waits says what for, until it serves or is told to stop.
func TestWaits(t *testing.T) {
	p := &Process{draining: make(chan struct{}), cancel: func() {}}
	says := func(want string) {
		t.Helper()
		if text, _ := p.ready.report(false); text != want {
			t.Errorf("want %q, got %q", want, text)
		}
	}
	p.Waits(errors.New("redis is away\nand asleep"))
	says("not ready: starting: redis is away; and asleep\n")
	p.startServing()
	p.Waits(errors.New("late"))
	says("ready\n")
	p.signalled()
	p.Waits(errors.New("later"))
	says("not ready: draining\n")
}
