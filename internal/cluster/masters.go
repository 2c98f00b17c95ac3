package cluster

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// On Redis Cluster the records of a node's sessions are on all servers, its
// inbox on one. When another server dies its replica takes over without the
// last records that it was to have, or the server comes back without any; the
// inbox notices nothing. So a node watches who the masters are, and resyncs when
// there is one that was not there before: the replica of one that died, a
// server that was started again, or, which does no harm, a server more.

// watchMasters resyncs after each change of masters, until ctx ends.
func (m *Member) watchMasters(ctx context.Context) {
	ticker := time.NewTicker(m.timing.Refresh)
	defer ticker.Stop()
	var known map[string]string
	for {
		masters := m.c.masters(ctx, known)
		if ctx.Err() != nil {
			return
		}
		if known != nil && anew(masters, known) {
			m.log.Info("redis cluster has another master")
			m.resync(ctx, ResyncFailover, "")
		}
		if masters != nil {
			known = masters
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// anew reports whether there is a master that was not there before.
func anew(masters, before map[string]string) bool {
	for address, run := range masters {
		if before[address] != run {
			return true
		}
	}
	return false
}

// masters asks a Redis Cluster for its masters, and each of them which run it
// is: another with every start. One that does not say counts as what it was
// before. The answer is nil if nothing is known.
func (c *Client) masters(ctx context.Context, before map[string]string) map[string]string {
	cluster, ok := c.rdb.(*redis.ClusterClient)
	if !ok {
		return nil
	}
	ctx, cancel := c.bound(ctx)
	defer cancel()
	var mu sync.Mutex
	var masters map[string]string
	_ = cluster.ForEachMaster(ctx, func(ctx context.Context, server *redis.Client) error {
		info, err := server.Info(ctx, "server").Result()
		address := server.Options().Addr
		run, said := "", false
		if err == nil {
			_, rest, _ := strings.Cut(info, "run_id:")
			run, _, said = strings.Cut(rest, "\r\n")
		}
		if !said {
			run, said = before[address], before[address] != ""
		}
		mu.Lock()
		defer mu.Unlock()
		if masters == nil {
			masters = make(map[string]string)
		}
		if said {
			masters[address] = run
		}
		return nil
	})
	return masters
}
