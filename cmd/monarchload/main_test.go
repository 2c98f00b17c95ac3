package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/monarch-msn/monarch/cmd/monarchload/load"
)

// outcome is what a command has printed, and its exit status.
type outcome struct {
	out, err string
	status   int
}

func monarchload(t *testing.T, args ...string) outcome {
	t.Helper()
	var out, err bytes.Buffer
	status := run(t.Context(), args, &out, &err)
	return outcome{out.String(), err.String(), status}
}

// result reads what --json has printed: exactly one document.
func (o outcome) result(t *testing.T) load.Result {
	t.Helper()
	var r load.Result
	d := json.NewDecoder(strings.NewReader(o.out))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil || d.More() {
		t.Fatalf("standard output is not one document: %v\n%s\n%s", err, o.out, o.err)
	}
	return r
}

// No run here lasts a time: each ends as soon as enough was done.
func TestOnANetwork(t *testing.T) {
	n := startNetwork(t)
	sizes := []int{3}
	for _, m := range modes {
		size := 6
		if strings.HasPrefix(m.args, "mixed") {
			size = 10 // Some come and go, and there have to be strangers.
		}
		sizes = append(sizes, size)
	}
	for range tampers {
		sizes = append(sizes, 4)
	}
	files := circles(t, n, sizes...)
	next := func() (file string) {
		file, files = files[0], files[1:]
		return file
	}
	few := next()
	t.Run("targets and errors", func(t *testing.T) { testTargetsAndErrors(t, n.Dispatch(), few) })
	for _, tt := range modes {
		file := next()
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			tt.test(t, n.Dispatch(), file)
		})
	}
	for _, tt := range tampers {
		file := next()
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.test(t, newProxy(t, n, tt.tamper()), file)
		})
	}
}

type mode struct {
	args string
	// deliveries are how many each operation has, if all have as many; kinds
	// how many kinds there are, if not one.
	deliveries, kinds int64
}

var modes = []mode{
	{args: "login --under-way 3"},
	{args: "login --under-way 3 --stay 5ms --dialect MSNP2 --source 127.0.0.0/30"},
	{args: "idle --settle 1ms"},
	{args: "presence --under-way 3", deliveries: 2},
	{args: "presence --rate 200 --dialect MSNP5 --login-rate 1000", deliveries: 2},
	{args: "chat --under-way 6", deliveries: 1},
	{args: "chat --rate 200 --room-size 3 --pipeline 4 --ack N --message-bytes 1664", deliveries: 2},
	{args: "mixed --under-way 12 --logins 2 --edits 3", kinds: 4},
}

func (m mode) test(t *testing.T, dispatch, file string) {
	args := append(strings.Fields(m.args), "--dispatch", dispatch, "--accounts", file, "--json", "--quiet", "--max-errors", "0")
	idle := args[0] == "idle"
	if idle {
		args = append(args, "--duration", "10ms")
	} else {
		args = append(args, "--operations", "20", "--duration", "1m", "--warmup", "10ms")
	}
	if runtime.GOOS == "linux" {
		args = append(args, "--measure", strconv.Itoa(os.Getpid()))
	}
	o := monarchload(t, args...)
	r := o.result(t)
	if o.status != exitDone || len(r.Examples) > 0 {
		t.Fatalf("status %d\n%s\n%s", o.status, o.out, o.err)
	}
	if string(r.Mode) != args[0] || r.DurationSeconds <= 0 || (r.Operations == 0) != idle || (r.Latency.P50 == 0) != idle || r.LoginLatency.P50 == 0 {
		t.Errorf("printed %s", o.out)
	}
	// What is under way as the window opens and shuts is on one side only.
	const underWay = 6 * 4
	if m.deliveries > 0 && (r.Deliveries < (r.Operations-underWay)*m.deliveries || r.Deliveries > (r.Operations+underWay)*m.deliveries) {
		t.Errorf("%d operations with %d deliveries", r.Operations, r.Deliveries)
	}
	if len(r.Kinds) != int(m.kinds) {
		t.Errorf("kinds %+v", r.Kinds)
	}
	for name, k := range r.Kinds {
		if k.Operations == 0 {
			t.Errorf("%s: %+v", name, k)
		}
	}
	if runtime.GOOS == "linux" && (len(r.Processes) != 1 || r.CPUSeconds <= 0 || r.RSSBytes == 0 || (r.CPUPerOperation == 0) != idle) {
		t.Errorf("measured %+v, %g s, %d bytes", r.Processes, r.CPUSeconds, r.RSSBytes)
	}
}

