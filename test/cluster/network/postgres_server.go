package network

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Postgres is a PostgreSQL server of the test's own, to which anything may
// happen, or a primary with a standby. Its methods act on what is the primary
// at the time. They return errors and may be called from any goroutine, one
// after another.
//
// A commit is acknowledged when it is in the log, as in production. The log is
// not forced to the disk: a server that is killed leaves what it wrote to the
// operating system, and no test here cuts the power of a machine.
type Postgres struct {
	// URL is that of an empty database, for a directory. It names all servers,
	// and has clients look for the one that takes writes.
	URL string

	t       testing.TB
	servers []*postgresServer // [0] is the primary
}

// postgresServer is one server. The process is always allowed to end: a server
// that cannot write its log ends by itself.
type postgresServer struct {
	*Process
	dir, data string
	port      int
	as        *syscall.Credential // nil for our own
}

const (
	postgresUser     = "monarch"
	postgresDatabase = "monarch_test"
)

// StartPostgres starts a server and returns when it takes writes.
func StartPostgres(t testing.TB) *Postgres {
	t.Helper()
	return startPostgres(t, nil, "")
}

// StartPostgresOnDisk starts a server with all its files, its log among them,
// on a disk that can be filled: it then ends, and does not start again before
// there is space. The log is in pieces of a megabyte.
func StartPostgresOnDisk(t testing.TB, disk *Disk) *Postgres {
	t.Helper()
	return startPostgres(t, disk, "")
}

// StartPostgresTablesOnDisk starts a server with nothing but the tables on a
// disk that can be filled: it then goes on, and refuses what needs space.
func StartPostgresTablesOnDisk(t testing.TB, disk *Disk) *Postgres {
	t.Helper()
	return startPostgres(t, nil, disk.Path)
}

// StartPostgresPair starts a primary and a standby that has all that the
// primary acknowledges.
func StartPostgresPair(t testing.TB) *Postgres {
	t.Helper()
	p := startPostgres(t, nil, "")
	standby := newPostgresServer(t, nil)
	p.servers = append(p.servers, standby)
	if err := p.follow(t.Context(), standby); err != nil {
		t.Fatal(err)
	}
	standby.launch(t, "postgres 2")
	if err := p.awaitStandby(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.URL = fmt.Sprintf("postgres://%s@%s,%s/%s?sslmode=disable&target_session_attrs=read-write",
		postgresUser, p.servers[0].addr(), standby.addr(), postgresDatabase)
	return p
}

func startPostgres(t testing.TB, disk *Disk, tables string) *Postgres {
	t.Helper()
	s := newPostgresServer(t, disk)
	if err := s.initialize(t.Context(), disk != nil); err != nil {
		t.Fatal(err)
	}
	s.launch(t, "postgres")
	p := &Postgres{t: t, servers: []*postgresServer{s}}
	if err := p.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	create := "CREATE DATABASE " + postgresDatabase
	if tables != "" {
		dir := filepath.Join(tables, "tables")
		if err := s.mkdir(dir); err != nil {
			t.Fatal(err)
		}
		if err := execute(s.url(), "CREATE TABLESPACE small LOCATION '"+dir+"'"); err != nil {
			t.Fatalf("create a tablespace: %v", err)
		}
		create += " TABLESPACE small"
	}
	if err := execute(s.url(), create); err != nil {
		t.Fatalf("create a database: %v", err)
	}
	u, err := url.Parse(s.url())
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + postgresDatabase
	p.URL = u.String()
	return p
}

// newPostgresServer finds a place and a port.
func newPostgresServer(t testing.TB, disk *Disk) *postgresServer {
	t.Helper()
	s := &postgresServer{port: Port(t)}
	if os.Geteuid() == 0 { // as which PostgreSQL refuses to run
		var err error
		if s.as, err = unprivileged(); err != nil {
			t.Fatal(err)
		}
	}
	// Not in the directory of the test, which is closed to other users.
	parent := ""
	if disk != nil {
		parent = disk.Path
	}
	var err error
	if s.dir, err = os.MkdirTemp(parent, "monarch-postgres-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(s.dir); err != nil {
			t.Errorf("remove the files of postgres: %v", err)
		}
	})
	if err := s.own(s.dir); err != nil {
		t.Fatal(err)
	}
	s.data = filepath.Join(s.dir, "data")
	return s
}

