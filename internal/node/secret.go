package node

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// secretBytes bounds a file with a secret: the wrong file should be an error
// and not a password.
const secretBytes = 16 << 10

// ReadSecret returns what a file holds, without the line breaks and blanks
// around it. An empty file, or one of more than 16 KiB, is an error, which never
// quotes the content.
func ReadSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, secretBytes+1))
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	secret := strings.TrimSpace(string(b))
	switch {
	case len(b) > secretBytes:
		return "", fmt.Errorf("read secret %s: more than %d bytes", path, secretBytes)
	case secret == "":
		return "", fmt.Errorf("read secret %s: the file is empty", path)
	}
	return secret, nil
}

// rereadEvery is how often a file with a secret is read while the process
// serves. That finds a change however it comes about: written in place, by
// another file in its stead, or by another directory behind a symbolic link, as
// Kubernetes does it; and whatever the file system says of it.
const rereadEvery = time.Second

// Secret gives take what the file at path holds, as [ReadSecret] returns it: now,
// and while the process serves again whenever that has changed. The error is
// that of reading, or of take, now. Later what take refuses with an error is not
// taken up: what was before counts on, as it does when the file is gone or empty.
// Then take is tried again until it succeeds or the file is as it was, and log
// and /readyz?verbose say what is wrong. name says there which secret it is,
// such as the name of its flag. The first call of take is before Secret returns,
// the others are on a goroutine of their own, one after the other. Secret comes
// before Serve.
func (p *Process) Secret(ctx context.Context, name, path string, take func(ctx context.Context, text string) error) error {
	text, err := ReadSecret(path)
	if err == nil {
		err = take(ctx, text)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.secrets = append(p.secrets, &secretFile{name: name, path: path, take: take, taken: text})
	return nil
}

// secretFile is a file whose changes are taken up.
type secretFile struct {
	name, path string
	take       func(ctx context.Context, text string) error
	taken      string // what counts
}

// rereads is the service that looks at all files with secrets.
func (p *Process) rereads() Service {
	return Service{Name: "secrets", Run: func(ctx context.Context) error {
		p.mu.Lock()
		files := p.secrets
		p.mu.Unlock()
		var watches sync.WaitGroup
		for _, f := range files {
			watches.Go(func() { f.watch(ctx, p) })
		}
		watches.Wait()
		<-ctx.Done()
		return nil
	}}
}

// watch takes up what changes until ctx ends. A reading counts when the next one
// is the same: not everybody who writes a file does it at once.
func (f *secretFile) watch(ctx context.Context, p *Process) {
	last, told := f.taken, ""
	tick := time.NewTicker(rereadEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		text, err := ReadSecret(f.path)
		reading := text
		if err != nil {
			reading = err.Error()
		}
		if reading != last {
			last = reading
			continue
		}
		changed := err == nil && text != f.taken
		if changed {
			err = f.take(ctx, text)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && err.Error() != told:
			told = err.Error()
			p.Log.Warn("a secret is not taken up, what was before counts on", "secret", f.name, "error", err)
			p.Detail(f.name, "is not taken up, what was before counts on: "+strings.ReplaceAll(told, "\n", "; "))
		case err != nil:
		case changed:
			f.taken, told = text, ""
			p.Log.Info("a changed secret is taken up", "secret", f.name)
			p.Detail(f.name, "taken up "+time.Now().UTC().Format(time.RFC3339))
		case told != "":
			told = ""
			p.Log.Info("a secret is as it was", "secret", f.name)
			p.Detail(f.name, "is as it was")
		}
	}
}
