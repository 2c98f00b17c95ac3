package cluster

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// Hears reports whether anybody hears the inbox of a node. A process that died
// is unheard as soon as Redis sees its connection end, which is long before its
// lease is over; one whose machine lost power still counts as hearing.
func (c *Client) Hears(ctx context.Context, node string) (bool, error) {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	channel := c.keys.inbox(node)
	var reply *redis.MapStringIntCmd
	if cluster, ok := c.rdb.(*redis.ClusterClient); ok && c.sharded {
		// Only the server that has the channel's slot knows.
		master, err := cluster.MasterForKey(ctx, channel)
		if err != nil {
			return false, unavailable("find the inbox of node "+node, err)
		}
		reply = master.PubSubShardNumSub(ctx, channel)
	} else {
		reply = c.rdb.PubSubNumSub(ctx, channel)
	}
	subscribers, err := reply.Result()
	if err != nil {
		return false, unavailable("ask for the inbox of node "+node, err)
	}
	return subscribers[channel] > 0, nil
}
