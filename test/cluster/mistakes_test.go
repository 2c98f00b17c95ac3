package cluster

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/monarch-msn/monarch/test/cluster/network"
)

// Exit statuses of the command.
const (
	fault = 1
	usage = 2
)

// What an operator gets wrong ends at once, with the documented status and one
// sentence on standard error that says what is wrong. No password is in it, nor
// anywhere in the log.
func TestMistakesEndInOneSentence(t *testing.T) {
	const secret = "hunter2"
	taken := occupy(t)
	guarded := miniredis.RunT(t)
	guarded.RequireAuth("another")
	dir := t.TempDir()
	empty, short := filepath.Join(dir, "empty"), filepath.Join(dir, "short")
	for file, content := range map[string]string{empty: "", short: secret + "\n"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const (
		// Nothing listens on port 1.
		nowhere  = "redis://127.0.0.1:1"
		listen   = "--listen=127.0.0.1:0"
		hurry    = "--start.timeout=100ms"
		untended = "--telemetry.listen="
	)
	node := []string{"notification", listen, "--advertise=127.0.0.1:1863", "--redis=" + nowhere, "--directory=127.0.0.1:1", untended}
	all := []string{"all", "--data-dir=" + filepath.Join(dir, "data"), "--dispatch.port=0", "--notification.port=0", "--switchboard.port=0", "--operator.listen=", untended}
	with := func(args []string, more ...string) []string { return append(slices.Clone(args), more...) }

	for name, c := range map[string]struct {
		args   []string
		env    []string
		status int
		says   []string
	}{
		"no command":        {nil, nil, usage, []string{"expected one of", "all"}},
		"an unknown one":    {[]string{"switchbord"}, nil, usage, []string{"switchbord"}},
		"an unknown flag":   {with(all, "--data-dri=x"), nil, usage, []string{"--data-dri"}},
		"a flag left out":   {[]string{"dispatch"}, nil, usage, []string{"--redis"}},
		"no duration":       {with(node, "--drain.timeout=soon"), nil, usage, []string{"--drain.timeout", "soon"}},
		"no log level":      {with(all, "--log.level=loud"), nil, usage, []string{"--log.level", "loud"}},
		"a number too low":  {with(node, "--notification.capacity=-1"), nil, usage, []string{"capacity", "-1"}},
		"a wrong variable":  {all, []string{"MONARCH_NOTIFICATION_NODES=many"}, usage, []string{"many"}},
		"too many nodes":    {with(all, "--notification.nodes=1000"), nil, usage, []string{"--notification.nodes", "1000"}},
		"no address":        {[]string{"dispatch", "--listen=1863", "--redis=" + nowhere, untended}, nil, usage, []string{"--listen", "1863"}},
		"a wildcard":        {with(node, "--advertise=0.0.0.0:1863"), nil, usage, []string{"--advertise", "wildcard"}},
		"two of one secret": {[]string{"dispatch", untended}, []string{"MONARCH_REDIS=" + nowhere, "MONARCH_REDIS_FILE=" + short}, usage, []string{"MONARCH_REDIS_FILE"}},

		"dispatch's port in use": {
			with(all, "--dispatch.port="+taken.port), nil, fault,
			[]string{taken.addr, "in use", "--dispatch.port"},
		},
		"a node's port in use": {
			with(all, "--notification.port="+taken.port), nil, fault,
			[]string{taken.addr, "in use", "--notification.port"},
		},
		"a switchboard's port in use": {
			with(all, "--switchboard.port="+taken.port), nil, fault,
			[]string{taken.addr, "in use", "--switchboard.port"},
		},
		"the operator's port in use": {
			with(all, "--operator.listen="+taken.addr), nil, fault,
			[]string{taken.addr, "in use", "--operator.listen"},
		},
		"telemetry's port in use": {
			with(all, "--telemetry.listen="+taken.addr), nil, fault,
			[]string{taken.addr, "in use", "--telemetry.listen"},
		},
		"the directory's port in use": {
			[]string{"directory", "--listen=" + taken.addr, "--database=sqlite://" + filepath.Join(dir, "port.db"), "--key-file=" + filepath.Join(dir, "port.keys"), untended},
			nil, fault,
			[]string{taken.addr, "in use", "--listen"},
		},
		"a Redis URL of another kind": {
			[]string{"dispatch", listen, "--redis=http://me:" + secret + "@127.0.0.1", untended},
			nil, usage,
			[]string{"redis URL"},
		},
		"a Redis URL that is none": {
			[]string{"dispatch", listen, "--redis=" + secret, untended},
			nil, usage,
			[]string{"redis URL"},
		},
		"a Redis out of reach": {
			[]string{"dispatch", listen, "--redis=redis://me:" + secret + "@127.0.0.1:1", hurry, untended},
			nil, fault,
			[]string{"Redis", "--start.timeout"},
		},
		"a Redis that does not speak TLS": {
			[]string{"dispatch", listen, "--redis=rediss://me:" + secret + "@" + taken.addr, hurry, untended},
			nil, fault,
			[]string{"Redis", "does it speak TLS"},
		},
		"a Redis that refuses the password": {
			[]string{"dispatch", listen, "--redis=redis://:" + secret + "@" + guarded.Addr(), untended},
			nil, fault,
			[]string{"Redis", "refuses the user or the password"},
		},
		"a database URL of another kind": {
			[]string{"directory", listen, "--database=mysql://me:" + secret + "@127.0.0.1/x", untended},
			nil, usage,
			[]string{"sqlite://", "postgres://"},
		},
		"a database URL that is none": {
			[]string{"migrate", "--database=postgres://me:" + secret + "@127.0.0.1:port/x"},
			nil, usage,
			[]string{"postgres://"},
		},
		"a database out of reach": {
			[]string{"directory", listen, "--database=postgres://me:" + secret + "@127.0.0.1:1/x", hurry, untended},
			nil, fault,
			[]string{"PostgreSQL at 127.0.0.1:1", "--start.timeout"},
		},
		"a database file in no directory": {
			[]string{"migrate", "--database=sqlite://" + filepath.Join(dir, "nowhere", "monarch.db")},
			nil, fault,
			[]string{filepath.Join(dir, "nowhere")},
		},
		"a token file that is missing": {
			with(node, "--cluster-token-file="+filepath.Join(dir, "missing")), nil, fault,
			[]string{"--cluster-token-file", "missing"},
		},
		"a token file that is empty": {
			with(node, "--cluster-token-file="+empty), nil, fault,
			[]string{"--cluster-token-file", "empty"},
		},
		"a token that is too short": {
			with(node, "--cluster-token-file="+short), nil, fault,
			[]string{"--cluster-token-file", "characters"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, stdout, stderr := network.Run(t, c.env, c.args...)
			if status != c.status {
				t.Errorf("want exit status %d, got %d", c.status, status)
			}
			checkSentence(t, stderr, c.says...)
			if strings.Contains(stdout+stderr, secret) {
				t.Error("a secret was written")
			}
			if t.Failed() {
				t.Logf("monarch %s\n%s%s", strings.Join(c.args, " "), stdout, stderr)
			}
		})
	}
}

// checkSentence checks that standard error holds one line, by monarch, with
// these parts.
func checkSentence(t *testing.T, stderr string, parts ...string) {
	t.Helper()
	sentence, more, ended := strings.Cut(stderr, "\n")
	if !ended || more != "" || !strings.HasPrefix(sentence, "monarch: ") {
		t.Errorf("want one sentence of monarch's on standard error, got %q", stderr)
	}
	for _, part := range parts {
		if !strings.Contains(sentence, part) {
			t.Errorf("want %q in the sentence, got %q", part, stderr)
		}
	}
}

type occupied struct{ addr, port string }

// occupy listens on a port for as long as the test runs.
func occupy(t *testing.T) occupied {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
	})
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return occupied{ln.Addr().String(), port}
}

