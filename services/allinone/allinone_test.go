package allinone

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/monarch-msn/monarch/internal/front"
	"github.com/monarch-msn/monarch/msnp/client"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/dispatch"
	"github.com/monarch-msn/monarch/services/notification"
	"github.com/monarch-msn/monarch/services/switchboard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a network until the test ends.
func start(t *testing.T, opt Options) *Network {
	t.Helper()
	if opt.DataDir == "" {
		opt.DataDir = t.TempDir()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, err := Start(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return n
}

func createAccount(t *testing.T, n *Network, email string) {
	t.Helper()
	answer, err := n.Accounts().CreateAccounts(t.Context(), &directoryv1.CreateAccountsRequest{
		Accounts: []*directoryv1.NewAccount{{Email: email, Password: "secret"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if answer.GetCreated() != 1 {
		t.Fatalf("create %s: %v", email, answer.GetErrors())
	}
}

func TestAClientIsReferredToANodeAndLogsIn(t *testing.T) {
	n := start(t, Options{NotificationNodes: 2})
	createAccount(t, n, "ann@example.com")
	c, err := client.Login(t.Context(), client.Options{Dispatch: n.Dispatch(), Email: "ann@example.com", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if want := []string{n.Notification(0), n.Notification(1)}; len(c.Referrals) != 1 || c.Referrals[0] != want[0] && c.Referrals[0] != want[1] {
		t.Errorf("want one referral, to one of %q, got %q", want, c.Referrals)
	}
	if err := n.Settle(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestNoLineOfTheLogHasAKeyTwice is for those that read it by a program, many of
// which keep the last one only.
func TestNoLineOfTheLogHasAKeyTwice(t *testing.T) {
	var log bytes.Buffer
	tune := front.Config{MaxConnections: 1 << 30} // more than there are files, which is said
	n := start(t, Options{
		Dispatch: dispatch.Config{Config: tune}, Notification: notification.Config{Config: tune}, Switchboard: switchboard.Config{Config: tune},
		Log: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	createAccount(t, n, "ann@example.com")
	c, err := client.Login(t.Context(), client.Options{Dispatch: n.Dispatch(), Email: "ann@example.com", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := n.Stop(); err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(log.String()) {
		seen := map[string]bool{}
		for _, m := range regexp.MustCompile(`"(\w+)":`).FindAllStringSubmatch(line, -1) {
			if seen[m[1]] {
				t.Errorf("%s twice in %s", m[1], line)
			}
			seen[m[1]] = true
		}
	}
	if !strings.Contains(log.String(), "the limit on open files") {
		t.Error("want a word on open files")
	}
}

func TestWhatWasKeptIsThereAfterARestart(t *testing.T) {
	dir := t.TempDir()
	n := start(t, Options{DataDir: dir})
	createAccount(t, n, "ann@example.com")
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	n = start(t, Options{DataDir: dir})
	c, err := client.Login(t.Context(), client.Options{Dispatch: n.Dispatch(), Email: "ann@example.com", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// TestATokenThatIsRefused holds that one which a role in a process of its own
// would refuse is not taken here either.
func TestATokenThatIsRefused(t *testing.T) {
	for content, want := range map[string]string{
		"12345\n":                      "the token has 5 characters and needs 16",
		"0123456789abcdef\n12345\n":    "the token has 5 characters and needs 16",
		"0123456789abcdef0123\u00e9\n": "characters other than those of ASCII",
		" \n":                          "the file is empty",
	} {
		path := filepath.Join(t.TempDir(), "operator.token")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ensureToken(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: want the fault %q of %s, got %v", content, want, path, err)
		}
	}
}

func TestADataDirectoryIsThatOfOneNetwork(t *testing.T) {
	dir := t.TempDir()
	first, err := Start(t.Context(), Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	second, err := Start(t.Context(), Options{DataDir: dir})
	if err == nil {
		_ = second.Stop() // it must not run at all
		t.Error("a second network started in the data directory of the first")
	} else if want := "data directory " + dir + " is in use by another process"; !strings.Contains(err.Error(), want) {
		t.Errorf("got %q, want %q in it", err, want)
	}
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	start(t, Options{DataDir: dir})
}
