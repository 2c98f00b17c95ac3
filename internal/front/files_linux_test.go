package front_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/monarch-msn/monarch/internal/front"
)

// lowerFiles has this process open no more than so many files beyond those
// that are open.
func lowerFiles(t *testing.T, more uint64) uint64 {
	t.Helper()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	lowest := uint64(f.Fd())
	f.Close()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	now := was
	now.Cur = lowest + more
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &now); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	})
	return now.Cur
}

// A process that has few files left refuses further clients while it can still
// do everything else, and serves those inside.
func TestFilesAreKeptForOthersThanClients(t *testing.T) {
	limit := lowerFiles(t, 200)
	n := overTCP(t, front.Config{}, echo)
	if want := "limit on open files"; !strings.Contains(n.log.String(), want) {
		t.Errorf("log: want %q in it, got %s", want, n.log)
	}
	var inside []*client
	for n.sums("monarch_connections_refused_total", "limit")["files"] == 0 {
		c := n.client()
		c.say("VER 1 MSNP7\r\n")
		if line, err := c.in.ReadString('\n'); err != nil {
			t.Fatalf("client %d: %v", len(inside), err)
		} else if line == "600 1\r\n" {
			c.Close()
			continue
		}
		inside = append(inside, c)
		if uint64(len(inside)) > limit {
			t.Fatalf("%d clients got in with %d files", len(inside), limit)
		}
	}
	var others []*os.File
	for range limit / 8 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatalf("open a file while clients are refused: %v", err)
		}
		others = append(others, f)
	}
	for _, c := range inside {
		c.say("PNG\r\n")
		c.hears("QNG\r\n")
	}
	for _, f := range others {
		f.Close()
	}
	inside[0].Close()
	inside[1].Close()
	eventually(t, "the next gets in", func() bool {
		c := n.client()
		defer c.Close()
		c.say("VER 1 MSNP7\r\n")
		line, _ := c.in.ReadString('\n')
		return line == "VER 1 MSNP7\r\n"
	})
}

// Without a single file left nobody can be accepted, not even to be refused;
// those inside keep their service, and who waited gets in when there are files.
func TestClientsInsideOutliveTheEndOfFiles(t *testing.T) {
	n := overTCP(t, front.Config{}, echo)
	inside := served(t, n)
	lowerFiles(t, 20)
	var held []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if errors.Is(err, syscall.EMFILE) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		held = append(held, f)
	}
	held[0].Close() // for the client's end; none is left for the server's
	waiting := n.client()
	eventually(t, "the shortage is noticed", func() bool { return strings.Contains(n.log.String(), "too many open files") })
	inside.say("PNG\r\n")
	inside.hears("QNG\r\n")
	for _, f := range held {
		f.Close()
	}
	waiting.say("PNG\r\n")
	waiting.hears("QNG\r\n")
}
