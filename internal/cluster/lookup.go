package cluster

import (
	"context"
	"fmt"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
	"github.com/redis/go-redis/v9"
)

// page is how many records one pipeline asks for. It keeps a reply within tens
// of kilobytes and lets other commands in between.
const page = 500

// Lookup reads where users are logged in, by email. Users that are logged in
// nowhere are missing from the answer. Any number of emails may be asked for.
//
// If one record cannot be read there is no answer, though on Redis Cluster other
// servers gave theirs: with an answer in part, users whose server is away for
// the seconds of a failover would look as if they were logged in nowhere.
func (c *Client) Lookup(ctx context.Context, emails []string) (map[string]*clusterv1.Session, error) {
	found := make(map[string]*clusterv1.Session)
	for len(emails) > 0 {
		n := min(page, len(emails))
		records, err := c.readAll(ctx, emails[:n])
		if err != nil {
			return nil, unavailable(fmt.Sprintf("look up %d sessions", n), err)
		}
		for i, r := range records {
			if r.session.GetNode() != "" {
				found[emails[i]] = r.session
			}
		}
		emails = emails[n:]
	}
	return found, nil
}

// readAll reads session records in one trip, in the order asked for. One command
// for all of them, which Redis Cluster has not, costs half of what one for each
// does.
func (c *Client) readAll(ctx context.Context, emails []string) ([]record, error) {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	keys := make([]string, len(emails))
	for i, email := range emails {
		keys[i] = c.keys.session(email)
	}
	if !c.sharded {
		return c.parseAll(emails, c.rdb.MGet(ctx, keys...))
	}
	replies := make([]*redis.StringCmd, len(emails))
	c.pipeline(ctx, keys, func(pipe redis.Pipeliner, i int) { replies[i] = pipe.Get(ctx, keys[i]) })
	records := make([]record, len(emails))
	for i, reply := range replies {
		var err error
		if records[i], err = c.parse(emails[i], reply); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// Sessions lists the sessions on a node, in no order; for the operator.
func (c *Client) Sessions(ctx context.Context, node string) ([]*clusterv1.Session, error) {
	var (
		sessions []*clusterv1.Session
		seen     = make(map[string]bool)
		cursor   uint64
	)
	for {
		step, cancel := c.bound(ctx)
		emails, next, err := c.rdb.SScan(step, c.keys.members(node), cursor, "", page).Result()
		cancel()
		if err != nil {
			return nil, unavailable(fmt.Sprintf("list sessions of node %s", node), err)
		}
		found, err := c.Lookup(ctx, emails)
		if err != nil {
			return nil, fmt.Errorf("list sessions of node %s: %w", node, err)
		}
		for email, s := range found {
			// A scan may bring an email twice, and members more than records.
			if s.Node == node && !seen[email] {
				seen[email] = true
				sessions = append(sessions, s)
			}
		}
		if next == 0 {
			return sessions, nil
		}
		cursor = next
	}
}

// Forget takes away a record that names a session which its node does not
// have; s is as [Client.Lookup] gave it. It leaves the epoch behind for a
// minute, and does nothing if the record has changed since. It is also for a
// record that names a dead node and outlives its sweep, which a process can
// leave that falls asleep within a claim and never wakes up.
func (c *Client) Forget(ctx context.Context, s *clusterv1.Session) error {
	current, err := c.read(ctx, s.Email)
	if err != nil {
		return unavailable(fmt.Sprintf("forget session %q", s.Email), err)
	}
	if p := current.session; s.Node == "" || !current.names(s.Node) || p.Id != s.Id || p.Epoch != s.Epoch {
		return nil
	}
	// Without an id: should the session be alive after all, it may reclaim.
	if _, err := c.replace(ctx, current, remains(s.Email, "", s.Epoch)); err != nil {
		return unavailable(fmt.Sprintf("forget session %q", s.Email), err)
	}
	return nil
}
