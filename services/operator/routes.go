package operator

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

//go:embed openapi.yaml
var openAPI []byte

// route is one row of the interface. Every row stands in openapi.yaml too,
// and the reverse; a test holds them together.
type route struct {
	// pattern is a method and a path, as http.ServeMux reads them.
	pattern string
	// open routes ask for no token.
	open bool
	// status is the answer's, where it is not 200, or 204 without a body.
	status int
	// handle reads the request and returns what to answer: nil, a document,
	// or anything that becomes JSON.
	handle func(r *http.Request) (any, error)
}

// document is an answer that is not JSON.
type document struct {
	contentType string
	body        []byte
}

func (s *Service) routes() []route {
	return []route{
		{pattern: "GET /healthz", open: true, handle: s.getHealth},
		{pattern: "GET /api/v1/openapi.yaml", open: true, handle: s.getOpenAPI},

		{pattern: "GET /api/v1/accounts", handle: s.listAccounts},
		{pattern: "POST /api/v1/accounts", status: http.StatusCreated, handle: s.createAccount},
		{pattern: "POST /api/v1/accounts/batch", handle: s.createAccounts},
		{pattern: "GET /api/v1/accounts/{email}", handle: s.getAccount},
		{pattern: "DELETE /api/v1/accounts/{email}", handle: s.deleteAccount},
		{pattern: "POST /api/v1/accounts/{email}/disable", handle: s.disableAccount},
		{pattern: "POST /api/v1/accounts/{email}/enable", handle: s.enableAccount},
		{pattern: "PUT /api/v1/accounts/{email}/password", handle: s.setPassword},

		{pattern: "POST /api/v1/contacts/batch", handle: s.importContacts},

		{pattern: "GET /api/v1/nodes", handle: s.listNodes},
		{pattern: "POST /api/v1/nodes/{node}/drain", handle: s.drainNode},
		{pattern: "POST /api/v1/nodes/{node}/resume", handle: s.resumeNode},
		{pattern: "GET /api/v1/nodes/{node}/sessions", handle: s.listSessions},

		{pattern: "GET /api/v1/sessions/{email}", handle: s.getSession},
		{pattern: "DELETE /api/v1/sessions/{email}", handle: s.kickSession},
		{pattern: "POST /api/v1/sessions/{email}/mail", handle: s.reportMail},
		{pattern: "PUT /api/v1/sessions/{email}/status", handle: s.setStatus},

		{pattern: "POST /api/v1/announcements", handle: s.announce},
	}
}

// ServeHTTP answers one request.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler, pattern := s.mux.Handler(r)
	if pattern == "" {
		s.serveUnknown(w, r, handler)
		return
	}
	s.mux.ServeHTTP(w, r) // It also fills the path's values in.
}

// serveUnknown answers for a path or a method that no route has. The mux
// knows which of the two it is, but says so in plain text.
func (s *Service) serveUnknown(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	verdict := &verdict{header: make(http.Header)}
	handler.ServeHTTP(verdict, r)
	if verdict.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", verdict.header.Get("Allow"))
		writeError(w, refuse(http.StatusMethodNotAllowed, "%s does not take %s, only %s",
			r.URL.Path, r.Method, verdict.header.Get("Allow")))
		return
	}
	writeError(w, refuse(http.StatusNotFound, "there is nothing at %q (see /api/v1/openapi.yaml)", r.URL.Path))
}

// verdict is a ResponseWriter that keeps only the head of an answer.
type verdict struct {
	header http.Header
	status int
}

func (v *verdict) Header() http.Header         { return v.header }
func (v *verdict) WriteHeader(status int)      { v.status = status }
func (v *verdict) Write(b []byte) (int, error) { return len(b), nil }

// serve wraps a route in what all of them share: token, bounds, deadline, and
// the record in log and telemetry.
func (s *Service) serve(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		ctx, span := s.observe.start(r.Context(), rt.pattern)
		defer span.End()
		ctx, cancel := context.WithTimeout(ctx, s.cfg.RequestTimeout)
		defer cancel()
		r = r.WithContext(ctx)
		r.Body = http.MaxBytesReader(w, r.Body, s.cfg.BodyBytes)
		w.Header().Set("Cache-Control", "no-store")

		answer, err := s.run(rt, w, r)
		var status int
		if err != nil {
			status = writeError(w, err)
		} else {
			status = writeAnswer(w, rt.status, answer)
		}
		elapsed := time.Since(start)
		s.observe.done(ctx, span, rt.pattern, status, elapsed)
		s.record(r, rt, status, elapsed, err)
	})
}

// run calls the handler. A route that is not open wants the token first, and
// then one of the slots for requests at once; whether the process is healthy
// is answered also where it has too much to do.
func (s *Service) run(rt route, w http.ResponseWriter, r *http.Request) (any, error) {
	if rt.open {
		return rt.handle(r)
	}
	if !s.authorized(r) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="monarch"`)
		return nil, refuse(http.StatusUnauthorized, "the bearer token is missing or wrong")
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		w.Header().Set("Retry-After", "1")
		return nil, refuse(http.StatusServiceUnavailable, "too many requests are under way, try again in a moment")
	}
	return rt.handle(r)
}

// authorized compares digests, so that the time tells neither the length of
// a token nor how much of it was right.
func (s *Service) authorized(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	got, right := sha256.Sum256([]byte(strings.TrimSpace(token))), 0
	for _, token := range s.tokens() {
		want := sha256.Sum256([]byte(token))
		right |= subtle.ConstantTimeCompare(got[:], want[:])
	}
	return right == 1 && strings.EqualFold(scheme, "Bearer")
}

// record logs a request: what changes something at Info, as the trail of what
// operators did, what only reads at Debug, and faults at Warn. Bodies hold
// passwords and are never logged.
func (s *Service) record(r *http.Request, rt route, status int, elapsed time.Duration, err error) {
	level := slog.LevelDebug
	if r.Method != http.MethodGet || status == http.StatusUnauthorized {
		level = slog.LevelInfo
	}
	if status >= http.StatusInternalServerError {
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{
		slog.String("route", rt.pattern),
		slog.String("remote", r.RemoteAddr),
		slog.Int("status", status),
		slog.Duration("elapsed", elapsed),
	}
	if email := r.PathValue("email"); email != "" {
		attrs = append(attrs, slog.String("email", email))
	}
	if node := r.PathValue("node"); node != "" {
		attrs = append(attrs, slog.String("node", node))
	}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	s.log.LogAttrs(r.Context(), level, "request", attrs...)
}

func (s *Service) getHealth(*http.Request) (any, error) {
	return document{contentType: "text/plain; charset=utf-8", body: []byte("ok\n")}, nil
}

func (s *Service) getOpenAPI(*http.Request) (any, error) {
	return document{contentType: "application/yaml; charset=utf-8", body: openAPI}, nil
}
