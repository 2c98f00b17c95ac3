package node

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// readiness answers /readyz. The zero value is ready.
type readiness struct {
	mu      sync.Mutex
	blocked string // why the process as a whole is not ready; "" when it may be
	checks  []check
	details []detail
}

type check struct {
	name string
	met  func() error
}

type detail struct{ name, value string }

func (r *readiness) block(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blocked = why
}

func (r *readiness) add(name string, met func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.checks {
		if r.checks[i].name == name {
			r.checks[i].met = met
			return
		}
	}
	r.checks = append(r.checks, check{name, met})
}

func (r *readiness) detail(name, value string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.details {
		if r.details[i].name == name {
			r.details[i].value = value
			return
		}
	}
	r.details = append(r.details, detail{name, value})
}

// report asks all checks, outside the lock, since they are others' code.
func (r *readiness) report(verbose bool) (text string, ready bool) {
	r.mu.Lock()
	blocked := r.blocked
	checks := append([]check(nil), r.checks...)
	details := append([]detail(nil), r.details...)
	r.mu.Unlock()

	var b strings.Builder
	ready = blocked == ""
	if !ready {
		fmt.Fprintf(&b, "not ready: %s\n", blocked)
	}
	for _, c := range checks {
		err := c.met()
		switch {
		case err != nil:
			ready = false
			fmt.Fprintf(&b, "not ready: %s: %s\n", c.name, strings.ReplaceAll(err.Error(), "\n", "; "))
		case verbose:
			fmt.Fprintf(&b, "ok: %s\n", c.name)
		}
	}
	if ready {
		b.WriteString("ready\n")
	}
	if verbose {
		for _, d := range details {
			fmt.Fprintf(&b, "%s: %s\n", d.name, d.value)
		}
	}
	return b.String(), ready
}

// ServeHTTP answers 200 or 503, with the reasons for the latter; with
// ?verbose also what is well, and the details.
func (r *readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	text, ready := r.report(req.URL.Query().Has("verbose"))
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if !ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write([]byte(text)) // a prober that hung up needs no answer
}
