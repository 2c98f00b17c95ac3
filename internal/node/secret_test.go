package node

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestReadSecret(t *testing.T) {
	for name, c := range map[string]struct{ content, want, fault string }{
		"one line":                {"postgres://a:b@c/d\n", "postgres://a:b@c/d", ""},
		"without a line break":    {"t0ken", "t0ken", ""},
		"with a foreign break":    {"t0ken\r\n", "t0ken", ""},
		"two lines":               {"one\ntwo\n", "one\ntwo", ""},
		"nothing":                 {"\n", "", "the file is empty"},
		"more than a secret has":  {strings.Repeat("x", secretBytes+1), "", "more than 16384 bytes"},
		"as much as a secret has": {strings.Repeat("x", secretBytes), strings.Repeat("x", secretBytes), ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secret")
			writeFile(t, path, c.content)
			got, err := ReadSecret(path)
			switch {
			case c.fault == "" && (err != nil || got != c.want):
				t.Errorf("want %q, got %q, %v", c.want, got, err)
			case c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)):
				t.Errorf("want the fault %q, got %v", c.fault, err)
			}
		})
	}
	if _, err := ReadSecret(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there: want an error, got none")
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// keeper takes secrets, but for what it does not like.
type keeper struct {
	mu     sync.Mutex
	taken  []string
	refuse error
}

func (k *keeper) refuses(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refuse = err
}

func (k *keeper) take(_ context.Context, text string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refuse != nil {
		return k.refuse
	}
	k.taken = append(k.taken, text)
	return nil
}

// A file changes in steps, each of which lasts until it has been read several
// times; afterwards the keeper has these values and the log those lines.
func TestSecretThatChanges(t *testing.T) {
	var path string
	write := func(t *testing.T, content string) { writeFile(t, path, content) }
	const (
		kept  = `level=WARN msg="a secret is not taken up, what was before counts on" secret=--token-file error=`
		taken = `level=INFO msg="a changed secret is taken up" secret=--token-file`
		back  = `level=INFO msg="a secret is as it was" secret=--token-file`
	)
	for name, c := range map[string]struct {
		steps  []func(t *testing.T, k *keeper)
		values []string
		log    []string // the beginning of each line, without its time
		detail string
	}{
		"not at all": {
			steps:  []func(*testing.T, *keeper){func(t *testing.T, _ *keeper) { write(t, "first") }},
			values: []string{"first"},
		},
		"in place": {
			steps:  []func(*testing.T, *keeper){func(t *testing.T, _ *keeper) { write(t, "second\n") }},
			values: []string{"first", "second"},
			log:    []string{taken},
			detail: "--token-file: taken up 2000-01-01T00:00:02Z",
		},
		"as Kubernetes does it, by a directory behind a link": {
			steps: []func(*testing.T, *keeper){func(t *testing.T, _ *keeper) {
				dir := filepath.Dir(path)
				for _, version := range []string{"..1", "..2"} {
					if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
						t.Fatal(err)
					}
					writeFile(t, filepath.Join(dir, version, "token"), version)
				}
				link := func(old, new string) {
					if err := errors.Join(os.Symlink(old, new+".new"), os.Rename(new+".new", new)); err != nil {
						t.Fatal(err)
					}
				}
				link("..1", filepath.Join(dir, "..data"))
				link(filepath.Join("..data", "token"), path)
				time.Sleep(3 * rereadEvery)
				link("..2", filepath.Join(dir, "..data"))
			}},
			values: []string{"first", "..1", "..2"},
			log:    []string{taken, taken},
			detail: "--token-file: taken up 2000-01-01T00:00:05Z",
		},
		"it vanishes and comes again": {
			steps: []func(*testing.T, *keeper){
				func(t *testing.T, _ *keeper) {
					if err := os.Remove(path); err != nil {
						t.Fatal(err)
					}
				},
				func(t *testing.T, _ *keeper) { write(t, "first") },
			},
			values: []string{"first"},
			log:    []string{kept + `"read secret: open`, back},
			detail: "--token-file: is as it was",
		},
		"it is emptied": {
			steps:  []func(*testing.T, *keeper){func(t *testing.T, _ *keeper) { write(t, "") }},
			values: []string{"first"},
			log:    []string{kept + `"read secret`},
			detail: "--token-file: is not taken up, what was before counts on: read secret",
		},
		"it is refused until it is not": {
			steps: []func(*testing.T, *keeper){
				func(t *testing.T, k *keeper) { k.refuses(errors.New("too short")); write(t, "second") },
				func(_ *testing.T, k *keeper) { k.refuses(nil) },
			},
			values: []string{"first", "second"},
			log:    []string{kept + `"too short"`, taken},
			detail: "--token-file: taken up 2000-01-01T00:00:04Z",
		},
		"half of it is written first": {
			steps: []func(*testing.T, *keeper){func(t *testing.T, _ *keeper) {
				write(t, "sec")
				time.Sleep(rereadEvery)
				write(t, "second")
			}},
			values: []string{"first", "second"},
			log:    []string{taken},
			detail: "--token-file: taken up 2000-01-01T00:00:03Z",
		},
	} {
		t.Run(name, func(t *testing.T) {
			path = filepath.Join(t.TempDir(), "token")
			writeFile(t, path, "first\n")
			synctest.Test(t, func(t *testing.T) {
				log, k := new(output), new(keeper)
				p := newProcess(log)
				if err := p.Secret(t.Context(), "--token-file", path, k.take); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				served := make(chan error, 1)
				go func() { served <- p.Serve(ctx) }()
				time.Sleep(rereadEvery / 2) // changes come between two readings
				for _, step := range c.steps {
					step(t, k)
					time.Sleep(3 * rereadEvery)
				}
				cancel()
				if err := <-served; err != nil {
					t.Error(err)
				}
				if got, want := strings.Join(k.taken, ", "), strings.Join(c.values, ", "); got != want {
					t.Errorf("taken: want %s, got %s", want, got)
				}
				lines := strings.Split(strings.TrimSuffix(log.String(), "\n"), "\n")
				if log.String() == "" {
					lines = nil
				}
				if len(lines) != len(c.log) {
					t.Fatalf("log: want %q, got %q", c.log, lines)
				}
				for i, want := range c.log {
					if _, line, _ := strings.Cut(lines[i], " "); !strings.HasPrefix(line, want) {
						t.Errorf("log: want %q, got %q", want, line)
					}
				}
				if text, _ := p.ready.report(true); !strings.Contains(text, c.detail) {
					t.Errorf("/readyz?verbose: want %q in it, got %q", c.detail, text)
				}
			})
		})
	}
}

// newProcess is a process that has not been started by Run.
func newProcess(log io.Writer) *Process {
	return &Process{Log: newLogger(log, LogFlags{}), draining: make(chan struct{}), cancel: func() {}}
}

func TestSecretThatIsNoneAtTheStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	p, k := newProcess(new(output)), new(keeper)
	if err := p.Secret(t.Context(), "--token-file", path, k.take); err == nil || !strings.HasPrefix(err.Error(), "--token-file: read secret: open ") {
		t.Errorf("a file that is not there: want an error that names flag and file, got %v", err)
	}
	writeFile(t, path, "first\n")
	k.refuses(errors.New("too short"))
	if err := p.Secret(t.Context(), "--token-file", path, k.take); err == nil || err.Error() != "--token-file: too short" {
		t.Errorf("one that is refused: want an error that says why, got %v", err)
	}
}
