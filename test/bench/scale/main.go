// Command scale says by simulation what arithmetic does not: how well messages
// between nodes gather in batches when there are many nodes, and what that asks
// of Redis. docs/scaling.md has what comes of it:
//
//	go run ./test/bench/scale
//
// The model is that of internal/cluster. A change of status is a message to each
// other node on which somebody sees the user; who does is anywhere. A node has
// one pipeline of publishes under way. What is to be sent meanwhile leaves with
// the next one, as one batch for each destination. A publish takes its time at
// the shard of Redis that has the destination's inbox, one after the other.
package main

import (
	"container/heap"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	var m model
	nodes := flag.String("nodes", "2,4,8,20,100,500,2000", "how many notification nodes, `N,N,...`")
	flag.IntVar(&m.users, "users", 50_000, "users online on each node")
	flag.IntVar(&m.watchers, "watchers", 10, "contacts of each user who are online and see the user")
	flag.Float64Var(&m.changes, "changes", 6, "changes of status of a user in an hour, coming and going included")
	flag.Float64Var(&m.shards, "shards", 0.01, "shards of Redis for each node, at least one")
	flag.DurationVar(&m.trip, "trip", 200*time.Microsecond, "time of a pipeline, without what Redis does")
	flag.DurationVar(&m.publish, "publish", 8*time.Microsecond, "time that Redis takes for a publish")
	flag.Parse()
	fmt.Println("| nodes | users | NLN a second | messages for 1,000 NLN | publishes for 1,000 NLN | publishes a second | shards | busy | p99 of waiting |")
	fmt.Println("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for word := range strings.SplitSeq(*nodes, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 2 {
			fmt.Fprintf(os.Stderr, "scale: --nodes: %q is not a number of at least 2\n", word)
			os.Exit(2)
		}
		r := m.run(n, 1_000_000)
		fmt.Printf("| %d | %.1f M | %.0f | %.0f | %.0f | %.0f | %d | %.0f %% | %s |\n",
			n, float64(n*m.users)/1e6, r.perSecond(r.deliveries), 1000*r.share(r.messages), 1000*r.share(r.publishes),
			r.perSecond(r.publishes), r.shards, 100*r.busy.Seconds()/r.lasted.Seconds()/float64(r.shards), r.waited(0.99))
	}
}

// model is what is assumed.
type model struct {
	users, watchers int
	changes, shards float64
	trip, publish   time.Duration
}

// result is what was counted.
type result struct {
	lasted                          time.Duration
	shards                          int
	deliveries, messages, publishes int
	busy                            time.Duration   // of all shards together
	waits                           []time.Duration // of messages, until they were published
}

func (r *result) perSecond(n int) float64 { return float64(n) / r.lasted.Seconds() }
func (r *result) share(n int) float64     { return float64(n) / float64(r.deliveries) }

func (r *result) waited(quantile float64) time.Duration {
	slices.Sort(r.waits)
	return r.waits[int(quantile*float64(len(r.waits)-1))].Round(10 * time.Microsecond)
}

// node is the outbox of one.
type node struct {
	waiting map[int][]time.Duration // by destination: since when each message waits
	busy    bool                    // a pipeline is under way
}

// trip is the end of a node's pipeline.
type trip struct {
	at   time.Duration
	node int
}

type trips []trip

func (t trips) Len() int           { return len(t) }
func (t trips) Less(i, j int) bool { return t[i].at < t[j].at }
func (t trips) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *trips) Push(x any)        { *t = append(*t, x.(trip)) }

func (t *trips) Pop() any {
	last := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return last
}

// run has so many messages sent among n nodes.
func (m model) run(n, messages int) *result {
	random := rand.New(rand.NewPCG(1, uint64(n)))
	r := &result{shards: max(1, int(math.Round(m.shards*float64(n))))}
	nodes := make([]node, n)
	for i := range nodes {
		nodes[i].waiting = make(map[int][]time.Duration)
	}
	free := make([]time.Duration, r.shards) // when each shard is done with what it has
	var ends trips
	publish := func(i int, now time.Duration) {
		nd := &nodes[i]
		if nd.busy = len(nd.waiting) > 0; !nd.busy {
			return
		}
		end := now
		for to, since := range nd.waiting {
			shard := &free[to%r.shards]
			*shard = max(*shard, now+m.trip/2) + m.publish
			end = max(end, *shard)
			r.busy += m.publish
			r.publishes++
			for _, t := range since {
				r.waits = append(r.waits, *shard-t)
			}
		}
		clear(nd.waiting)
		heap.Push(&ends, trip{end + m.trip/2, i})
	}
	between := float64(time.Hour) / (m.changes * float64(m.users) * float64(n)) // two changes anywhere
	for now := time.Duration(0); r.messages < messages; {
		now += time.Duration(random.ExpFloat64() * between)
		for len(ends) > 0 && ends[0].at <= now {
			t := heap.Pop(&ends).(trip)
			publish(t.node, t.at)
		}
		from := random.IntN(n)
		told := make(map[int]bool, m.watchers)
		for range m.watchers {
			r.deliveries++
			if to := random.IntN(n); to != from && !told[to] {
				told[to] = true
				r.messages++
				nodes[from].waiting[to] = append(nodes[from].waiting[to], now)
			}
		}
		if !nodes[from].busy {
			publish(from, now)
		}
		r.lasted = max(now, slices.Max(free))
	}
	return r
}
