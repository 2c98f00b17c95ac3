package cluster

import (
	"context"
	"strings"
	"testing"

	"github.com/monarch-msn/monarch/msnp/client"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/test/cluster/network"
)

// One trace leads from the CHG of a user on one node to the NLN that a contact
// gets on another, and one from a login to what the directory did for it.
func TestTraceSpansProcesses(t *testing.T) {
	collector := newCollector(t)
	n := network.Start(t, network.Options{Notifications: 2, Env: collector.env()})
	ctx, cancel := context.WithTimeout(t.Context(), network.Patience)
	defer cancel()
	befriend(ctx, t, n, "ann@example.com", "bob@example.com")

	bob := signIn(ctx, t, n.Notification(1), "bob@example.com")
	ann := signIn(ctx, t, n.Notification(0), "ann@example.com")
	if _, err := ann.Do(ctx, "CHG", "AWY"); err != nil {
		t.Fatal(err)
	}
	for {
		m, err := bob.Next(ctx)
		if err != nil {
			t.Fatalf("bob waits for NLN AWY: %v", err)
		}
		if strings.HasPrefix(m.Text, "NLN AWY ann@example.com ") {
			break
		}
	}

	collector.await("delivery on one node in the trace of a CHG on another", func(spans []span) bool {
		return contains(spans, func(cause span) bool {
			return cause.name == "CHG" && contains(spans, func(s span) bool {
				return s.name == "deliver" && s.trace == cause.trace && s.parent == cause.id && s.instance != cause.instance
			})
		})
	})
	collector.await("span of the directory in the trace of a USR", func(spans []span) bool {
		return contains(spans, func(cause span) bool {
			return cause.name == "USR" && contains(spans, func(s span) bool {
				return s.service == "monarch-directory" && s.trace == cause.trace && strings.HasSuffix(s.name, "Directory/Login")
			})
		})
	})
}

// befriend makes two accounts that have each other on FL and AL.
func befriend(ctx context.Context, t *testing.T, n *network.Network, a, b string) {
	t.Helper()
	created, err := n.Accounts().CreateAccounts(ctx, &directoryv1.CreateAccountsRequest{Accounts: []*directoryv1.NewAccount{
		{Email: a, Password: password(a)}, {Email: b, Password: password(b)},
	}})
	if err != nil || created.GetCreated() != 2 {
		t.Fatalf("create two accounts: %v, %v", created, err)
	}
	imported, err := n.Accounts().ImportContacts(ctx, &directoryv1.ImportContactsRequest{Contacts: []*directoryv1.NewContact{
		{Owner: a, Contact: b}, {Owner: b, Contact: a},
	}})
	if err != nil || imported.GetImported() != 2 {
		t.Fatalf("import two contacts: %v, %v", imported, err)
	}
}

func password(email string) string { return "secret of " + email }

// signIn brings a user online at a node.
func signIn(ctx context.Context, t *testing.T, node, email string) *client.Client {
	t.Helper()
	c, err := client.Login(ctx, client.Options{Dispatch: node, Email: email, Password: password(email)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // the network may have closed it
	if _, err := c.Sync(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do(ctx, "CHG", "NLN"); err != nil {
		t.Fatal(err)
	}
	return c
}
