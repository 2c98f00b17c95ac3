package cluster

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/test/cluster/network"
	"github.com/monarch-msn/monarch/test/script"
)

// A network of the previous version becomes one of this version, process by
// process under a crowd that works on. Between the two halves there are two of
// every role, one of each version, and transcripts are played across them.
//
// The new directory migrates the database while the old one goes on serving from
// it. Nodes call both in turn, so new nodes work with an old directory too, as
// they do where all roles are changed at the same time.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	t.Log("promise: old and new versions of every role work together: through an upgrade, process by process, " +
		"no session and no conversation breaks, no edit fails, no acknowledged edit or message is lost, everybody is told the truth")
	old, servers := previousServer(t), t.TempDir()
	// Each process is started by a name of its own, which first stands for the
	// old server and then for the new one.
	server := func(role string, i int) string { return filepath.Join(servers, fmt.Sprintf("%s-%d", role, i)) }
	install := func(name, path string) {
		t.Helper()
		if err := os.Symlink(path, name+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
	s := newScene(t, network.Options{
		Notifications: 2, Switchboards: 2, Directories: 2, Dispatches: 2,
		Binary: func(role string, i int) string {
			install(server(role, i), old)
			return server(role, i)
		},
	}, 100)

	upgrade := func(role string, i int, p *network.Process) {
		t.Helper()
		p.Terminate()
		p.Wait()
		install(server(role, i), network.PlainBinary(t))
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		p.AwaitReady()
	}
	roles := []struct {
		name      string
		processes []*network.Process
	}{
		{"directory", s.Roles.Directories},
		{"switchboard", s.Roles.Switchboards},
		{"notification", s.Roles.Notifications},
		{"dispatch", s.Roles.Dispatches},
		{"operator", []*network.Process{s.Roles.Operator}},
	}
	// converge has the crowd rest, and sees that all is well.
	converge := func(state string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), network.Patience)
		defer cancel()
		took, err := s.crowd.Converge(ctx)
		if err != nil {
			t.Fatalf("%s: %v", state, err)
		}
		t.Logf("figure: %s: %.1f s to converge, wrong views: 0, acknowledged edits lost: 0", state, took.Seconds())
	}

	before, begun := s.crowd.Figures(), time.Now()
	for _, r := range roles[:4] {
		upgrade(r.name, 0, r.processes[0])
	}
	work(t, s)
	converge("half of it upgraded")
	s.crowd.Rest()
	played := t.Run("transcripts", func(t *testing.T) { script.Test(t, s, across{script.Transcripts()}) })
	s.crowd.Work()
	if !played {
		return
	}
	work(t, s)
	for _, r := range roles {
		last := len(r.processes) - 1
		upgrade(r.name, last, r.processes[last])
	}
	work(t, s)
	converge("all of it upgraded")

	// A login finds a port closed now and then: that of a server which is just
	// being started again. It is tried once more, at another one.
	f := s.crowd.Figures().Since(before)
	if f.Lost+f.Failed+f.Broken+f.Missing > 0 {
		t.Errorf("%v\n%s", f, s.crowd.Losses())
	}
	t.Logf("figure: upgraded in %.0f s, sessions lost: %d, acknowledged messages lost: %d; %v",
		time.Since(begun).Seconds(), f.Lost, f.Missing, f)
}

// work waits until the crowd has done something of every kind once more.
func work(t *testing.T, s *scene) {
	t.Helper()
	before := s.crowd.Figures()
	for end := time.Now().Add(network.Patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if f := s.crowd.Figures().Since(before); f.Edits >= 50 && f.Presence >= 200 && f.Heard >= 20 {
			return
		}
	}
	t.Fatalf("the crowd does not get on with its work: %v within %v", s.crowd.Figures().Since(before), network.Patience)
}

// across is the transcripts in which nodes have to do with each other.
type across struct{ fs.FS }

// ReadDir implements fs.ReadDirFS.
func (a across) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(a.FS, name)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		return !slices.ContainsFunc([]string{
			"add-and-", "block-", "chat-call-", "chat-mixed-", "chat-three", "client-official", "connection-lost", "groups-move",
			"lists-on-request", "login-second", "login-through-dispatch", "mixed-dialects", "presence", "privacy-mode", "remove.",
			"rename.", "sync-after-changes", "sync-stale",
		}, func(prefix string) bool { return strings.HasPrefix(e.Name(), prefix) })
	}), err
}
