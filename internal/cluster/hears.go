package cluster

import (
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	clusterv1 "github.com/monarch-msn/monarch/proto/cluster/v1"
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

// unheard returns those of some nodes whose inbox nobody hears, where one server
// knows of all. It asks for many at a time: after the loss of a whole site the
// nodes that are left have all the others to ask for at each reading, and a
// server that does not answer is not to be waited for once for each. What cannot
// be asked says nothing.
func (c *Client) unheard(ctx context.Context, nodes []string) (deaf []string) {
	for chunk := range slices.Chunk(nodes, page) {
		channels := make([]string, len(chunk))
		for i, id := range chunk {
			channels[i] = c.keys.inbox(id)
		}
		step, cancel := c.bound(ctx)
		subscribers, err := c.rdb.PubSubNumSub(step, channels...).Result()
		cancel()
		if err != nil {
			return deaf
		}
		for i, id := range chunk {
			if subscribers[channels[i]] == 0 {
				deaf = append(deaf, id)
			}
		}
	}
	return deaf
}

const (
	// hearTime bounds the question. Nobody who wants to log in waits for long
	// because Redis does not answer.
	hearTime = 250 * time.Millisecond
	// unaskedFor is how long nobody asks again after there was no answer.
	unaskedFor = time.Second
	// lookEvery is the least time between two looks for a node that has just
	// joined: in a full network everybody who is refused would look.
	lookEvery = 100 * time.Millisecond
)

// PickAlive is [View.Pick] among the nodes that run: one that has just died
// stands in the view until its lease is over, and those who were connected to
// it come back at once. It asks Redis, once for all who want to know of a node at
// the same time, so that a storm of logins does not become one of questions.
// While Redis cannot be asked, or has just thrown all subscribers out, it
// chooses as Pick does.
func (v *View) PickAlive(ctx context.Context, role clusterv1.Role, except ...string) (*clusterv1.Node, error) {
	out := slices.Clone(except)
	for looked := false; ; {
		node, err := v.Pick(role, out...)
		if err == nil && !v.Alive(ctx, node.Id) {
			out = append(out, node.Id)
			continue
		}
		if err == nil {
			return node, nil
		}
		if !looked {
			v.look(ctx)
			looked = true
			continue
		}
		if len(out) == len(except) {
			return nil, err
		}
		for _, id := range out[len(except):] {
			if n := v.Node(id); n != nil && v.Alive(ctx, id) {
				return n, nil // it was not heard for a moment only
			}
		}
		alive := func(n *clusterv1.Node) bool { return n.Role == role && v.Alive(ctx, n.Id) }
		if slices.ContainsFunc(v.last.Load().nodes, alive) {
			return nil, err // those that run are full, or drain
		}
		return v.Pick(role, except...)
	}
}

// look adds nodes to the view that have joined since it was read, for those who
// would otherwise be told that there is no room. All who look at the same time
// look once, and who comes soon after finds what they have found.
func (v *View) look(ctx context.Context) {
	_, _, _ = v.looking.Do("", func() (any, error) {
		v.mu.Lock()
		early := time.Since(v.looked) < lookEvery
		v.mu.Unlock()
		if early {
			return nil, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hearTime)
		defer cancel()
		if r, err := v.c.readNodes(ctx, nil, v.timing.Lease); err == nil { // else as it was read last
			v.add(r)
		}
		v.mu.Lock()
		v.looked = time.Now()
		v.mu.Unlock()
		return nil, nil
	})
}

// Alive reports whether a node is heard, or cannot be asked for.
func (v *View) Alive(ctx context.Context, id string) bool {
	v.mu.Lock()
	until := v.unasked
	v.mu.Unlock()
	if time.Now().Before(until) {
		return true
	}
	heard, _, _ := v.asking.Do(id, func() (any, error) {
		// For all who ask at the same time, whoever of them hangs up.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hearTime)
		defer cancel()
		heard, err := v.c.Hears(ctx, id)
		if err != nil {
			v.mu.Lock()
			v.unasked = time.Now().Add(unaskedFor)
			v.mu.Unlock()
		}
		return heard || err != nil, nil
	})
	return heard.(bool)
}
