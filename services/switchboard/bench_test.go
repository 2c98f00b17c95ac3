package switchboard_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/monarch-msn/monarch/msnp"
	"github.com/monarch-msn/monarch/msnp/client"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/allinone"
)

// BenchmarkRelay is a message in a room, from the MSG until every other member
// has it. The clients' part is in it.
func BenchmarkRelay(b *testing.B) {
	const most = 10
	network, err := allinone.Start(b.Context(), allinone.Options{DataDir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := network.Stop(); err != nil {
			b.Error(err)
		}
	})
	var accounts directoryv1.CreateAccountsRequest
	for i := range most {
		accounts.Accounts = append(accounts.Accounts, &directoryv1.NewAccount{Email: fmt.Sprintf("user%d@example.com", i), Password: "secret"})
	}
	if _, err := network.Accounts().CreateAccounts(b.Context(), &accounts); err != nil {
		b.Fatal(err)
	}
	var clients []*client.Client
	for _, account := range accounts.GetAccounts() {
		c, err := client.Login(b.Context(), client.Options{Dispatch: network.Dispatch(), Email: account.GetEmail(), Password: "secret"})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = c.Close() })
		if _, err := c.Do(b.Context(), "CHG", "NLN"); err != nil {
			b.Fatal(err)
		}
		clients = append(clients, c)
	}
	payload := client.TextMessage(strings.Repeat("x", 60))
	for _, members := range []int{2, most} {
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			room := gather(b, clients[:members])
			var cmd msnp.Command
			b.ReportAllocs()
			for b.Loop() {
				if err := room[0].SendPayload("MSG 9 N", payload); err != nil {
					b.Fatal(err)
				}
				for _, c := range room[1:] {
					if err := c.Read(context.Background(), &cmd); err != nil || cmd.Verb != "MSG" {
						b.Fatalf("want MSG, got %s, %v", cmd.Verb, err)
					}
				}
			}
		})
	}
}

// gather brings the clients into a room, until the benchmark ends.
func gather(b *testing.B, clients []*client.Client) []*client.Chat {
	b.Helper()
	founder, err := clients[0].OpenChat(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = founder.Close() })
	room := []*client.Chat{founder}
	for _, c := range clients[1:] {
		if err := founder.Call(b.Context(), c.Email); err != nil {
			b.Fatal(err)
		}
		ring, ok := client.Ring{}, false
		for !ok {
			m, err := c.Next(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			ring, ok = client.ParseRing(m)
		}
		chat, err := c.EnterChat(b.Context(), ring)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = chat.Close() })
		// Those who are in hear of it ahead of anything that is said.
		for _, member := range room {
			if m, err := member.Next(b.Context()); err != nil || m.Verb != "JOI" {
				b.Fatalf("want JOI, got %q, %v", m.Text, err)
			}
		}
		room = append(room, chat)
	}
	return room
}