// tamper is something that is done to a line on its way. It has to be noticed,
// and to turn the exit status to 1.
type tamper struct {
	name, args string
	tamper     func() tampering
	fault      func(*load.Result) int64
}

var tampers = []tamper{
	{"a status is lost", "presence --deadline 300ms", first(status, drop), lost},
	{"a status comes twice", "presence", first(status, twice), doubled},
	{"a status changes", "presence --deadline 300ms", first(status, func(c []byte) []byte { return append([]byte("NLN LUN"), c[7:]...) }), changed},
	{"a status comes again behind a later one", "presence", again, outOfOrder},
	{"a message is lost", "chat --deadline 300ms", first(message, drop), lost},
	{"a message comes twice", "chat", first(message, twice), doubled},
	{"a message changes", "chat --deadline 300ms", first(message, func(c []byte) []byte { return append(c[:len(c)-1:len(c)-1], c[len(c)-1]^1) }), changed},
	{"a message comes behind a later one", "chat --pipeline 3", swapped, outOfOrder},
}

func (tt tamper) test(t *testing.T, dispatch, file string) {
	o := monarchload(t, append(strings.Fields(tt.args), "--dispatch", dispatch, "--accounts", file,
		"--operations", "20", "--duration", "1m", "--warmup", "0s", "--json", "--quiet")...)
	if r := o.result(t); o.status != exitFault || tt.fault(&r) == 0 || len(r.Examples) == 0 {
		t.Errorf("status %d\n%s\n%s", o.status, o.out, o.err)
	}
}

func lost(r *load.Result) int64       { return r.Lost }
func doubled(r *load.Result) int64    { return r.Doubled }
func changed(r *load.Result) int64    { return r.Changed }
func outOfOrder(r *load.Result) int64 { return r.OutOfOrder }

// status is a status behind that of the login.
func status(c []byte) bool {
	return bytes.HasPrefix(c, []byte("NLN ")) && !bytes.HasPrefix(c, []byte("NLN NLN "))
}

func message(c []byte) bool {
	return bytes.HasPrefix(c, []byte("MSG ")) && !bytes.HasPrefix(c, []byte("MSG Hotmail "))
}

func drop([]byte) []byte    { return nil }
func twice(c []byte) []byte { return bytes.Repeat(c, 2) }

// first does something to the first command of a kind.
func first(is func([]byte) bool, act func([]byte) []byte) func() tampering {
	return func() tampering {
		done := false
		return func(_ int, c []byte) []byte {
			if done || !is(c) {
				return c
			}
			done = true
			return act(c)
		}
	}
}

// again repeats somebody's first status behind the second.
func again() tampering {
	type telling struct {
		conn int
		who  string
	}
	before := make(map[telling][]byte)
	done := false
	return func(conn int, c []byte) []byte {
		if done || !status(c) {
			return c
		}
		this := telling{conn, string(bytes.Fields(c)[2])}
		old := before[this]
		before[this] = c
		done = old != nil
		return append(bytes.Clone(c), old...)
	}
}

// swapped lets the first message pass behind the second one to the same member.
func swapped() tampering {
	var held []byte
	var to int
	done := false
	return func(conn int, c []byte) []byte {
		switch {
		case done || !message(c):
			return c
		case held == nil:
			held, to = c, conn
			return nil
		case conn != to:
			return c
		}
		done = true
		return append(bytes.Clone(c), held...)
	}
}

