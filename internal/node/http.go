package node

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// newHandler serves what the process shows of itself. Nothing here changes
// state.
func newHandler(p *Process, tel *telemetry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(tel.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(p.Log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		EnableOpenMetrics:   true, // carries exemplars, so that a latency leads to its trace
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
	}))
	// Liveness is the process alone: an outage of a store must not restart
	// every node.
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.Handle("GET /readyz", &p.ready)

	mux.Handle("/debug/pprof/", loopbackOnly(pprof.Index))
	mux.Handle("/debug/pprof/cmdline", loopbackOnly(pprof.Cmdline))
	mux.Handle("/debug/pprof/profile", loopbackOnly(pprof.Profile))
	mux.Handle("/debug/pprof/symbol", loopbackOnly(pprof.Symbol))
	mux.Handle("/debug/pprof/trace", loopbackOnly(pprof.Trace))
	return mux
}

// loopbackOnly refuses peers from elsewhere: profiles show memory and may slow
// the process, and the telemetry listener may be open to a whole cluster.
func loopbackOnly(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !peer.Addr().Unmap().IsLoopback() {
			http.Error(w, "profiles are served to loopback peers only", http.StatusForbidden)
			return
		}
		h(w, r)
	})
}

// serveHTTP serves p on ln until stop is called, which waits.
func serveHTTP(ln net.Listener, p *Process, tel *telemetry) (stop func()) {
	server := &http.Server{
		Handler:           newHandler(p, tel),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(p.Log.Handler(), slog.LevelWarn),
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			p.Log.Error("telemetry is not served any more", "error", err)
		}
	})
	return func() {
		end, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if server.Shutdown(end) != nil {
			_ = server.Close() // cuts off what is under way, such as a profile
		}
		serving.Wait()
	}
}
