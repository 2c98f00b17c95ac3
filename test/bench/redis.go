package main

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisServer is the Redis of a run.
type redisServer struct {
	url    string
	pid    int
	client *redis.Client
}

func openRedis(ctx context.Context, url string) (*redisServer, error) {
	opt, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("open Redis: %w", err)
	}
	r := &redisServer{url: url, client: redis.NewClient(opt)}
	r.pid, err = r.info(ctx, "server", "process_id")
	return r, err
}

// forget has Redis forget everything, also the servers of the last measurement.
func (r *redisServer) forget(ctx context.Context) error { return r.client.FlushAll(ctx).Err() }

// info returns a number of INFO.
func (r *redisServer) info(ctx context.Context, section, name string) (int, error) {
	text, err := r.client.Info(ctx, section).Result()
	if err != nil {
		return 0, fmt.Errorf("ask Redis: %w", err)
	}
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		if value, ok := strings.CutPrefix(s.Text(), name+":"); ok {
			return strconv.Atoi(value)
		}
	}
	return 0, fmt.Errorf("ask Redis: INFO has no %s", name)
}

// sample is how many commands Redis has executed at a time.
type sample struct {
	at       time.Time
	commands int
}

type samples []sample

// sampleEvery is short beside a window, and the load of it nothing.
const sampleEvery = 100 * time.Millisecond

// count counts commands until the result is called, those apart by which it
// does so.
func (r *redisServer) count(ctx context.Context) (end func() samples) {
	var all samples
	take := func() {
		if n, err := r.info(ctx, "stats", "total_commands_processed"); err == nil {
			all = append(all, sample{time.Now(), n - len(all)})
		}
	}
	take()
	done := make(chan struct{})
	var counting sync.WaitGroup
	counting.Go(func() {
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				take()
			case <-done:
				take()
				return
			}
		}
	})
	return func() samples {
		close(done)
		counting.Wait()
		return all
	}
}

// within returns how many commands were executed in a window. Between two
// samples they count as evenly spread.
func (s samples) within(from time.Time, d time.Duration) float64 {
	at := func(t time.Time) float64 {
		for i := 1; i < len(s); i++ {
			if a, b := s[i-1], s[i]; !t.Before(a.at) && t.Before(b.at) {
				return float64(a.commands) + float64(b.commands-a.commands)*t.Sub(a.at).Seconds()/b.at.Sub(a.at).Seconds()
			}
		}
		return math.NaN()
	}
	return at(from.Add(d)) - at(from)
}
