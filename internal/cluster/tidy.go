package cluster

import (
	"context"
	"fmt"
	"time"
)

// tidyEvery is how many leases pass between two looks for what is left behind.
const tidyEvery = 6

// tidy looks now and then for users who are among the members of this node
// though they have no session here. A master of Redis that fails over may lose
// that they left; nothing else would find them as long as the node lives.
func (m *Member) tidy(ctx context.Context) {
	if m.has == nil {
		return
	}
	ticker := time.NewTicker(tidyEvery * m.timing.Lease)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if dropped, err := m.tidyOnce(ctx); err != nil {
			m.log.Debug("look for members who have left", "error", err) // the next look is soon enough
		} else if dropped > 0 {
			m.log.Info("took out members who had left", "members", dropped)
		}
	}
}

// tidyOnce returns how many it has taken out.
func (m *Member) tidyOnce(ctx context.Context) (dropped int, err error) {
	id := m.ID()
	for cursor := uint64(0); ; {
		step, cancel := m.c.bound(ctx)
		emails, next, err := m.c.rdb.SScan(step, m.c.keys.members(id), cursor, "", page).Result()
		cancel()
		if err != nil {
			return dropped, unavailable("scan the members", err)
		}
		for _, email := range emails {
			if m.has(email) {
				continue
			}
			if err := m.drop(ctx, id, email); err != nil {
				return dropped, err
			}
			dropped++
		}
		if cursor = next; cursor == 0 {
			return dropped, nil
		}
	}
}

// drop takes out one member who has no session here, and the record, if one
// says otherwise.
func (m *Member) drop(ctx context.Context, node, email string) error {
	doing := fmt.Sprintf("take out %q", email)
	unlock, err := m.emails.lock(ctx, email)
	if err != nil {
		return unavailable(doing, err)
	}
	defer unlock()
	current, err := m.c.read(ctx, email)
	if err != nil {
		return unavailable(doing, err)
	}
	// Whoever logs in is known here before a record says so.
	if m.has(email) {
		return nil
	}
	if current.names(node) {
		done, err := m.c.replace(ctx, current, remains(email, "", current.session.Epoch))
		if err != nil || !done {
			return unavailable(doing, err)
		}
	}
	return unavailable(doing, m.leave(ctx, node, email))
}
