package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/cmd/monarchload/load"
)

// TestClientsGetWhatTheyAreDue has the checks of the load tester say whether the
// stub does what ours do.
func TestClientsGetWhatTheyAreDue(t *testing.T) {
	s, accounts := start(t, 6)
	cfg := load.Config{
		Dispatch: s.dispatch, Accounts: accounts, Dialect: "MSNP7", UnderWay: 3, LoginsUnderWay: 3,
		Duration: 100 * time.Millisecond, Deadline: 10 * time.Second, LoginDeadline: 10 * time.Second,
		RoomSize: 3, MessageBytes: 120, Ack: "A", Pipeline: 1,
	}
	for _, mode := range []load.Mode{load.Login, load.Presence, load.Chat} {
		t.Run(string(mode), func(t *testing.T) {
			cfg := cfg
			cfg.Mode = mode
			got, err := load.Run(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			if !got.Faultless() || len(got.Errors) > 0 || got.Operations == 0 {
				t.Errorf("want operations without a fault, got %d: %d lost, %d doubled, %d changed, %d out of order, errors %v: %v",
					got.Operations, got.Lost, got.Doubled, got.Changed, got.OutOfOrder, got.Errors, got.Examples)
			}
		})
	}
}

// start starts a stub for so many accounts who all know each other.
func start(t *testing.T, n int) (*server, []load.Account) {
	t.Helper()
	var users, contacts strings.Builder
	var accounts []load.Account
	for i := range n {
		a := load.Account{Email: fmt.Sprintf("user%d@example.com", i), Password: "secret"}
		accounts = append(accounts, a)
		fmt.Fprintf(&users, "%s,%s,User%%20%d\n", a.Email, a.Password, i)
		for j := range n {
			if i != j {
				fmt.Fprintf(&contacts, "%s,user%d@example.com\n", a.Email, j)
			}
		}
	}
	dir := t.TempDir()
	table, err := readAccounts(file(t, dir, "accounts", users.String()), file(t, dir, "contacts", contacts.String()))
	if err != nil {
		t.Fatal(err)
	}
	s := &server{accounts: table, rooms: make(map[string]*room)}
	for _, l := range []struct {
		addr  *string
		serve func(*conn) error
	}{{&s.dispatch, s.serveDispatch}, {&s.notification, s.serveNotification}, {&s.switchboard, s.serveSwitchboard}} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		*l.addr = ln.Addr().String()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = accept(ln, l.serve) // until the listener is closed
		}()
		t.Cleanup(func() {
			_ = ln.Close() // nothing was written to it
			<-done
		})
	}
	return s, accounts
}

func file(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