// A process whose token the directory refuses is not ready and says why, so that
// a rollout stops there; it does not end. With the right one it is ready without
// another start.
func TestWrongTokenIsSaidUntilItIsRight(t *testing.T) {
	t.Parallel()
	dir, redis := t.TempDir(), miniredis.RunT(t)
	write := func(name, token string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const right, wrong = "the-token-of-the-directory", "the-token-of-somebody-else"
	at := network.Loopback(network.Port(t))
	network.Monarch(t, "directory", nil, "directory", "--listen="+at, "--database=sqlite://"+filepath.Join(dir, "monarch.db"),
		"--key-file="+filepath.Join(dir, "keys"), "--cluster-token-file="+write("cluster", right), "--accounts-token-file="+write("accounts", right))
	common := []string{"--listen=127.0.0.1:0", "--redis=redis://" + redis.Addr(), "--directory=" + at}
	for _, c := range []struct{ role, flag string }{
		{"notification", "--cluster-token-file"},
		{"operator", "--accounts-token-file"},
	} {
		path := write(c.role, wrong)
		args := append([]string{c.role, c.flag + "=" + path}, common...)
		if c.role == "operator" {
			args = append(args, "--token-file="+write("operator.token", right))
		} else {
			args = append(args, "--advertise=127.0.0.1:1863")
		}
		p := network.Monarch(t, c.role, nil, args...)
		sentence := "the directory refuses the token of " + c.flag + ": all processes of a network need the same"
		ctx, cancel := context.WithTimeout(t.Context(), network.Patience)
		eventually(ctx, t, func() error {
			ready, text, err := p.Readiness(ctx)
			if err == nil && (ready || !strings.Contains(text, "not ready: directory: "+sentence+"\n")) {
				err = fmt.Errorf("%s says %q", c.role, text)
			}
			return err
		})
		if log, _ := p.Output(); strings.Count(log, sentence) != 1 {
			t.Errorf("%s: want the log to say it once, got\n%s", c.role, log)
		}
		write(c.role, right)
		p.AwaitReady()
		cancel()
		p.Stop()
	}
}
