package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWrongUsage(t *testing.T) {
	token := file(t, testToken)
	for _, args := range []string{
		"",
		"bogus",
		"user",
		"user bogus",
		"user create",
		"user create alice@example.com",
		"user create alice --password-stdin",
		"user create alice@example.com bob@example.com --password-stdin",
		"user show ..",
		"user import",
		"node list --output xml",
		"node list --bogus",
		"node list --server ftp://127.0.0.1",
		"node list --server http://",
		"node list --server 127.0.0.1:8080",
	} {
		r := ctl("secret\n", append([]string{"--token-file", token}, strings.Fields(args)...)...)
		if r.status != exitUsage {
			t.Errorf("%q: status %d, want 2", args, r.status)
		}
		if r.out != "" || strings.Count(r.err, "\n") != 1 || !strings.Contains(r.err, "--help") {
			t.Errorf("%q: printed %q and %q, want one sentence on standard error", args, r.out, r.err)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range []string{"--help", "user --help", "user create --help", "node list --help"} {
		r := ctl("", strings.Fields(args)...)
		if r.status != exitDone || r.err != "" || !strings.HasPrefix(r.out, "Usage: monarchctl") {
			t.Errorf("%s: status %d, %q and %q, want 0 and help", args, r.status, r.out, r.err)
		}
	}
}

func TestFaultsSayWhatToDo(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/missing/") {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, "<html>welcome</html>")
	}))
	defer stranger.Close()
	n := startNetwork(t)
	token, missing, empty, words := file(t, testToken), filepath.Join(t.TempDir(), "none.token"), file(t, " \n"), file(t, "a b\n")
	wrong := file(t, "wrong")
	for _, tt := range []struct {
		name, args, want string
	}{
		{
			"nobody listens", "--server " + nobody + " --token-file " + token + " node list",
			"list nodes: cannot reach the operator at " + nobody + ": connection refused (is monarch running there? --server names another address)",
		},
		{
			"no such host", "--server http://nowhere.invalid --token-file " + token + " node list",
			"cannot reach the operator at http://nowhere.invalid: ",
		},
		{
			"something else listens", "--server " + stranger.URL + " --token-file " + token + " node list",
			"list nodes: what answers at " + stranger.URL + ` is not a Monarch operator (it says "200 OK"; is --server right?)`,
		},
		{
			"something else has no such page", "--server " + stranger.URL + "/missing --token-file " + token + " node list",
			"list nodes: what answers at " + stranger.URL + `/missing is not a Monarch operator (it says "404 Not Found"; is --server right?)`,
		},
		{
			"no token file", "--server " + n.server.URL + " --token-file " + missing + " node list",
			"there is no token file " + missing + " (monarch all writes operator.token into its data directory; name it with --token-file)",
		},
		{
			"an empty token file", "--server " + n.server.URL + " --token-file " + empty + " node list",
			"token file " + empty + " does not hold a token, which is a line of text without blanks",
		},
		{
			"a token file of several words", "--server " + n.server.URL + " --token-file " + words + " node list",
			"token file " + words + " does not hold a token, which is a line of text without blanks",
		},
		{
			"a directory for a token file", "--server " + n.server.URL + " --token-file " + t.TempDir() + " node list",
			"is a directory",
		},
		{
			"a token that is refused", "--server " + n.server.URL + " --token-file " + wrong + " node list",
			"list nodes: the operator at " + n.server.URL + " refuses the token in " + wrong + " (give the token file of that very server with --token-file)",
		},
		{
			"no such file to import", "--server " + n.server.URL + " --token-file " + token + " user import none.csv",
			"open none.csv: no such file or directory",
		},
		{
			"no such user", "--server " + n.server.URL + " --token-file " + token + " user show alice@example.com",
			"show alice@example.com: ",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := ctl("", strings.Fields(tt.args)...)
			if r.status != exitFault || r.out != "" {
				t.Errorf("status %d and %q, want 1 and nothing", r.status, r.out)
			}
			if !strings.HasPrefix(r.err, "monarchctl: ") || !strings.Contains(r.err, tt.want) || strings.Count(r.err, "\n") != 1 {
				t.Errorf("standard error %q, want one sentence with %q", r.err, tt.want)
			}
		})
	}
}

func TestInterrupt(t *testing.T) {
	n := startNetwork(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var out, err strings.Builder
	status := run(ctx, []string{"--server", n.server.URL, "--token-file", n.tokenFile, "node", "list"},
		console{in: strings.NewReader(""), out: &out, err: &err})
	if status != exitFault || err.String() != "monarchctl: list nodes: interrupted\n" {
		t.Errorf("status %d and %q", status, err.String())
	}
}

// TestEnvironment has flags in the environment, where a flag on the command
// line beats them.
func TestEnvironment(t *testing.T) {
	n := startNetwork(t)
	t.Setenv("MONARCH_SERVER", n.server.URL)
	t.Setenv("MONARCH_TOKEN_FILE", n.tokenFile)
	t.Setenv("MONARCH_OUTPUT", "json")
	if r := ctl("", "user", "list"); r.status != exitDone || r.out != "[]\n" {
		t.Errorf("status %d, %q and %q, want an empty list as JSON", r.status, r.out, r.err)
	}
	if r := ctl("", "user", "list", "--output", "table"); r.status != exitDone || strings.HasPrefix(r.out, "[") {
		t.Errorf("status %d, %q and %q, want a table", r.status, r.out, r.err)
	}
	if r := ctl("", "user", "list", "--token-file", os.DevNull); r.status != exitFault {
		t.Errorf("status %d, want 1 for the token file of the command line", r.status)
	}
}

// TestServerBelowAPath reaches an operator behind a proxy that serves it under
// a path.
func TestServerBelowAPath(t *testing.T) {
	n := startNetwork(t)
	proxy := httptest.NewServer(http.StripPrefix("/monarch", n.operator))
	defer proxy.Close()
	n.create("o'neil/x#1@example.com")
	for _, base := range []string{"/monarch", "/monarch/"} {
		r := ctl("", "--server", proxy.URL+base, "--token-file", n.tokenFile, "user", "show", "o'neil/x#1@example.com")
		if r.status != exitDone || !strings.Contains(r.out, "o'neil/x#1@example.com") {
			t.Errorf("%s: status %d, %q and %q", base, r.status, r.out, r.err)
		}
	}
}
