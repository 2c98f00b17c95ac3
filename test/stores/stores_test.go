package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTail(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want string
	}{
		{"one\ntwo\n", 100, "one\ntwo\n"},
		{"one\ntwo\nthree\n", 8, "three\n"},
		{"oneword", 4, "word"},
	} {
		if got := string(tail([]byte(c.text), c.n)); got != c.want {
			t.Errorf("tail of %q in %d bytes: want %q, got %q", c.text, c.n, c.want, got)
		}
	}
}

func TestSentenceForWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // no apt-get
	err := install(t.Context(), []program{
		{what: "Redis", pkg: "redis-server"},
		{what: "PostgreSQL", pkg: "postgresql"},
	})
	want := "Redis and PostgreSQL are missing and there is no apt-get here: install what is missing by hand, " +
		"or name running stores in MONARCH_TEST_REDIS and MONARCH_TEST_POSTGRES"
	if err == nil || err.Error() != want {
		t.Errorf("\nwant %q\ngot  %v", want, err)
	}
	if err := install(t.Context(), nil); err != nil {
		t.Errorf("with nothing missing: want no error, got %v", err)
	}
}

func TestStoresThatAreNamedAreNotStarted(t *testing.T) {
	t.Setenv("MONARCH_TEST_REDIS", "redis://127.0.0.1:1")
	t.Setenv("MONARCH_TEST_POSTGRES", "postgres://127.0.0.1:1")
	got, err := neededPrograms([]string{"nft"})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.stores) != 0 {
		t.Errorf("want nothing to start, got %d stores", len(got.stores))
	}
	if last := got.programs[len(got.programs)-1]; last.pkg != "nftables" {
		t.Errorf("want the program that was asked for among those that are needed, got %+v", got.programs)
	}
	if _, err := neededPrograms([]string{"fortune"}); err == nil || !strings.Contains(err.Error(), "program fortune") {
		t.Errorf("want an error that names the program, got %v", err)
	}
}

// TestStartAndStop starts both stores for real.
func TestStartAndStop(t *testing.T) {
	dir := t.TempDir()
	// The user whom PostgreSQL runs as has to get through to it.
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []store{redis, postgres} {
		if !s.present() {
			// The tests are run by this command, which has installed it.
			t.Fatalf("%s is not installed; run the tests with make test", s.what)
		}
		server, url, err := start(t.Context(), s, home{dir: filepath.Join(dir, s.variable)})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(url, "://") {
			t.Errorf("%s: %q is no URL", s.what, url)
		}
		server.stop()
		select {
		case <-server.ended:
		default:
			t.Errorf("%s runs on after its stop", s.what)
		}
	}
}

func TestStoreThatDoesNotStart(t *testing.T) {
	broken := redis
	broken.prepare = func(context.Context, home) (func(int) *exec.Cmd, error) {
		return func(int) *exec.Cmd { return exec.Command("sh", "-c", "echo no room >&2; exit 1") }, nil
	}
	_, _, err := start(t.Context(), broken, home{dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("want an error with the server's own words, got %v", err)
	}
	refusal := errors.New("disk full")
	broken.prepare = func(context.Context, home) (func(int) *exec.Cmd, error) { return nil, refusal }
	if _, _, err := start(t.Context(), broken, home{dir: t.TempDir()}); !errors.Is(err, refusal) {
		t.Errorf("want %v, got %v", refusal, err)
	}
}
