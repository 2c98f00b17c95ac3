package protocol

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/msnp"
	"github.com/monarch-msn/monarch/msnp/client"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/allinone"
	"github.com/monarch-msn/monarch/services/notification"
)

// audience is one client of each dialect, on two nodes, and an operator.
type audience struct {
	t       *testing.T
	ctx     context.Context
	net     *allinone.Network
	token   string
	clients []*client.Client // by dialect, oldest first
}

// gather starts a network and logs a user of each dialect in: msnp2@example.com
// and so on. They are present, and each has all others on FL.
func gather(t *testing.T, cfg notification.Config) *audience {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	net, err := allinone.Start(ctx, allinone.Options{
		DataDir: dir, NotificationNodes: 2, OperatorListen: "127.0.0.1:0", Notification: cfg,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := net.Stop(); err != nil {
			t.Errorf("stop the network: %v", err)
		}
	})
	token, err := os.ReadFile(filepath.Join(dir, "operator.token"))
	if err != nil {
		t.Fatal(err)
	}
	a := &audience{t: t, ctx: ctx, net: net, token: strings.TrimSpace(string(token))}
	accounts := &directoryv1.CreateAccountsRequest{}
	for _, d := range msnp.Dialects() {
		accounts.Accounts = append(accounts.Accounts, &directoryv1.NewAccount{Email: emailOf(d), Password: "secret"})
	}
	if _, err := net.Accounts().CreateAccounts(ctx, accounts); err != nil {
		t.Fatal(err)
	}
	for i, d := range msnp.Dialects() {
		c, err := client.Login(ctx, client.Options{
			Dispatch: net.Notification(i), Email: emailOf(d), Password: "secret", Dialects: []string{d.String()},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		a.clients = append(a.clients, c)
	}
	return a
}

func emailOf(d *msnp.Dialect) string { return strings.ToLower(d.String()) + "@example.com" }

// present has every client send its first CHG.
func (a *audience) present() {
	a.t.Helper()
	for _, c := range a.clients {
		if _, err := c.Do(a.ctx, "CHG", "NLN"); err != nil {
			a.t.Fatal(err)
		}
	}
}

// operate sends a request to the operator.
func (a *audience) operate(method, path, body string) {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.ctx, method, "http://"+a.net.Operator()+"/api/v1/"+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	http.DefaultClient.CloseIdleConnections()
	if err != nil || resp.StatusCode != http.StatusOK {
		a.t.Fatalf("%s %s: status %d, %s, %v", method, path, resp.StatusCode, answer, err)
	}
}

// expect reads one line of a client and checks what it begins with, and what
// its payload holds.
func (a *audience) expect(c *client.Client, line string, payload ...string) {
	a.t.Helper()
	m, err := c.Next(a.ctx)
	if err != nil {
		a.t.Fatalf("%s: waits for %s: %v", c.Email, line, err)
	}
	if !strings.HasPrefix(m.Text, line) {
		a.t.Errorf("%s: want %s, got %s", c.Email, line, m)
	}
	for _, part := range payload {
		if !bytes.Contains(m.Payload, []byte(part)) {
			a.t.Errorf("%s: want a payload with %q, got %q", c.Email, part, m.Payload)
		}
	}
}

// quiet checks that a client has been told nothing more.
func (a *audience) quiet(c *client.Client) {
	a.t.Helper()
	if err := a.net.Settle(a.ctx); err != nil {
		a.t.Fatal(err)
	}
	if err := c.Send("PNG"); err != nil {
		a.t.Fatal(err)
	}
	a.expect(c, "QNG")
}

func TestAnnouncementByVersion(t *testing.T) {
	a := gather(t, notification.Config{})
	// Those who have logged in hear it, present or not.
	for range 2 {
		a.operate("POST", "announcements", `{"minutes":5,"text":"Tea & <cake>"}`)
		for _, c := range a.clients {
			a.expect(c, "MSG Hotmail Hotmail 90", "application/x-msmsgssystemmessage\r\n\r\nType: 1\r\nArg1: 5\r\n\r\n")
			if c.Dialect.Has(msnp.Alerts) {
				a.expect(c, "NOT ", fmt.Sprintf("name=%q", c.Email), "<TEXT>Tea &amp; &lt;cake&gt;</TEXT>")
			}
			a.quiet(c)
		}
		a.present()
	}
	a.operate("POST", "announcements", `{"minutes":1}`)
	for _, c := range a.clients {
		a.expect(c, "MSG Hotmail Hotmail 90", "Arg1: 1\r\n")
		a.quiet(c)
	}
}

func TestAnnouncementToOne(t *testing.T) {
	a := gather(t, notification.Config{})
	a.present()
	a.operate("POST", "announcements", `{"minutes":5,"email":"msnp6@example.com"}`)
	for _, c := range a.clients {
		if c.Dialect == msnp.MSNP6 {
			a.expect(c, "MSG Hotmail Hotmail 90")
		}
		a.quiet(c)
	}
}

func TestAnnouncementWithoutAlerts(t *testing.T) {
	a := gather(t, notification.Config{NoAlerts: true})
	a.operate("POST", "announcements", `{"minutes":5,"text":"Tea"}`)
	for _, c := range a.clients {
		a.expect(c, "MSG Hotmail Hotmail 90")
		a.quiet(c)
	}
}

func TestMailByVersion(t *testing.T) {
	for _, enabled := range []bool{true, false} {
		t.Run(fmt.Sprintf("mail=%v", enabled), func(t *testing.T) {
			a := gather(t, notification.Config{Mail: enabled})
			for _, c := range a.clients {
				flag := "EmailEnabled: 0\r\n"
				if enabled {
					flag = "EmailEnabled: 1\r\n"
				}
				if c.Dialect.Has(msnp.Passport) != bytes.Contains(c.Profile, []byte(flag)) {
					t.Errorf("%s: profile %q", c.Email, c.Profile)
				}
				a.operate("POST", "sessions/"+c.Email+"/mail", `{"from":"Dan","address":"dan@example.net","subject":"Tea"}`)
				if enabled {
					a.expect(c, "MSG Hotmail Hotmail ", "emailnotification", "From: Dan\r\n", "Subject: Tea\r\n", "From-Addr: dan@example.net\r\n")
				}
				a.quiet(c)
			}
		})
	}
}

// TestImposedStatus: the server may change a status by itself, which watchers
// see as if the client had.
func TestImposedStatus(t *testing.T) {
	a := gather(t, notification.Config{})
	first, last := a.clients[0], a.clients[len(a.clients)-1]
	for _, c := range a.clients {
		// Who is not present has no status to change.
		a.operate("PUT", "sessions/"+c.Email+"/status", `{"status":"HDN"}`)
		a.quiet(c)
	}
	a.present()
	if _, err := last.Do(a.ctx, "ADD", "FL", first.Email, first.Email); err != nil {
		t.Fatal(err)
	}
	a.expect(last, "ILN ")
	a.expect(first, "ADD 0 RL ")
	a.operate("PUT", "sessions/"+first.Email+"/status", `{"status":"HDN"}`)
	a.expect(first, "CHG 0 HDN")
	a.expect(last, "FLN "+first.Email)
	// The same again changes nothing; the user may change it back.
	a.operate("PUT", "sessions/"+first.Email+"/status", `{"status":"HDN"}`)
	a.quiet(first)
	if _, err := first.Do(a.ctx, "CHG", "AWY"); err != nil {
		t.Fatal(err)
	}
	a.expect(last, "NLN AWY "+first.Email)
	a.quiet(last)
	for _, c := range a.clients[1:] {
		a.operate("PUT", "sessions/"+c.Email+"/status", `{"status":"BSY"}`)
		a.expect(c, "CHG 0 BSY")
		a.quiet(c)
	}
}
