package directory

import (
	"bytes"
	"context"
	"crypto/md5"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	nooptrace "go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/monarch-msn/monarch/internal/rpc"
	"github.com/monarch-msn/monarch/msnp"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/directory/store"
)

// A network is a directory with a client, as a node and the operator have it.
type network struct {
	directoryv1.DirectoryClient
	accounts directoryv1.AccountsClient
	server   *Server
	store    *store.Store
	path     string // of the SQLite file
	log      *syncBuffer
	metrics  *sdkmetric.ManualReader
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// defaults are those that the flags have.
func defaults(t testing.TB) Config {
	t.Helper()
	var c Config
	p, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Parse(nil); err != nil {
		t.Fatal(err)
	}
	return c
}

// start starts one over SQLite.
func start(t testing.TB, cfg Config) *network {
	t.Helper()
	path := filepath.Join(t.TempDir(), "monarch.db")
	n := startOn(t, cfg, "sqlite://"+path)
	n.path = path
	return n
}

func startOn(t testing.TB, cfg Config, database string) *network {
	t.Helper()
	st, err := store.Open(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	if err := st.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := st.Unlock(t.Context(), filepath.Join(t.TempDir(), "password.keys")); err != nil {
		t.Fatal(err)
	}
	n := &network{store: st, log: new(syncBuffer), metrics: sdkmetric.NewManualReader()}
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(n.metrics)).Meter("directory")
	log := slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	server, err := New(cfg, st, log, meter, nooptrace.NewTracerProvider().Tracer("directory"))
	if err != nil {
		t.Fatal(err)
	}
	g := rpc.NewServer(rpc.ServerOptions{Log: log})
	n.server = server
	server.Register(g)
	ln := bufconn.Listen(1 << 20)
	var served sync.WaitGroup
	served.Go(func() { g.Serve(ln) })
	t.Cleanup(func() {
		g.Stop()
		served.Wait()
	})
	conn, err := rpc.Dial("passthrough:directory", rpc.DialOptions{
		Dialer: func(ctx context.Context, _ string) (net.Conn, error) { return ln.DialContext(ctx) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	n.DirectoryClient, n.accounts = directoryv1.NewDirectoryClient(conn), directoryv1.NewAccountsClient(conn)
	return n
}

// signUp creates accounts, whose password is "secret-" and their name.
func (n *network) signUp(t testing.TB, names ...string) {
	t.Helper()
	r := new(directoryv1.CreateAccountsRequest)
	for _, name := range names {
		r.Accounts = append(r.Accounts, &directoryv1.NewAccount{Email: address(name), Password: "secret-" + name})
	}
	answer, err := n.accounts.CreateAccounts(t.Context(), r)
	if err != nil || len(answer.GetErrors()) > 0 {
		t.Fatalf("create accounts: %v, %v", answer.GetErrors(), err)
	}
}

func address(name string) string { return name + "@example.com" }

func edit(name string, version uint32) *directoryv1.Edit {
	return &directoryv1.Edit{Email: address(name), Version: version}
}

func answerTo(challenge, password string) []byte {
	sum := md5.Sum([]byte(challenge + password))
	return sum[:]
}

func reasonOf(err error) string {
	return strings.TrimPrefix(rpc.Reason(err).String(), "REASON_")
}

func TestASessionAsANodeSeesIt(t *testing.T) {
	n := start(t, defaults(t))
	ctx := t.Context()
	n.signUp(t, "alice", "bob")

	login, err := n.Login(ctx, &directoryv1.LoginRequest{Email: address("alice"), Challenge: "1.2", Response: answerTo("1.2", "secret-alice")})
	if err != nil {
		t.Fatal(err)
	}
	read, err := n.Snapshot(ctx, &directoryv1.SnapshotRequest{Email: address("alice")})
	if err != nil {
		t.Fatal(err)
	}
	alice := read.GetSnapshot()
	if alice.GetUserId() != login.GetUserId() || alice.GetName() != address("alice") || alice.GetVersion() != 1 || !alice.GetVerified() {
		t.Errorf("alice is %v", alice)
	}
	group, err := n.AddGroup(ctx, &directoryv1.AddGroupRequest{Edit: edit("alice", 1), Name: "New%20Group"})
	if err != nil || group.GetGroupId() != 1 || group.GetVersion() != 2 {
		t.Fatalf("add a group: %v, %v", group, err)
	}
	add, err := n.AddMember(ctx, &directoryv1.AddMemberRequest{
		Edit: edit("alice", 2), List: directoryv1.List_LIST_FORWARD, Member: "BOB%40Example.com", Name: "Böb", Group: &group.GroupId,
	})
	if err != nil {
		t.Fatal(err)
	}
	m := add.GetMember()
	if m.GetEmail() != address("bob") || m.GetForwardName() != "B%C3%B6b" || msnp.GroupSet(m.GetGroups()) != msnp.GroupSet(0).With(1) {
		t.Errorf("bob is %v", m)
	}
	if got := add.GetTouched(); len(got) != 1 || got[0].GetEmail() != address("bob") || got[0].GetVersion() != 2 {
		t.Errorf("touched: %v", got)
	}
	for name, call := range map[string]func() (*directoryv1.EditResponse, error){
		"RenameGroup": func() (*directoryv1.EditResponse, error) {
			return n.RenameGroup(ctx, &directoryv1.RenameGroupRequest{Edit: edit("alice", 3), GroupId: 1, Name: "Cool"})
		},
		"Rename": func() (*directoryv1.EditResponse, error) {
			return n.Rename(ctx, &directoryv1.RenameRequest{Edit: edit("alice", 3), Member: address("bob"), Name: "Bobby"})
		},
		"SetPhone": func() (*directoryv1.EditResponse, error) {
			return n.SetPhone(ctx, &directoryv1.SetPhoneRequest{Edit: edit("alice", 3), Key: "PHH", Value: "123%20(4567)"})
		},
		"SetPrivacy": func() (*directoryv1.EditResponse, error) {
			return n.SetPrivacy(ctx, &directoryv1.SetPrivacyRequest{Edit: edit("alice", 3), Setting: &directoryv1.SetPrivacyRequest_GtcAsk{GtcAsk: false}})
		},
		"RemoveMember": func() (*directoryv1.EditResponse, error) {
			zero := uint32(1)
			return n.RemoveMember(ctx, &directoryv1.RemoveMemberRequest{Edit: edit("alice", 3), List: directoryv1.List_LIST_FORWARD, Member: address("bob"), Group: &zero})
		},
	} {
		if _, err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	remove, err := n.RemoveGroup(ctx, &directoryv1.RemoveGroupRequest{Edit: edit("alice", 8), GroupId: 1})
	if err != nil || remove.GetVersion() != 9 || remove.GetBefore() != nil {
		t.Errorf("remove the group: %v, %v", remove, err)
	}
	versions, err := n.Versions(ctx, &directoryv1.VersionsRequest{Emails: []string{address("alice"), address("nobody"), "no address"}})
	if err != nil || len(versions.GetVersions()) != 1 || versions.GetVersions()[address("alice")] != 9 {
		t.Errorf("versions: %v, %v", versions, err)
	}
}

func TestRefusalsCarryTheirReason(t *testing.T) {
	cfg := defaults(t)
	cfg.AllowLimit = 1
	n := start(t, cfg)
	ctx := t.Context()
	n.signUp(t, "alice", "bob", "carol")
	if _, err := n.AddMember(ctx, &directoryv1.AddMemberRequest{Edit: edit("alice", 1), List: directoryv1.List_LIST_ALLOW, Member: address("bob")}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.accounts.SetDisabled(ctx, &directoryv1.SetDisabledRequest{Email: address("carol"), Disabled: true}); err != nil {
		t.Fatal(err)
	}
	login := func(name, password string) error {
		_, err := n.Login(ctx, &directoryv1.LoginRequest{Email: name, Challenge: "1.2", Response: answerTo("1.2", password)})
		return err
	}
	add := func(member string) error {
		_, err := n.AddMember(ctx, &directoryv1.AddMemberRequest{Edit: edit("alice", 2), List: directoryv1.List_LIST_ALLOW, Member: member})
		return err
	}
	for _, tc := range []struct {
		name, want string
		err        error
	}{
		{"a wrong password", "AUTHENTICATION", login(address("alice"), "x")},
		{"an unknown account", "AUTHENTICATION", login(address("nobody"), "x")},
		{"no address at all", "AUTHENTICATION", login("nobody", "x")},
		{"a disabled account", "DISABLED", login(address("carol"), "secret-carol")},
		{"a member that does not exist", "NO_SUCH_USER", add(address("nobody"))},
		{"a full list", "LIST_FULL", add(address("carol"))},
		{"a snapshot of nobody", "NO_SUCH_USER", second(n.Snapshot(ctx, &directoryv1.SnapshotRequest{Email: address("nobody")}))},
		{"an account of nobody", "NO_SUCH_USER", second(n.accounts.GetAccount(ctx, &directoryv1.GetAccountRequest{Email: address("nobody")}))},
		{"a password for nobody", "NO_SUCH_USER", second(n.accounts.SetPassword(ctx, &directoryv1.SetPasswordRequest{Email: address("nobody"), Password: "x"}))},
		{"deleting nobody", "NO_SUCH_USER", second(n.accounts.DeleteAccount(ctx, &directoryv1.DeleteAccountRequest{Email: address("nobody")}))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := reasonOf(tc.err); got != tc.want {
				t.Errorf("want %s, got %s: %v", tc.want, got, tc.err)
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

func TestMalformedRequestsAreInvalid(t *testing.T) {
	n := start(t, defaults(t))
	ctx := t.Context()
	n.signUp(t, "alice", "bob")
	long := strings.Repeat("x", 400)
	add := func(change func(*directoryv1.AddMemberRequest)) error {
		r := &directoryv1.AddMemberRequest{Edit: edit("alice", 1), List: directoryv1.List_LIST_FORWARD, Member: address("bob")}
		change(r)
		return second(n.AddMember(ctx, r))
	}
	phone := func(key, value string) error {
		return second(n.SetPhone(ctx, &directoryv1.SetPhoneRequest{Edit: edit("alice", 1), Key: key, Value: value}))
	}
	for _, tc := range []struct {
		name string
		err  error
	}{
		{"no edit", add(func(r *directoryv1.AddMemberRequest) { r.Edit = nil })},
		{"an edit of no address", add(func(r *directoryv1.AddMemberRequest) { r.Edit.Email = "a@b" })},
		{"no list", add(func(r *directoryv1.AddMemberRequest) { r.List = 0 })},
		{"the reverse list", add(func(r *directoryv1.AddMemberRequest) { r.List = directoryv1.List_LIST_REVERSE })},
		{"two lists", add(func(r *directoryv1.AddMemberRequest) { r.List = 3 })},
		{"a member that is no address", add(func(r *directoryv1.AddMemberRequest) { r.Member = "bob" })},
		{"a name that is too long", add(func(r *directoryv1.AddMemberRequest) { r.Name = long })},
		{"a name that is not UTF-8", add(func(r *directoryv1.AddMemberRequest) { r.Name = "%FF" })},
		{"removing from the reverse list", second(n.RemoveMember(ctx, &directoryv1.RemoveMemberRequest{Edit: edit("alice", 1), List: 8, Member: address("bob")}))},
		{"no new name", second(n.Rename(ctx, &directoryv1.RenameRequest{Edit: edit("alice", 1), Member: address("bob")}))},
		{"a group without a name", second(n.AddGroup(ctx, &directoryv1.AddGroupRequest{Edit: edit("alice", 1)}))},
		{"a group with a long name", second(n.RenameGroup(ctx, &directoryv1.RenameGroupRequest{Edit: edit("alice", 1), Name: long}))},
		{"no setting", second(n.SetPrivacy(ctx, &directoryv1.SetPrivacyRequest{Edit: edit("alice", 1)}))},
		{"an unknown key", phone("PHX", "1")},
		{"a long number", phone("PHH", strings.Repeat("1", 96))},
		{"neither Y nor N", phone("MOB", "y")},
		{"no challenge", second(n.Login(ctx, &directoryv1.LoginRequest{Email: address("alice"), Response: answerTo("", "x")}))},
		{"a long challenge", second(n.Login(ctx, &directoryv1.LoginRequest{Email: address("alice"), Challenge: long, Response: answerTo("", "x")}))},
		{"a short response", second(n.Login(ctx, &directoryv1.LoginRequest{Email: address("alice"), Challenge: "1.2", Response: []byte("x")}))},
		{"a snapshot of no address", second(n.Snapshot(ctx, &directoryv1.SnapshotRequest{Email: "\x00"}))},
		{"too many versions", second(n.Versions(ctx, &directoryv1.VersionsRequest{Emails: make([]string, 1001)}))},
		{"too many accounts", second(n.accounts.CreateAccounts(ctx, &directoryv1.CreateAccountsRequest{Accounts: manyAccounts(1001)}))},
		{"too many contacts", second(n.accounts.ImportContacts(ctx, &directoryv1.ImportContactsRequest{Contacts: manyContacts(1001)}))},
		{"too long a page", second(n.accounts.ListAccounts(ctx, &directoryv1.ListAccountsRequest{PageSize: 1001}))},
		{"a page after no address", second(n.accounts.ListAccounts(ctx, &directoryv1.ListAccountsRequest{After: "x"}))},
		{"an empty password", second(n.accounts.SetPassword(ctx, &directoryv1.SetPasswordRequest{Email: address("alice")}))},
		{"a password with a line break", second(n.accounts.SetPassword(ctx, &directoryv1.SetPasswordRequest{Email: address("alice"), Password: "x\n"}))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := reasonOf(tc.err); got != "INVALID" {
				t.Errorf("want INVALID, got %s: %v", got, tc.err)
			}
		})
	}
	if answer, err := n.Snapshot(ctx, &directoryv1.SnapshotRequest{Email: address("alice")}); err != nil || answer.GetSnapshot().GetVersion() != 1 {
		t.Errorf("alice was changed: %v, %v", answer, err)
	}
}

func manyAccounts(n int) []*directoryv1.NewAccount {
	all := make([]*directoryv1.NewAccount, n)
	for i := range all {
		all[i] = &directoryv1.NewAccount{Email: address(fmt.Sprint("many", i)), Password: "x"}
	}
	return all
}

func manyContacts(n int) []*directoryv1.NewContact {
	all := make([]*directoryv1.NewContact, n)
	for i := range all {
		all[i] = &directoryv1.NewContact{Owner: address("alice"), Contact: address("bob")}
	}
	return all
}

func TestRowsOfABatchAreRefusedOneByOne(t *testing.T) {
	n := start(t, defaults(t))
	n.signUp(t, "alice")
	created, err := n.accounts.CreateAccounts(t.Context(), &directoryv1.CreateAccountsRequest{Accounts: []*directoryv1.NewAccount{
		{Email: "Bob@Example.com", Password: "x", Name: "Bob Ö"},
		{Email: address("alice"), Password: "x"},
		{Email: "carol", Password: "x"},
		{Email: address("dave")},
		{Email: address("erin"), Password: "x", Name: strings.Repeat("ö", 100)},
		{Email: address("bob"), Password: "x"},
		{Email: address("fred"), Password: strings.Repeat("x", 129)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := rows(created.GetErrors()), "1 EXISTS, 2 INVALID, 3 INVALID, 4 INVALID, 5 EXISTS, 6 INVALID"; got != want || created.GetCreated() != 1 {
		t.Errorf("want %s, got %s; created %d", want, got, created.GetCreated())
	}
	bob, err := n.accounts.GetAccount(t.Context(), &directoryv1.GetAccountRequest{Email: "BOB@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if a := bob.GetAccount(); a.GetName() != "Bob Ö" || a.GetEmail() != address("bob") || !a.GetVerified() || bob.GetSnapshot().GetName() != "Bob%20%C3%96" {
		t.Errorf("bob is %v", bob)
	}
	imported, err := n.accounts.ImportContacts(t.Context(), &directoryv1.ImportContactsRequest{Contacts: []*directoryv1.NewContact{
		{Owner: "nonsense", Contact: address("bob")},
		{Owner: address("alice"), Contact: address("nobody")},
		{Owner: "Alice@Example.com", Contact: address("bob"), Group: "Good friends"},
		{Owner: address("alice"), Contact: address("bob"), Group: strings.Repeat("x", 62)},
		{Owner: address("alice"), Contact: address("bob")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := rows(imported.GetErrors()), "0 INVALID, 1 NO_SUCH_USER, 3 INVALID, 4 ALREADY_THERE"; got != want || imported.GetImported() != 1 {
		t.Errorf("want %s, got %s; imported %d", want, got, imported.GetImported())
	}
	for _, e := range append(created.GetErrors(), imported.GetErrors()...) {
		if e.GetMessage() == "" || strings.Contains(e.GetMessage(), "\n") || len(e.GetMessage()) > 200 {
			t.Errorf("row %d: no clear sentence: %q", e.GetRow(), e.GetMessage())
		}
	}
	list, err := n.accounts.ListAccounts(t.Context(), &directoryv1.ListAccountsRequest{After: "Alice@example.com"})
	if err != nil || len(list.GetAccounts()) != 1 || list.GetAccounts()[0].GetEmail() != address("bob") {
		t.Errorf("accounts after alice: %v, %v", list, err)
	}
	deleted, err := n.accounts.DeleteAccount(t.Context(), &directoryv1.DeleteAccountRequest{Email: address("bob")})
	if err != nil || len(deleted.GetTouched()) != 1 || deleted.GetTouched()[0].GetEmail() != address("alice") {
		t.Errorf("deleting bob: %v, %v", deleted, err)
	}
}

func rows(errs []*directoryv1.RowError) string {
	var all []string
	for _, e := range errs {
		all = append(all, fmt.Sprintf("%d %s", e.GetRow(), strings.TrimPrefix(e.GetReason().String(), "REASON_")))
	}
	return strings.Join(all, ", ")
}

func TestAFaultIsLoggedAndNotExplained(t *testing.T) {
	n := start(t, defaults(t))
	n.signUp(t, "alice")
	n.store.Close()
	_, err := n.AddGroup(t.Context(), &directoryv1.AddGroupRequest{Edit: edit("alice", 1), Name: "A"})
	if !rpc.Unavailable(err) || reasonOf(err) != "UNSPECIFIED" {
		t.Errorf("want a fault without a reason, got %v", err)
	}
	if strings.Contains(err.Error(), "sql") {
		t.Errorf("the caller learns %v", err)
	}
	if got := strings.Count(n.log.String(), "call failed"); got != 1 || !strings.Contains(n.log.String(), "sql: database is closed") {
		t.Errorf("want one line with the cause, got %s", n.log)
	}
}

func TestACallHasItsTime(t *testing.T) {
	cfg := defaults(t)
	cfg.CallTimeout = time.Nanosecond
	n := start(t, cfg)
	_, err := n.Snapshot(t.Context(), &directoryv1.SnapshotRequest{Email: address("alice")})
	if got := status.Code(err); got != codes.DeadlineExceeded {
		t.Errorf("want DeadlineExceeded, got %v", err)
	}
}

func TestPasswordsAppearNowhere(t *testing.T) {
	n := start(t, defaults(t))
	ctx := t.Context()
	n.signUp(t, "alice")
	var said []string
	for _, err := range []error{
		second(n.accounts.SetPassword(ctx, &directoryv1.SetPasswordRequest{Email: address("nobody"), Password: "secret-new"})),
		second(n.accounts.SetPassword(ctx, &directoryv1.SetPasswordRequest{Email: address("alice"), Password: "secret\n"})),
		second(n.Login(ctx, &directoryv1.LoginRequest{Email: address("alice"), Challenge: "1.2", Response: answerTo("1.2", "x")})),
	} {
		said = append(said, err.Error())
	}
	again, err := n.accounts.CreateAccounts(ctx, &directoryv1.CreateAccountsRequest{Accounts: []*directoryv1.NewAccount{
		{Email: address("alice"), Password: "secret-2"}, {Email: "x", Password: "secret-3"}, {Email: address("bob"), Password: "secret-4\x01"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	shown, err := n.accounts.GetAccount(ctx, &directoryv1.GetAccountRequest{Email: address("alice")})
	if err != nil {
		t.Fatal(err)
	}
	n.store.Close()
	_, err = n.accounts.SetPassword(ctx, &directoryv1.SetPasswordRequest{Email: address("alice"), Password: "secret-5"})
	said = append(said, err.Error(), again.String(), shown.String(), n.log.String())
	for _, text := range said {
		if strings.Contains(text, "secret") {
			t.Errorf("a password appears in %s", text)
		}
	}
}

func TestCallsAreCounted(t *testing.T) {
	n := start(t, defaults(t))
	n.signUp(t, "alice")
	for _, name := range []string{"alice", "nobody", "nobody"} {
		n.Snapshot(t.Context(), &directoryv1.SnapshotRequest{Email: address(name)})
	}
	var data metricdata.ResourceMetrics
	if err := n.metrics.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int64)
	conflicts := false
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			conflicts = conflicts || m.Name == "monarch_directory_conflicts"
			if m.Name != "monarch_directory_calls" {
				continue
			}
			for _, point := range m.Data.(metricdata.Sum[int64]).DataPoints {
				method, _ := point.Attributes.Value("method")
				result, _ := point.Attributes.Value("result")
				got[method.AsString()+" "+result.AsString()] = point.Value
			}
		}
	}
	want := map[string]int64{"CreateAccounts OK": 1, "Snapshot OK": 1, "Snapshot NO_SUCH_USER": 2}
	if fmt.Sprint(got) != fmt.Sprint(want) || !conflicts {
		t.Errorf("want %v and the conflicts, got %v, %v", want, got, conflicts)
	}
}

func TestConfigNamesAllItsFaults(t *testing.T) {
	if err := defaults(t).Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	want := Config{ForwardLimit: 150, AllowLimit: 600, BlockLimit: 600, ReverseLimit: 5000, GroupLimit: 30, CallTimeout: 30 * time.Second, Calls: 16, Logins: 8, Queue: 512, QueueTimeout: 2 * time.Second}
	if got := defaults(t); got != want {
		t.Errorf("want the flags to be %+v, got %+v", want, got)
	}
	if got := (Config{}).withDefaults(); got != want {
		t.Errorf("want a config that says nothing to be %+v, got %+v", want, got)
	}
	if err := (Config{GroupLimit: 31}).Validate(); err == nil {
		t.Error("more groups than ids were accepted")
	}
	_, err := New(Config{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1}, nil, slog.New(slog.DiscardHandler), noop.NewMeterProvider().Meter(""), nooptrace.NewTracerProvider().Tracer(""))
	if err == nil {
		t.Fatal("it was accepted")
	}
	for _, flag := range []string{"forward-limit", "allow-limit", "block-limit", "reverse-limit", "group-limit", "call-timeout", "calls", "logins", "queue", "queue-timeout"} {
		if !strings.Contains(err.Error(), flag) {
			t.Errorf("%s is not named: %v", flag, err)
		}
	}
}

// A login is Login and Snapshot.
func BenchmarkLogin(b *testing.B) {
	n := start(b, defaults(b))
	n.signUp(b, "alice")
	response := answerTo("1.2", "secret-alice")
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := n.Login(b.Context(), &directoryv1.LoginRequest{Email: address("alice"), Challenge: "1.2", Response: response}); err != nil {
				b.Error(err)
			}
			if _, err := n.Snapshot(b.Context(), &directoryv1.SnapshotRequest{Email: address("alice")}); err != nil {
				b.Error(err)
			}
		}
	})
}
