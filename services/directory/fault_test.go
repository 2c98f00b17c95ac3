package directory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	_ "modernc.org/sqlite"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/directory/store"
)

func TestABurstOfFaultsIsOneLine(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		code codes.Code
		want string
	}{
		{"a full database", fmt.Errorf("%w: disk", store.ErrFull), codes.Unavailable, "no space left"},
		{"a database that is away", fmt.Errorf("%w: refused", store.ErrUnreachable), codes.Unavailable, "database is away"},
		{"too many calls", errCrowded, codes.ResourceExhausted, "too many wait"},
		{"anything else", errors.New("a bug"), codes.Unavailable, "a bug"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := start(t, defaults(t))
			for range 1000 {
				if _, err := n.server.judge(t.Context(), "AddMember", tc.err); status.Code(err) != tc.code {
					t.Fatalf("want %v, got %v", tc.code, err)
				}
			}
			if got := strings.Count(n.log.String(), "\n"); got != 1 || !strings.Contains(n.log.String(), tc.want) {
				t.Errorf("want one line with %q, got %s", tc.want, n.log)
			}
		})
	}
}

func TestTheEndOfAFullDatabaseIsSaidOnce(t *testing.T) {
	n := start(t, defaults(t))
	n.signUp(t, "alice")
	_, _ = n.server.judge(t.Context(), "AddGroup", store.ErrFull)
	for version := range uint32(2) {
		if _, err := n.AddGroup(t.Context(), &directoryv1.AddGroupRequest{Edit: edit("alice", 1+version), Name: "A"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Count(n.log.String(), "taken again"); got != 1 {
		t.Errorf("want it said once, got %s", n.log)
	}
}

// While somebody else writes to the file, edits wait; reads and logins go on,
// and so does the watch.
func TestALockedSQLiteFileHoldsUpEditsOnly(t *testing.T) {
	cfg := defaults(t)
	cfg.Calls, cfg.Logins, cfg.QueueTimeout = 4, 2, 10*time.Millisecond
	n := start(t, cfg)
	n.signUp(t, "alice")
	other, err := sql.Open("sqlite", "file:"+n.path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	if _, err := other.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	answers := make(chan error)
	const many = 20
	for range many {
		go func() {
			_, err := n.AddGroup(ctx, &directoryv1.AddGroupRequest{Edit: edit("alice", 1), Name: "A"})
			answers <- err
		}()
	}
	// All but those who have a place are refused.
	for range many - 3 {
		if err := <-answers; status.Code(err) != codes.ResourceExhausted {
			t.Errorf("want ResourceExhausted, got %v", err)
		}
	}
	n.mustLogin(t, "alice")
	if err := n.server.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	leave()
	for range 3 {
		if err := <-answers; status.Code(err) != codes.Canceled {
			t.Errorf("want Canceled, got %v", err)
		}
	}
	if _, err := other.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if _, err := n.AddGroup(t.Context(), &directoryv1.AddGroupRequest{Edit: edit("alice", 1), Name: "A"}); err != nil {
		t.Errorf("when it is over: %v", err)
	}
}

// mustLogin logs in and reads the lists.
func (n *network) mustLogin(t *testing.T, name string) {
	t.Helper()
	if _, err := n.Login(t.Context(), &directoryv1.LoginRequest{Email: address(name), Challenge: "1.2", Response: answerTo("1.2", "secret-"+name)}); err != nil {
		t.Errorf("log in: %v", err)
	}
	if _, err := n.Snapshot(t.Context(), &directoryv1.SnapshotRequest{Email: address(name)}); err != nil {
		t.Errorf("read lists: %v", err)
	}
}

// A relay stands between the directory and PostgreSQL, and may fall silent.
type relay struct {
	ln      net.Listener
	target  string
	running sync.WaitGroup

	mu    sync.Mutex
	open  *sync.Cond
	quiet bool
	conns map[net.Conn]bool
	most  int // connections at the same time
}

func startRelay(t *testing.T, target string) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{ln: ln, target: target, conns: map[net.Conn]bool{}}
	r.open = sync.NewCond(&r.mu)
	r.running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			r.running.Go(func() { r.serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		r.silence(false)
		r.mu.Lock()
		for c := range r.conns {
			c.Close()
		}
		r.mu.Unlock()
		r.running.Wait()
	})
	return r
}

func (r *relay) silence(quiet bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.quiet = quiet
	r.open.Broadcast()
}

// serve joins a connection with one of its own, as soon as it may speak.
func (r *relay) serve(c net.Conn) {
	r.pass()
	s, err := net.Dial("tcp", r.target)
	if err != nil {
		c.Close()
		return
	}
	r.mu.Lock()
	r.conns[c], r.conns[s] = true, true
	r.most = max(r.most, len(r.conns)/2)
	r.mu.Unlock()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{c, s}, {s, c}} {
		both.Go(func() {
			_, _ = io.Copy(passing{way[0], r}, way[1]) // until one of them ends
			way[0].Close()
			way[1].Close()
		})
	}
	both.Wait()
	r.mu.Lock()
	delete(r.conns, c)
	delete(r.conns, s)
	r.mu.Unlock()
}

// pass returns when the relay is not silent.
func (r *relay) pass() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.quiet {
		r.open.Wait()
	}
}

type passing struct {
	net.Conn
	relay *relay
}

func (p passing) Write(b []byte) (int, error) {
	p.relay.pass()
	return p.Conn.Write(b)
}

// A PostgreSQL server that falls silent ends in refusals, not in a pile; the
// watch says that it is away, and when it is back.
func TestASilentPostgresIsAway(t *testing.T) {
	text := os.Getenv("MONARCH_TEST_POSTGRES")
	if text == "" {
		t.Skip("MONARCH_TEST_POSTGRES is not set")
	}
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", text)
	if err != nil {
		t.Fatal(err)
	}
	schema := fmt.Sprintf("silent_%d", time.Now().UnixNano())
	if _, err := db.Exec("CREATE SCHEMA " + schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := db.Exec("DROP SCHEMA " + schema + " CASCADE"); err != nil {
			t.Error(err)
		}
		db.Close()
	})
	relay := startRelay(t, u.Host)
	q := u.Query()
	q.Set("search_path", schema)
	u.Host, u.RawQuery = relay.ln.Addr().String(), q.Encode()
	cfg := defaults(t)
	cfg.Calls, cfg.Logins, cfg.Queue, cfg.QueueTimeout, cfg.CallTimeout = 4, 2, 8, 20*time.Millisecond, 200*time.Millisecond
	n := startOn(t, cfg, u.String())
	n.signUp(t, "alice")

	serving := make(chan bool, 2)
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() {
		_ = n.server.Watch(ctx, func(yes bool) { serving <- yes })
	})
	t.Cleanup(func() {
		cancel()
		watching.Wait()
	})
	relay.silence(true)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			_, err := n.Login(t.Context(), &directoryv1.LoginRequest{Email: address("alice"), Challenge: "1.2", Response: answerTo("1.2", "secret-alice")})
			if c := status.Code(err); c != codes.ResourceExhausted && c != codes.DeadlineExceeded && c != codes.Unavailable {
				t.Errorf("want a refusal, got %v", err)
			}
		})
	}
	all.Wait()
	if <-serving {
		t.Fatal("want it to be away")
	}
	brief, end := context.WithTimeout(t.Context(), time.Second)
	defer end()
	if err := n.server.Ready(brief); !errors.Is(err, store.ErrUnreachable) {
		t.Errorf("want it unreachable, got %v", err)
	}
	relay.silence(false)
	if !<-serving {
		t.Fatal("want it to be back")
	}
	n.mustLogin(t, "alice")
	if got := strings.Count(n.log.String(), "the database is back"); got != 1 {
		t.Errorf("want it said once, got %s", n.log)
	}
	relay.mu.Lock()
	defer relay.mu.Unlock()
	// Each of the pool, and the one by which it is asked to give up.
	if limit := 2 * (cfg.Calls + 1); relay.most > limit {
		t.Errorf("want at most %d connections, got %d", limit, relay.most)
	}
}
