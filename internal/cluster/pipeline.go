package cluster

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"
)

// pipeline sends commands for each of some keys and returns when all of them
// have ended; each holds its own outcome. queue adds those of the i-th key to a
// pipeline; it is called for one key after the other.
//
// On Redis Cluster each server gets a pipeline of its own, all at the same
// time. In one for all of them the library lets the commands of a server that
// does not answer spoil the others: when the context ends before those could be
// tried again, it marks every command of the pipeline as failed.
func (c *Client) pipeline(ctx context.Context, keys []string, queue func(pipe redis.Pipeliner, i int)) {
	parts := make(map[any]redis.Pipeliner)
	for i, key := range keys {
		shard := c.shard(ctx, key)
		pipe := parts[shard]
		if pipe == nil {
			pipe = c.rdb.Pipeline()
			parts[shard] = pipe
		}
		queue(pipe, i)
	}
	var sent sync.WaitGroup
	for _, pipe := range parts {
		if len(parts) == 1 {
			_, _ = pipe.Exec(ctx) // the commands hold their own errors
			return
		}
		sent.Go(func() { _, _ = pipe.Exec(ctx) })
	}
	sent.Wait()
}
