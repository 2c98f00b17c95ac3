package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/monarch-msn/monarch/internal/node"
	"github.com/monarch-msn/monarch/internal/rpc"
	"github.com/monarch-msn/monarch/services/allinone"
)

// clearEnv removes what configures a server from the environment.
func clearEnv(t *testing.T) {
	t.Helper()
	for _, kv := range os.Environ() {
		name, value, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "MONARCH_") || strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, value) // is restored after the test
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// parse reads a command line as main does.
func parse(t *testing.T, args ...string) (*commandLine, error) {
	t.Helper()
	cli := new(commandLine)
	parser, err := kong.New(cli, options()...)
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(args)
	return cli, err
}

func TestWrongUsage(t *testing.T) {
	clearEnv(t)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no command":           {nil, "expected one of"},
		"an unknown command":   {[]string{"serve"}, "unexpected argument serve"},
		"an unknown flag":      {[]string{"version", "--colour"}, "unknown flag --colour"},
		"a flag missing":       {[]string{"migrate"}, "missing flags: --database=URL"},
		"a bad level":          {[]string{"all", "--log.level", "loud"}, "--log.level"},
		"a bad format":         {[]string{"all", "--log.format", "xml"}, "--log.format"},
		"a bad limit":          {[]string{"all", "--notification.outbox-bytes", "5"}, "--notification.outbox-bytes: 5 is not within"},
		"bad limits":           {[]string{"all", "--dispatch.proxy-from", "banana", "--switchboard.capacity=-1", "--switchboard.max-members", "1"}, `--dispatch.proxy-from: "banana" is no network, such as 10.0.0.0/8; --switchboard.capacity: -1 is negative; --switchboard.max-members: 1 leaves`},
		"a role's bad limit":   {[]string{"notification", "--notification.outbox-bytes", "5"}, "notification: outbox-bytes: 5 is not within"},
		"a bad address":        {[]string{"all", "--bind", "here"}, "--bind here is no IP address"},
		"a wildcard":           {[]string{"all", "--advertise", "0.0.0.0"}, "--advertise 0.0.0.0: nobody can be sent to a wildcard"},
		"no nodes":             {[]string{"all", "--notification.nodes", "0"}, "--notification.nodes 0 is not within 1 and 64"},
		"no switchboards":      {[]string{"all", "--switchboard.nodes", "0"}, "--switchboard.nodes 0 is not within 1 and 64"},
		"no switchboard ports": {[]string{"all", "--switchboard.port", "65535", "--switchboard.nodes", "2"}, "--switchboard.port 65535 leaves no ports for 2 nodes"},
		"a room for one":       {[]string{"all", "--switchboard.max-members", "1"}, "max-members: 1 leaves nobody to talk to"},
		"nobody to send to":    {[]string{"switchboard", "--redis", "redis://127.0.0.1"}, "--advertise is missing"},
		"too few ports":        {[]string{"all", "--notification.port", "65535", "--notification.nodes", "2"}, "--notification.port 65535 leaves no ports for 2 nodes"},
		"several faults":       {[]string{"all", "--bind", "here", "--dispatch.port", "65536"}, "--bind here is no IP address; --dispatch.port 65536 is no port"},
		"nothing to advertise": {[]string{"notification", "--redis", "redis://127.0.0.1", "--directory", "127.0.0.1:7863"}, "--advertise is missing"},
		"no Redis URL":         {[]string{"dispatch", "--redis", "foo"}, "--redis: redis URL: want redis://"},
		"an empty Redis URL":   {[]string{"dispatch", "--redis", ""}, "--redis: redis URL: want redis://"},
		"another Redis URL":    {[]string{"operator", "--redis", "http://foo", "--directory", "a:1", "--token-file", "x"}, `--redis: redis URL: unknown scheme "http"`},
		"a Redis option":       {[]string{"switchboard", "--redis", "redis://a?foo=bar"}, `unknown option "foo"`},
		"a bad password":       {[]string{"dispatch", "--redis", "redis://u:%zz@a"}, "percent-encoded"},
		"a Sentinel's master":  {[]string{"dispatch", "--redis", "redis+sentinel://a"}, "needs the master's name"},
		"a network's Redis":    {[]string{"all", "--redis", "foo"}, "--redis: redis URL: want redis://"},
		"no database URL":      {[]string{"migrate", "--database", "foo"}, "--database: the database URL must be"},
		"an empty one":         {[]string{"directory", "--database", ""}, "--database: the database URL must be"},
		"another database":     {[]string{"directory", "--database", "mysql://a/b"}, "--database: the database URL must be"},
		"a relative database":  {[]string{"migrate", "--database", "sqlite://rel.db"}, "--database: the database URL must be"},
		"a network's database": {[]string{"all", "--database", "mysql://a/b"}, "--database: the database URL must be"},
		"no telemetry address": {[]string{"all", "--telemetry.listen", "foo"}, "telemetry.listen foo: want host:port"},
		"no operator address":  {[]string{"all", "--operator.listen", "foo"}, "--operator.listen foo: want host:port"},
		"no HTTP address":      {[]string{"operator", "--listen", "foo", "--redis", "redis://a", "--directory", "a:1", "--token-file", "x"}, "--listen foo: want host:port"},
		"no gRPC address":      {[]string{"directory", "--listen", "foo", "--database", "sqlite:///x"}, "--listen foo: want host:port"},
		"a gRPC port too high": {[]string{"directory", "--listen", ":80999", "--database", "sqlite:///x"}, `--listen :80999: "80999" is no port`},
		"no data directory":    {[]string{"all", "--data-dir", ""}, "--data-dir is empty"},
		"a directory too few":  {[]string{"notification", "--directory", "a:1,,x", "--redis", "redis://a", "--advertise", "a:1"}, `--directory: want host:port, not ""`},
		"a directory's port":   {[]string{"notification", "--directory", "127.0.0.1", "--redis", "redis://a", "--advertise", "a:1"}, `--directory: want host:port, not "127.0.0.1"`},
		"a directory's URL":    {[]string{"operator", "--directory", "http://127.0.0.1:1", "--redis", "redis://a", "--token-file", "x"}, `--directory: want host:port, not "http://127.0.0.1:1"`},
		"a host with a port":   {[]string{"all", "--advertise", "chat.example.org:1863"}, `--advertise takes a host without a port, not "chat.example.org:1863"`},
		"IPv6 with a port":     {[]string{"all", "--advertise", "[::1]:1863"}, "--advertise takes a host without a port"},
		"no host":              {[]string{"all", "--advertise", "chat!"}, `--advertise chat!: "chat!" is no host`},
		"a port twice":         {[]string{"all", "--dispatch.port", "29764", "--notification.port", "29764"}, "--dispatch.port and --notification.port both take port 29764"},
		"ports that overlap":   {[]string{"all", "--notification.nodes", "3", "--switchboard.port", "1866"}, "--notification.port and --switchboard.port both take port 1866"},
		"the operator's port":  {[]string{"all", "--bind", "0.0.0.0", "--switchboard.nodes", "64", "--operator.listen", "127.0.0.1:2000"}, "--switchboard.port and --operator.listen both take port 2000"},
		"telemetry's port":     {[]string{"all", "--operator.listen", ":9863"}, "--operator.listen and --telemetry.listen both take port 9863"},
		"a bad advertisement":  {[]string{"dispatch", "--redis", "redis://127.0.0.1", "--advertise", "here"}, "--advertise here: want host:port"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := run(t.Context(), c.args, &stdout, &stderr)
			if status != node.ExitUsage {
				t.Errorf("exit status: want %d, got %d", node.ExitUsage, status)
			}
			got := stderr.String()
			if !strings.HasPrefix(got, "monarch: ") || !strings.Contains(got, c.want) || strings.Count(got, "\n") != 1 {
				t.Errorf("standard error: want one line with %q, got %q", c.want, got)
			}
			if stdout.Len() > 0 {
				t.Errorf("standard output: want nothing, got %q", stdout.String())
			}
		})
	}
}

