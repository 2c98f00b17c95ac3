package crowd

import (
	"context"
	"fmt"
	"maps"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// prepare makes sure that the member is online and has taken in what was sent,
// and compares the book with what the directory holds.
func (m *member) prepare(ctx context.Context, accounts directoryv1.AccountsClient) error {
	m.mu.Lock()
	l, status := m.line, m.status
	m.mu.Unlock()
	if m.away.Load() && l == nil {
		return nil
	}
	if l == nil || status == "" {
		return fmt.Errorf("%s is not online", m.email)
	}
	if _, err := m.do(ctx, l, "PNG"); err != nil {
		return fmt.Errorf("%s: %w", m.email, err)
	}
	answer, err := accounts.GetAccount(ctx, &directoryv1.GetAccountRequest{Email: m.email})
	if err != nil {
		return fmt.Errorf("ask the directory: %w", err)
	}
	held, reverse := readAccount(answer.GetSnapshot())
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.book.adopt(held); err != nil {
		return fmt.Errorf("%s in the directory: %w\n%s", m.email, err, m.tail())
	}
	m.book.maybe = map[fact]string{}
	for _, o := range m.crowd.members {
		if got := m.told.reverse[o.email]; got != reverse[o.email] {
			return fmt.Errorf("%s has %s on RL: the directory says %t, the client was told %t\n%s", m.email, o.email, reverse[o.email], got, m.tail())
		}
	}
	return nil
}

// compare says what the member was told that is not the truth.
func (m *member) compare() (wrong []string) {
	m.mu.Lock()
	if m.line == nil {
		m.mu.Unlock()
		return nil // nobody is told anything
	}
	own, told, present := maps.Clone(m.book.facts), m.told, m.status != ""
	shown, lists := maps.Clone(told.shown), maps.Clone(told.lists)
	m.mu.Unlock()
	if d := differ(own, lists); d != "" {
		wrong = append(wrong, fmt.Sprintf("%s was told of its own lists: %s\n%s", m.email, d, m.recent()))
	}
	for _, o := range m.crowd.members {
		want := ""
		if present && own[onList("FL", o.email)] != "" {
			want = o.sees(m.email)
		}
		if got := shown[o.email]; got != want {
			wrong = append(wrong, fmt.Sprintf("%s was told of %s: want %q, got %q\n%s\n%s",
				m.email, o.email, want, got, m.recent(), o.recent()))
		}
	}
	return wrong
}

// sees is what the observer has to be told of the member: state and name, or
// nothing.
func (m *member) sees(observer string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.status == "" || m.status == "HDN" || m.book.facts[onList("BL", observer)] != "" {
		return ""
	}
	return m.status + " " + m.book.facts[name]
}