// unprivileged returns the user that a server runs as where we are root.
func unprivileged() (*syscall.Credential, error) {
	var faults []error
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err == nil {
			var uid, gid uint64
			uid, err = strconv.ParseUint(u.Uid, 10, 32)
			if err == nil {
				gid, err = strconv.ParseUint(u.Gid, 10, 32)
			}
			if err == nil {
				return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
			}
		}
		faults = append(faults, err)
	}
	return nil, fmt.Errorf("find a user that postgres can run as: %w", errors.Join(faults...))
}

func (s *postgresServer) mkdir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return s.own(dir)
}

// own gives a file to the user of the server.
func (s *postgresServer) own(path string) error {
	if s.as == nil {
		return nil
	}
	return os.Chown(path, int(s.as.Uid), int(s.as.Gid))
}

// prepare makes cmd one of the server's user, in the server's directory.
func (s *postgresServer) prepare(cmd *exec.Cmd) {
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC", "HOME=" + s.dir}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = attributes()
	}
	cmd.SysProcAttr.Credential = s.as
}

// tool runs a program of PostgreSQL to its end.
func (s *postgresServer) tool(ctx context.Context, name string, args ...string) error {
	path, err := findPostgres(name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.SysProcAttr = new(syscall.SysProcAttr)
	s.prepare(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, tail(string(out)))
	}
	return nil
}

// findPostgres looks for a program in PATH, and where Debian hides them.
func findPostgres(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	hidden, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name) // the pattern is right
	if len(hidden) == 0 {
		return "", fmt.Errorf("%s, of PostgreSQL, is not in PATH: install it", name)
	}
	return hidden[len(hidden)-1], nil
}

func (s *postgresServer) initialize(ctx context.Context, small bool) error {
	args := []string{"-D", s.data, "-U", postgresUser, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"}
	if small {
		args = append(args, "--wal-segsize=1")
	}
	return s.tool(ctx, "initdb", args...)
}

// launch starts the server for the first time.
func (s *postgresServer) launch(t testing.TB, name string) {
	t.Helper()
	path, err := findPostgres("postgres")
	if err != nil {
		t.Fatal(err)
	}
	s.Process = runProgram(t, name, "", program{
		path: path,
		args: []string{
			"-D", s.data, "-p", strconv.Itoa(s.port),
			"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
			"-c", "max_connections=100", "-c", "fsync=off", "-c", "full_page_writes=off",
			"-c", "wal_keep_size=64MB",
			// A standby looks for its primary again at once. Until it has found
			// it nothing is acknowledged.
			"-c", "wal_retrieve_retry_interval=100ms",
		},
		ends:    true,
		prepare: s.prepare,
	})
	t.Cleanup(func() {
		if err := s.kill(); err != nil {
			t.Errorf("kill %s: %v", s.Name, err)
		}
	})
}

func (s *postgresServer) addr() string { return Loopback(s.port) }

// url is that of the server alone, and of the database that it always has.
func (s *postgresServer) url() string {
	return "postgres://" + postgresUser + "@" + s.addr() + "/postgres?sslmode=disable"
}

// query asks the server alone.
func (s *postgresServer) query(ctx context.Context, into any, statement string) error {
	conn, err := pgx.Connect(ctx, s.url())
	if err != nil {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(end) // the query is done or has failed
	}()
	return conn.QueryRow(ctx, statement).Scan(into)
}

// family returns the process and its children, the process first. Each child is
// a session, and so a process group, of its own.
func (s *postgresServer) family() ([]int, error) {
	pid := s.PID()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil, err
	}
	family := []int{pid}
	for _, word := range strings.Fields(string(text)) {
		child, err := strconv.Atoi(word)
		if err != nil {
			return nil, err
		}
		family = append(family, child)
	}
	return family, nil
}

// running reports whether the server has been started and not ended.
func (s *postgresServer) running() bool {
	select {
	case <-s.Done():
		return false
	default:
		return true
	}
}