// TestPorts holds that what can be served is not refused.
func TestPorts(t *testing.T) {
	clearEnv(t)
	for name, args := range map[string][]string{
		"the defaults":              nil,
		"ports of the system's":     {"--dispatch.port=0", "--notification.port=0", "--switchboard.port=0", "--operator.listen=:0", "--telemetry.listen=127.0.0.1:0"},
		"nothing but clients":       {"--operator.listen=", "--telemetry.listen="},
		"another address each":      {"--operator.listen=127.0.0.2:1863", "--telemetry.listen=127.0.0.3:1863"},
		"rows that touch":           {"--notification.nodes=64", "--switchboard.port=1928", "--switchboard.nodes=64"},
		"IPv6, with and without []": {"--bind=::1", "--advertise=[2001:db8::5]"},
		"an address of IPv6":        {"--advertise=2001:db8::5"},
	} {
		if _, err := parse(t, append([]string{"all"}, args...)...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHelp(t *testing.T) {
	clearEnv(t)
	for _, c := range []struct{ command, want string }{
		{"", "notification"},
		{"all", "--notification.outbox-bytes"},
		{"all", "(default 1863)"},
		{"switchboard", "(default 75s)"},
		{"dispatch", "--advertise"},
		{"notification", "$MONARCH_NOTIFICATION_OUTBOX_BYTES"},
		{"switchboard", "$MONARCH_SWITCHBOARD_OUTBOX_BYTES"},
		{"directory", "--key-file"},
		{"operator", "--accounts-token-file"},
		{"migrate", "--database"},
	} {
		var stdout, stderr bytes.Buffer
		args := append(strings.Fields(c.command), "--help")
		if status := run(t.Context(), args, &stdout, &stderr); status != node.ExitOK {
			t.Errorf("monarch %v: exit status: want 0, got %d: %s", args, status, stderr.String())
		}
		if !strings.Contains(strings.Join(strings.Fields(stdout.String()), " "), c.want) {
			t.Errorf("monarch %v: want %q in it, got:\n%s", args, c.want, stdout.String())
		}
	}
}

func TestVersion(t *testing.T) {
	clearEnv(t)
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"version"}, &stdout, &stderr); status != node.ExitOK {
		t.Errorf("exit status: want 0, got %d", status)
	}
	if got := stdout.String(); !strings.HasPrefix(got, "monarch ") || !strings.Contains(got, ", go1.") {
		t.Errorf("want version, commit and Go version, got %q", got)
	}
}

// TestDefaults holds the flags and defaults that scripts and manifests rely on.
func TestDefaults(t *testing.T) {
	clearEnv(t)
	cli := new(commandLine)
	parser, err := kong.New(cli, options()...)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, cmd := range parser.Model.Children {
		for _, flag := range cmd.Flags {
			got[cmd.Name+" "+flag.Name] = flag.Default
		}
	}
	for flag, want := range map[string]string{
		"all data-dir":                          "data",
		"all bind":                              "127.0.0.1",
		"all advertise":                         "",
		"all dispatch.port":                     "1863",
		"all notification.nodes":                "1",
		"all notification.port":                 "1864",
		"all switchboard.nodes":                 "1",
		"all switchboard.port":                  "1964",
		"all switchboard.outbox-bytes":          "262144",
		"all notification.outbox-bytes":         "4194304",
		"switchboard listen":                    ":1863",
		"switchboard advertise":                 "",
		"switchboard redis":                     "",
		"switchboard directory":                 "",
		"switchboard cluster-token-file":        "",
		"switchboard telemetry.listen":          "127.0.0.1:9863",
		"switchboard drain.timeout":             "75s",
		"switchboard switchboard.outbox-bytes":  "262144",
		"switchboard switchboard.idle-time":     "15m",
		"all operator.listen":                   "127.0.0.1:8080",
		"all redis":                             "",
		"all database":                          "",
		"all telemetry.listen":                  "127.0.0.1:9863",
		"dispatch listen":                       ":1863",
		"dispatch advertise":                    "",
		"dispatch redis":                        "",
		"dispatch telemetry.listen":             "127.0.0.1:9863",
		"notification listen":                   ":1863",
		"notification advertise":                "",
		"notification redis":                    "",
		"notification directory":                "",
		"notification cluster-token-file":       "",
		"notification telemetry.listen":         "127.0.0.1:9863",
		"directory listen":                      ":7863",
		"directory database":                    "",
		"directory key-file":                    "data/password.keys",
		"directory cluster-token-file":          "",
		"directory accounts-token-file":         "",
		"operator listen":                       ":8080",
		"operator redis":                        "",
		"operator directory":                    "",
		"operator token-file":                   "",
		"operator cluster-token-file":           "",
		"operator accounts-token-file":          "",
		"migrate database":                      "",
		"notification log.level":                "info",
		"notification log.format":               "text",
		"notification drain.timeout":            "45s",
		"notification notification.event-queue": "4096",
	} {
		value, ok := got[flag]
		if !ok {
			t.Errorf("no flag --%s", flag)
		} else if value != want {
			t.Errorf("monarch --%s: want the default %q, got %q", flag, want, value)
		}
	}
}

// TestEnvironmentFollowsTheFlags holds the rule by which variables are named.
func TestEnvironmentFollowsTheFlags(t *testing.T) {
	parser, err := kong.New(new(commandLine), options()...)
	if err != nil {
		t.Fatal(err)
	}
	for _, cmd := range parser.Model.Children {
		for _, flag := range cmd.Flags {
			if flag.Name == "help" {
				continue
			}
			want := "MONARCH_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(flag.Name))
			if len(flag.Envs) != 1 || flag.Envs[0] != want {
				t.Errorf("monarch %s --%s: want the variable %s, got %v", cmd.Name, flag.Name, want, flag.Envs)
			}
		}
	}
}

func TestFlagBeforeEnvironmentBeforeDefault(t *testing.T) {
	clearEnv(t)
	t.Setenv("MONARCH_DISPATCH_PORT", "2863")
	t.Setenv("MONARCH_NOTIFICATION_OUTBOX_BYTES", "8192")
	cli, err := parse(t, "all", "--notification.outbox-bytes", "16384")
	if err != nil {
		t.Fatal(err)
	}
	if cli.All.DispatchPort != 2863 {
		t.Errorf("dispatch.port: want that of the environment, 2863, got %d", cli.All.DispatchPort)
	}
	if cli.All.Notification.OutboxBytes != 16384 {
		t.Errorf("notification.outbox-bytes: want that of the flag, 16384, got %d", cli.All.Notification.OutboxBytes)
	}
	if cli.All.NotificationPort != 1864 {
		t.Errorf("notification.port: want the default, 1864, got %d", cli.All.NotificationPort)
	}
	if cli.All.Dispatch.OutboxBytes != cli.All.Notification.OutboxBytes && cli.All.Dispatch.OutboxBytes != 4<<20 {
		t.Errorf("dispatch.outbox-bytes: want the default, got %d", cli.All.Dispatch.OutboxBytes)
	}
}

func TestSecretsFromFiles(t *testing.T) {
	clearEnv(t)
	path := filepath.Join(t.TempDir(), "database")
	if err := os.WriteFile(path, []byte("postgres://u:p@db/monarch\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MONARCH_DATABASE_FILE", path)
	cli, err := parse(t, "migrate")
	if err != nil {
		t.Fatal(err)
	}
	if want, got := "postgres://u:p@db/monarch", cli.Migrate.Database.text; got != want {
		t.Errorf("from the file: want %q, got %q", want, got)
	}
	if cli, err = parse(t, "migrate", "--database", "sqlite:///x.db"); err != nil {
		t.Fatal(err)
	}
	if want, got := "sqlite:///x.db", cli.Migrate.Database.text; got != want {
		t.Errorf("with a flag, too: want %q, got %q", want, got)
	}
	t.Setenv("MONARCH_DATABASE", "sqlite:///y.db")
	if _, err := parse(t, "migrate"); err == nil || !strings.Contains(err.Error(), "MONARCH_DATABASE and MONARCH_DATABASE_FILE are both set") {
		t.Errorf("with both variables: want a fault, got %v", err)
	}
	t.Setenv("MONARCH_DATABASE", "")
	if err := os.WriteFile(path+"2", []byte("sqlite:///x.db\nsqlite:///y.db\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MONARCH_DATABASE_FILE", path+"2")
	if _, err := parse(t, "migrate"); err == nil || !strings.Contains(err.Error(), "MONARCH_DATABASE_FILE: the file has more than one line") {
		t.Errorf("with a file of two lines: want a fault, got %v", err)
	}
	t.Setenv("MONARCH_DATABASE_FILE", path+"x")
	if _, err := parse(t, "migrate"); err == nil || !strings.Contains(err.Error(), "MONARCH_DATABASE_FILE: read secret") {
		t.Errorf("with a file that is not there: want a fault, got %v", err)
	}
}

func TestTokenFiles(t *testing.T) {
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	p := new(node.Process)
	open := func(path string) (rpc.Token, error) { return openToken(t.Context(), p, path, "--token-file") }
	if token, err := open(""); token != nil || err != nil {
		t.Errorf("no file: want no token, got one, or %v", err)
	}
	for content, want := range map[string][]string{
		"0123456789abcdef\n":                       {"0123456789abcdef"},
		"0123456789abcdef\r\n\nfedcba9876543210\n": {"0123456789abcdef", "fedcba9876543210"},
	} {
		if token, err := open(write(content)); err != nil || !slices.Equal(token(), want) {
			t.Errorf("%q: want %q, got others, or %v", content, want, err)
		}
	}
	for content, want := range map[string]string{
		"secret":                        "--token-file: the token has 6 characters and needs 16",
		"0123456789abcdef\nsecret":      "--token-file: the token has 6 characters and needs 16",
		"0123456789abcdef0123456\u00e9": "--token-file: the token has characters other than those of ASCII",
		" \n":                           "the file is empty",
	} {
		if _, err := open(write(content)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: want the fault %q, got %v", content, want, err)
		}
	}
}

// TestMigrate brings up a new database, twice.
func TestMigrate(t *testing.T) {
	clearEnv(t)
	database := "sqlite://" + filepath.ToSlash(filepath.Join(t.TempDir(), "monarch.db"))
	for range 2 {
		var stderr bytes.Buffer
		if status := run(context.Background(), []string{"migrate", "--database", database, "--log.level", "error"}, &stderr, &stderr); status != node.ExitOK {
			t.Fatalf("exit status: want 0, got %d: %s", status, stderr.String())
		}
	}
}

// TestMigrateThatIsToldToStop holds that the status does not say that anything
// was migrated.
func TestMigrateThatIsToldToStop(t *testing.T) {
	clearEnv(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	status := make(chan int, 1)
	go func() {
		database := "postgres://" + silent.Addr().String() + "/monarch?sslmode=disable"
		status <- run(context.Background(), []string{"migrate", "--database", database, "--log.level", "error"}, io.Discard, io.Discard)
	}()
	conn, err := silent.Accept() // now it waits for an answer
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := <-status; got != node.ExitFault {
		t.Errorf("exit status: want %d, got %d", node.ExitFault, got)
	}
}

// TestANetworkTellsWhereItListens holds that whoever reads no text finds out.
func TestANetworkTellsWhereItListens(t *testing.T) {
	network, err := allinone.Start(t.Context(), allinone.Options{DataDir: t.TempDir(), NotificationNodes: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := network.Stop(); err != nil {
			t.Error(err)
		}
	}()
	var log bytes.Buffer
	p := &node.Process{Log: slog.New(slog.NewTextHandler(&log, nil))}
	(&allCmd{Bind: "127.0.0.1", Advertise: "[2001:db8::5]"}).tell(p, network)
	_, port, _ := net.SplitHostPort(network.Notification(1))
	for _, want := range []string{
		"role=dispatch address=" + network.Dispatch(),
		"role=notification number=2 address=" + network.Notification(1) + " advertised=[2001:db8::5]:" + port,
		"role=switchboard number=1 address=" + network.Switchboard(0),
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("want %q in the log, got:\n%s", want, log.String())
		}
	}
}
