package cluster

import (
	"testing"

	"github.com/monarch-msn/monarch/msnp/client"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/test/cluster/network"
)

// A switchboard dies: those who were talking there have their connections
// closed, and a new conversation goes to another one at once, long before the
// lease of the dead one is over.
func TestSwitchboardDies(t *testing.T) {
	n := network.Start(t, network.Options{Notifications: 2, Switchboards: 2})
	var people []*client.Client
	for i, email := range []string{"ann@example.com", "bob@example.com"} {
		answer, err := n.Accounts().CreateAccounts(t.Context(), &directoryv1.CreateAccountsRequest{
			Accounts: []*directoryv1.NewAccount{{Email: email, Password: "secret"}},
		})
		if err != nil || len(answer.GetErrors()) > 0 {
			t.Fatalf("create %s: %v %v", email, answer.GetErrors(), err)
		}
		c, err := client.Login(t.Context(), client.Options{Dispatch: n.Notification(i), Email: email, Password: "secret"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Do(t.Context(), "CHG", "NLN"); err != nil {
			t.Fatal(err)
		}
		people = append(people, c)
	}
	ann, bob := people[0], people[1]
	talk := func() (a, b *client.Chat, where string) {
		t.Helper()
		a, err := ann.OpenChat(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Call(t.Context(), bob.Email); err != nil {
			t.Fatal(err)
		}
		m, err := bob.Next(t.Context())
		ring, ok := client.ParseRing(m)
		if err != nil || !ok {
			t.Fatalf("want a ring, got %q, %v", m.Text, err)
		}
		if b, err = bob.EnterChat(t.Context(), ring); err != nil {
			t.Fatal(err)
		}
		if m, err := a.Next(t.Context()); err != nil || m.Verb != "JOI" {
			t.Fatalf("want JOI, got %q, %v", m.Text, err)
		}
		if err := a.Deliver(t.Context(), client.TextMessage("hello")); err != nil {
			t.Fatal(err)
		}
		return a, b, ring.Address
	}
	a, b, where := talk()
	for i, p := range n.Roles.Switchboards {
		if n.Switchboard(i) == where {
			p.Kill()
		}
	}
	for _, chat := range []*client.Chat{a, b} {
		defer chat.Close()
		for {
			if _, err := chat.Next(t.Context()); err != nil {
				break
			}
		}
	}
	// More often than chance would choose the one that lives.
	for range 10 {
		a, b, again := talk()
		if again == where {
			t.Errorf("sent to %s, which is dead", where)
		}
		a.Close()
		b.Close()
	}
}