func testTargetsAndErrors(t *testing.T, dispatch, file string) {
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	wrong := write("wrong.csv", "user0-0@example.com,wrong\n")
	report := filepath.Join(dir, "report.html")
	const few = " --warmup 0s --operations 5 --duration 1m"
	for _, tt := range []struct {
		args, file string
		status     int
		out        string // in one of the outputs
	}{
		{"presence --under-way 2 --max-p99 1h --min-rate 0.001" + few, file, exitDone, "target             min_rate met"},
		{"presence --under-way 2 --max-p99 1us" + few, file, exitFault, "target             max_p99 missed: wanted 1µs, seen "},
		{"presence --rate 500 --report " + report + few, file, exitDone, "3 clients"},
		{"idle --duration 10ms --measure 1073741824", file, exitFault, "measure process 1073741824: "},
		{"idle --clients 4", file, exitUsage, "clients: 4 of 3 accounts (monarchload --help shows what there is)\n"},
		{"idle --source 203.0.113.1", file, exitUsage, "--source: 203.0.113.1 is not an address of this machine"},
		{"idle --rate 1", file, exitUsage, "unknown flag --rate"},
		{"sleep", file, exitUsage, "monarchload: "},
		{"idle", filepath.Join(dir, "none"), exitUsage, "none"},
		{"idle", write("empty", ""), exitUsage, "has no accounts"},
		{"idle", write("short", "ann@example.com\n"), exitUsage, "line 1: email,password is wanted"},
		{"idle", write("quote", "ann@example.com,x\nbob@example.com,\"x\n"), exitUsage, "line 2: a quoted field has no end"},
		{"idle", write("name", "ann@example.com,x\nann,x\n"), exitUsage, `line 2: "ann" is not an email address`},
		{"chat --room-size 4", file, exitFault, "monarchload: no client could be brought to work: 3 are online, a room has 4\n"},
		{"login --duration 10ms --warmup 0s --max-errors 0", wrong, exitFault, "error              login: 911: "},
		{"login --duration 10ms --warmup 0s", wrong, exitFault, "no client could be brought to work: [login: 911 ("},
		{"idle --retry 1", wrong, exitFault, "no client could be brought to work: [login tried again: 911 (1) login: 911 (1)]\n"},
		{"idle --report " + dir, file, exitUsage, "--report: open " + dir + ": is a directory"},
	} {
		args := append(strings.Fields(tt.args), "--dispatch", dispatch, "--accounts", tt.file)
		if o := monarchload(t, args...); o.status != tt.status || !strings.Contains(o.out+o.err, tt.out) {
			t.Errorf("%s: want status %d and %q, got %d\n%s%s", tt.args, tt.status, tt.out, o.status, o.out, o.err)
		}
	}

	page, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"monarchload presence", "Latency by percentile", "<polyline", "prefers-color-scheme"} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the report lacks %q", want)
		}
	}
	for _, never := range []string{"NaN", "ZgotmplZ", "http"} {
		if bytes.Contains(page, []byte(never)) {
			t.Errorf("the report has %q:\n%s", never, page)
		}
	}
}

func TestAccountsAreReadAsByTheImport(t *testing.T) {
	name := filepath.Join(t.TempDir(), "accounts.csv")
	text := "\uFEFFEmail,Password,Name\r\n Ann@example.com ,\" a,b\",Ann\r\n \r\nbob@example.com,x\r\n"
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readAccounts(name)
	want := []load.Account{{Email: "ann@example.com", Password: " a,b"}, {Email: "bob@example.com", Password: "x"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("want %v, got %v, %v", want, got, err)
	}
}

// Without a network nobody logs in, in any mode, and no latency is a good one.
func TestWithoutANetwork(t *testing.T) {
	file := filepath.Join(t.TempDir(), "accounts.csv")
	if err := os.WriteFile(file, []byte("ann@example.com,secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o := monarchload(t, "idle", "--dispatch", "foo", "--accounts", file); o.status != exitUsage || !strings.Contains(o.err, `dispatch: "foo" is not host:port`) {
		t.Errorf("an address without a port: status %d\n%s", o.status, o.err)
	}
	for _, args := range []string{
		"idle",
		"login --warmup 0s --duration 10ms --max-p99 1h",
		"login --warmup 0s --duration 10ms --max-p99 1h --rate 1000",
	} {
		o := monarchload(t, append(strings.Fields(args), "--dispatch", "127.0.0.1:1", "--accounts", file)...)
		const want = "monarchload: no client could be brought to work: "
		if o.status != exitFault || !strings.Contains(o.err, want) || strings.Contains(o.out, "max_p99 met") {
			t.Errorf("%s: want status %d and %q, got %d\n%s%s", args, exitFault, want, o.status, o.out, o.err)
		}
	}
}
