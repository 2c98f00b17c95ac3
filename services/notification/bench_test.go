package notification_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/monarch-msn/monarch/msnp"
	"github.com/monarch-msn/monarch/msnp/client"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/allinone"
)

// BenchmarkFanOut is a change of status that twenty watchers on the same node
// hear of: from the CHG until each has its NLN. The clients' part is in it.
func BenchmarkFanOut(b *testing.B) {
	const watchers = 20
	network, err := allinone.Start(b.Context(), allinone.Options{DataDir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := network.Stop(); err != nil {
			b.Error(err)
		}
	})
	email := func(i int) string { return fmt.Sprintf("user%d@example.com", i) }
	var accounts directoryv1.CreateAccountsRequest
	var contacts directoryv1.ImportContactsRequest
	for i := range watchers + 1 {
		accounts.Accounts = append(accounts.Accounts, &directoryv1.NewAccount{Email: email(i), Password: "secret"})
		if i > 0 {
			contacts.Contacts = append(contacts.Contacts,
				&directoryv1.NewContact{Owner: email(0), Contact: email(i)}, &directoryv1.NewContact{Owner: email(i), Contact: email(0)})
		}
	}
	if _, err := network.Accounts().CreateAccounts(b.Context(), &accounts); err != nil {
		b.Fatal(err)
	}
	if _, err := network.Accounts().ImportContacts(b.Context(), &contacts); err != nil {
		b.Fatal(err)
	}
	var clients []*client.Client
	for i := range watchers + 1 {
		c, err := client.Login(b.Context(), client.Options{Dispatch: network.Dispatch(), Email: email(i), Password: "secret"})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = c.Close() })
		clients = append(clients, c)
	}
	// The one who changes comes last, so that all others have heard of it.
	slices.Reverse(clients)
	for _, c := range clients {
		if _, err := c.Do(b.Context(), "CHG", "NLN"); err != nil {
			b.Fatal(err)
		}
		// Its roll call is over then: what comes later is NLN.
		if err := c.Ping(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	changing, watching := clients[watchers], clients[:watchers]
	var cmd msnp.Command
	hear := func(verb string, from ...*client.Client) {
		for _, c := range from {
			if err := c.Read(context.Background(), &cmd); err != nil || cmd.Verb != verb {
				b.Fatalf("want %s, got %s, %v", verb, cmd.Verb, err)
			}
		}
	}
	hear("NLN", watching...)
	for range watching {
		if m, err := changing.Next(b.Context()); err != nil || m.Verb != "ILN" {
			b.Fatalf("want ILN, got %q, %v", m.Text, err)
		}
	}
	b.ReportAllocs()
	trid, states := uint64(1000), []string{" NLN", " AWY"}
	for b.Loop() {
		trid++
		if err := changing.Send("CHG " + strconv.FormatUint(trid, 10) + states[trid%2]); err != nil {
			b.Fatal(err)
		}
		hear("CHG", changing)
		hear("NLN", watching...)
	}
}