// signal sends a signal to the server and then to its children, of which there
// are no more by then if the signal stops or kills.
func (s *postgresServer) signal(sig syscall.Signal) error {
	if !s.running() {
		return fmt.Errorf("%s does not run", s.Name)
	}
	if err := s.Signal(sig); err != nil {
		return err
	}
	family, err := s.family()
	if err != nil {
		return err
	}
	for _, pid := range family[1:] {
		_ = syscall.Kill(pid, sig) // it may be gone
	}
	return nil
}

// kill ends all processes of the server, as if its machine had died. One that
// has ended already is left alone.
func (s *postgresServer) kill() error {
	if !s.running() {
		return nil
	}
	// Stopped first, so that it makes no more children, and hears of none
	// that dies.
	if err := s.signal(syscall.SIGSTOP); err != nil && s.running() {
		return err
	}
	family, err := s.family()
	if err != nil && s.running() {
		return err
	}
	for _, pid := range family {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-s.Done()
	// The next start finds their memory in use as long as one of them lives.
	for begin := time.Now(); slices.ContainsFunc(family, lives); time.Sleep(time.Millisecond) {
		if time.Since(begin) > Patience {
			return fmt.Errorf("some process of %s did not die within %v", s.Name, Patience)
		}
	}
	return nil
}

// lives reports whether a process is there and not merely waited for.
func lives(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// The state stands behind the name, which is in parentheses.
	text := string(stat)
	_, state, _ := strings.Cut(text[strings.LastIndexByte(text, ')')+1:], " ")
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

func (p *Postgres) primary() *postgresServer { return p.servers[0] }

// Await returns when the primary takes writes. It fails if the server ends
// instead, or within [Patience] or before ctx is done.
func (p *Postgres) Await(ctx context.Context) error {
	s := p.primary()
	err := s.poll(ctx, func(ctx context.Context) error {
		var standby bool
		if err := s.query(ctx, &standby, "SELECT pg_is_in_recovery()"); err != nil {
			return err
		}
		if standby {
			return errors.New("it is a standby")
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("wait for %s: %w", s.Name, err)
	}
	return nil
}

// Running reports whether the primary runs. A server that could not write its
// log does not.
func (p *Postgres) Running() bool { return p.primary().running() }

// Start starts the primary again where it has ended, and waits until it takes
// writes.
func (p *Postgres) Start(ctx context.Context) error {
	if !p.Running() {
		if err := p.primary().Start(); err != nil {
			return err
		}
	}
	return p.Await(ctx)
}

// Crash ends all processes of the primary with SIGKILL.
func (p *Postgres) Crash() error { return p.primary().kill() }

// Restart stops the primary as an operator does, without waiting for its
// clients, and starts it again.
func (p *Postgres) Restart(ctx context.Context) error {
	s := p.primary()
	if err := s.Signal(syscall.SIGINT); err != nil {
		return fmt.Errorf("stop %s: %w", s.Name, err)
	}
	select {
	case <-s.Done():
	case <-ctx.Done():
		return fmt.Errorf("stop %s: %w", s.Name, ctx.Err())
	}
	return p.Start(ctx)
}

// Pause stops all processes of the primary: connections stay, and nobody
// answers. It ends with Resume.
func (p *Postgres) Pause() error { return p.primary().signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (p *Postgres) Resume() error {
	// The children first: the server could count them as dead otherwise.
	s := p.primary()
	family, err := s.family()
	if err != nil {
		return err
	}
	for _, pid := range family[1:] {
		_ = syscall.Kill(pid, syscall.SIGCONT) // it may be gone
	}
	return s.Signal(syscall.SIGCONT)
}

// Slow lets the primary work for a moment now and then only, until the function
// that it returns is called, which waits until the server works again.
func (p *Postgres) Slow(paused, working time.Duration) (end func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.alternate(ctx, paused, working) }()
	return sync.OnceValue(func() error {
		cancel()
		return <-done
	})
}

func (p *Postgres) alternate(ctx context.Context, paused, working time.Duration) error {
	for {
		if err := p.Pause(); err != nil {
			return err
		}
		sleep(ctx, paused)
		if err := p.Resume(); err != nil {
			return err
		}
		if !sleep(ctx, working) {
			return nil
		}
	}
}

// sleep reports whether it slept to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// Failover kills the primary and promotes the standby. It returns when that
// takes writes. The other one is of no use until Rejoin.
func (p *Postgres) Failover(ctx context.Context) error {
	if len(p.servers) < 2 {
		return errors.New("fail over: there is no standby")
	}
	if err := p.Crash(); err != nil {
		return fmt.Errorf("fail over: %w", err)
	}
	p.servers[0], p.servers[1] = p.servers[1], p.servers[0]
	var promoted bool
	if err := p.primary().query(ctx, &promoted, "SELECT pg_promote(true, 60)"); err != nil {
		return fmt.Errorf("fail over: promote %s: %w", p.primary().Name, err)
	}
	if !promoted {
		return fmt.Errorf("fail over: %s was not promoted in time", p.primary().Name)
	}
	return p.Await(ctx)
}

// ExhaustLog writes to the log of a server whose disk is full until it ends,
// because it cannot write any more.
func (p *Postgres) ExhaustLog(ctx context.Context) error {
	for p.Running() {
		if ctx.Err() != nil {
			return fmt.Errorf("exhaust the log: %w", ctx.Err())
		}
		var at string
		// An error may be the end that this is about.
		_ = p.primary().query(ctx, &at, "SELECT pg_logical_emit_message(false, '', repeat('x', 500000))::text")
	}
	return nil
}

// LoseStandby kills the standby. The primary acknowledges no commit until it is
// back: see Rejoin.
func (p *Postgres) LoseStandby() error {
	if len(p.servers) < 2 {
		return errors.New("lose the standby: there is none")
	}
	return p.servers[1].kill()
}

// Rejoin makes the server that a Failover or LoseStandby killed the standby of
// the other.
func (p *Postgres) Rejoin(ctx context.Context) error {
	s := p.servers[1]
	if s.running() {
		return fmt.Errorf("rejoin: %s runs", s.Name)
	}
	if err := os.RemoveAll(s.data); err != nil {
		return fmt.Errorf("rejoin: %w", err)
	}
	if err := p.follow(ctx, s); err != nil {
		return fmt.Errorf("rejoin: %w", err)
	}
	if err := s.Start(); err != nil {
		return fmt.Errorf("rejoin: %w", err)
	}
	return p.awaitStandby(ctx)
}

// follow fills the place of a standby.
func (p *Postgres) follow(ctx context.Context, standby *postgresServer) error {
	return standby.tool(ctx, "pg_basebackup", "-d", p.primary().url(), "-D", standby.data,
		"--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync")
}

// awaitStandby returns when the primary acknowledges nothing any more that the
// standby does not have.
func (p *Postgres) awaitStandby(ctx context.Context) error {
	primary := p.primary()
	for _, statement := range []string{"ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"} {
		if err := execute(primary.url(), statement); err != nil {
			return fmt.Errorf("have %s wait for its standby: %w", primary.Name, err)
		}
	}
	err := p.servers[1].poll(ctx, func(ctx context.Context) error {
		var n int
		if err := primary.query(ctx, &n, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"); err != nil {
			return err
		}
		if n == 0 {
			return errors.New("it does not follow")
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("wait for the standby: %w", err)
	}
	return nil
}

// Execute has the primary execute a statement in the database of the URL, as the
// superuser, who is asked for no password.
func (p *Postgres) Execute(statement string) error { return execute(p.URL, statement) }

// Query reads one value likewise.
func (p *Postgres) Query(ctx context.Context, into any, statement string) error {
	return p.primary().query(ctx, into, statement)
}

// AskForPasswords has the primary ask everybody else for a password.
func (p *Postgres) AskForPasswords() error {
	s := p.primary()
	rules := "host all " + postgresUser + " 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
	file := filepath.Join(s.data, "pg_hba.conf")
	if err := errors.Join(os.WriteFile(file, []byte(rules), 0o600), s.own(file)); err != nil {
		return err
	}
	return p.Execute("SELECT pg_reload_conf()")
}
