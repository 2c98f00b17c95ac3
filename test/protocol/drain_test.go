package protocol

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/internal/cluster"
	"github.com/monarch-msn/monarch/msnp"
	"github.com/monarch-msn/monarch/msnp/client"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/allinone"
	"github.com/monarch-msn/monarch/services/notification"
	"github.com/monarch-msn/monarch/services/switchboard"
	"github.com/monarch-msn/monarch/test/script"
)

// TestErrorOfADrainingNetwork: with no node left that takes logins, those that
// drain are unavailable, which MSNP7's clients know as busy, and dispatch has
// nowhere to refer to.
func TestErrorOfADrainingNetwork(t *testing.T) {
	n := start(t, allinone.Options{NotificationNodes: 2})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	draining, stop := context.WithCancel(ctx)
	drained := make(chan error, 1)
	go func() { drained <- n.Drain(draining) }()
	defer func() {
		stop()
		<-drained
	}()
	for _, d := range msnp.Dialects() {
		want := "601 2"
		if d == msnp.MSNP7 {
			want = "600 2"
		}
		for i := range n.Nodes() {
			// A node learns of the others' drain from their next heartbeat.
			if got := eventually(ctx, t, n.Notification(i), d); got != want {
				t.Errorf("%v at node %d: want %s, got %s", d, i+1, want, got)
			}
		}
		if got := eventually(ctx, t, n.Dispatch(), d); got != "600 2" {
			t.Errorf("%v at dispatch: want 600 2, got %s", d, got)
		}
	}
}

// TestHowFarALoginIsWhenItsNodeDrains: until the client has said who it is, it
// can be referred; behind that the login goes on, and the session is served.
func TestHowFarALoginIsWhenItsNodeDrains(t *testing.T) {
	const drain = "drain notification 1\n"
	steps := []string{
		"connect ann notification 1\n",
		"ann> VER 1 $offer\nann< VER 1 $dialect\n",
		"ann> INF 2\nann< INF 2 MD5\n",
		"ann> USR 3 MD5 I ann@example.com\nann< USR 3 MD5 S $salt\n",
		"ann> USR 4 MD5 S $md5($salt,secret-ann)\n[MSNP2-5] ann< USR 4 OK ann@example.com Ann\n" +
			"[MSNP6+] ann< USR 4 OK ann@example.com Ann 1\nann< MSG Hotmail Hotmail $len\n   *\n",
		"ann> CHG 5 NLN\nann< CHG 5 NLN\n",
		"ann> PNG\nann< QNG\n",
	}
	const said = 3 // the step in which the client says who it is
	referred := "ann> USR 3 MD5 I ann@example.com\n[MSNP2] ann< XFR 3 NS $other\n" +
		"[MSNP3-6] ann< XFR 3 NS $other 0\n[MSNP7] ann< XFR 3 NS $other 0 $itself\n"
	for at, name := range []string{
		"before the client connects", "before VER", "before INF", "before USR I", "before USR S", "before CHG", "while present",
	} {
		text := strings.Join(steps[:at], "") + drain
		if at <= said {
			text += strings.Join(steps[at:said], "") + referred
		} else {
			text += strings.Join(steps[at:], "")
		}
		text = name + ".\n\ndialects: MSNP2 MSNP5 MSNP7\naccount ann@example.com Ann\n\n" + text
		transcript, err := script.Parse(name, text)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range transcript.Dialects() {
			t.Run(name+"/"+d, func(t *testing.T) {
				t.Parallel()
				n := start(t, allinone.Options{
					NotificationNodes: 2, Timing: cluster.Timing{Beat: 100 * time.Millisecond, Refresh: 100 * time.Millisecond},
					Notification: notification.Config{DrainTime: time.Hour},
				})
				if err := transcript.Play(t.Context(), n, d, time.Minute); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestErrorOfADrainingSwitchboard: where all switchboards drain there is none to
// refer to, which all dialects know by one number.
func TestErrorOfADrainingSwitchboard(t *testing.T) {
	n := start(t, allinone.Options{SwitchboardNodes: 2, Switchboard: switchboard.Config{DrainTime: time.Hour}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := n.Accounts().CreateAccounts(ctx, &directoryv1.CreateAccountsRequest{
		Accounts: []*directoryv1.NewAccount{{Email: "ann@example.com", Password: "secret"}},
	}); err != nil {
		t.Fatal(err)
	}
	drained := false
	for _, d := range msnp.Dialects() {
		c, err := client.Login(ctx, client.Options{Dispatch: n.Dispatch(), Email: "ann@example.com", Password: "secret", Dialects: []string{d.String()}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Do(ctx, "CHG", "NLN"); err != nil {
			t.Fatal(err)
		}
		if !drained {
			if m, err := c.Do(ctx, "XFR", "SB"); err != nil || m.Verb != "XFR" {
				t.Fatalf("ahead of the drain: want XFR, got %q, %v", m.Text, err)
			}
			for i := range n.Switchboards() {
				if err := n.DrainNode(ctx, "switchboard", i); err != nil {
					t.Fatal(err)
				}
			}
			drained = true
		}
		_, err = c.Do(ctx, "XFR", "SB")
		var code msnp.Code
		if !errors.As(err, &code) || code != msnp.CodeSwitchboardFailed {
			t.Errorf("%v: want 280, got %v", d, err)
		}
	}
}

// eventually asks to log in until that is refused, and returns the refusal. The
// server closes behind it.
func eventually(ctx context.Context, t *testing.T, address string, d *msnp.Dialect) string {
	t.Helper()
	for {
		answer := identify(ctx, t, address, d)
		if _, refused := answer.Code(); refused {
			return answer.Text
		}
		time.Sleep(10 * time.Millisecond) // asks again, without wearing the machine out
	}
}

// identify says who wants to log in and returns the answer.
func identify(ctx context.Context, t *testing.T, address string, d *msnp.Dialect) client.Message {
	t.Helper()
	c, err := client.Dial(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var answer client.Message
	for i, line := range []string{"VER 1 " + d.String(), "USR 2 MD5 I ann@example.com"} {
		if err := c.Send(line); err != nil {
			t.Fatal(err)
		}
		if answer, err = c.Next(ctx); err != nil {
			t.Fatalf("line %d: %v", i+1, err)
		}
	}
	if _, refused := answer.Code(); refused {
		if m, err := c.Next(ctx); !errors.Is(err, io.EOF) {
			t.Errorf("behind %s: want the end, got %s, %v", answer, m, err)
		}
	}
	return answer
}
