package cluster

import "context"

// sweep frees the records that still name a node without a lease, and then the
// id itself. Any node may do it, several at once, and again after one that
// broke off: each record is only replaced as it was read, an email leaves
// members only when its record does not name the node, and the id leaves the
// list of nodes last. It returns the number of records freed.
//
// Nobody's presence hangs on this. A node that wakes up later than a lease
// after its last beat joins under a new id and reclaims its sessions, swept or
// not.
func (c *Client) sweep(ctx context.Context, node string) (freed int, err error) {
	for {
		step, cancel := c.bound(ctx)
		emails, err := c.rdb.SRandMemberN(step, c.keys.members(node), page).Result()
		cancel()
		if err != nil {
			return freed, unavailable("sweep node "+node, err)
		}
		if len(emails) == 0 {
			break
		}
		n, err := c.sweepPage(ctx, node, emails)
		freed += n
		if err != nil {
			return freed, unavailable("sweep node "+node, err)
		}
	}
	ctx, cancel := c.bound(ctx)
	defer cancel()
	if err := c.rdb.SRem(ctx, c.keys.nodes(), node).Err(); err != nil {
		return freed, unavailable("sweep node "+node, err)
	}
	return freed, nil
}

// sweepPage frees the records of some members and takes them out of the set.
// One whose record changed under its hands stays, for the next round.
func (c *Client) sweepPage(ctx context.Context, node string, emails []string) (freed int, err error) {
	records, err := c.readAll(ctx, emails)
	if err != nil {
		return 0, err
	}
	done := make([]any, 0, len(emails))
	for i, r := range records {
		if r.names(node) {
			ok, err := c.replace(ctx, r, remains(emails[i], "", r.session.Epoch))
			if err != nil {
				return freed, err
			}
			if !ok {
				continue
			}
			freed++
		}
		done = append(done, emails[i])
	}
	if len(done) == 0 {
		return freed, nil
	}
	ctx, cancel := c.bound(ctx)
	defer cancel()
	return freed, c.rdb.SRem(ctx, c.keys.members(node), done...).Err()
}
