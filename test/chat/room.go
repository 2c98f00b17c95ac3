package chat

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// room drives one conversation, and knows the truth about it.
type room struct {
	name  string
	rng   *rand.Rand
	users []*user // who may be in
	clock atomic.Uint64

	members []*member // all stays, past ones as well
	upset   bool      // somebody left, was dropped or stalls

	mu   sync.Mutex
	said []*said
}

// run lives through the conversation. All connections are closed at its end.
func (r *room) run(ctx context.Context, size, rounds int, stall bool) error {
	defer func() {
		for _, m := range r.members {
			m.leave(false)
		}
	}()
	opened, err := r.users[0].open(ctx)
	if err != nil {
		return err
	}
	r.members = append(r.members, newMember(r.users[0], opened, 0, r.clock.Add(1)))
	for len(r.present()) < size {
		if err := r.planJoin()(ctx); err != nil {
			return err
		}
	}
	for n := range rounds {
		if err := r.round(ctx); err != nil {
			return fmt.Errorf("round %d: %w", n, err)
		}
	}
	if stall {
		if err := r.stall(ctx); err != nil {
			return fmt.Errorf("while somebody stalls: %w", err)
		}
	}
	return r.finish(ctx)
}

func (r *room) present() []*member {
	return slices.DeleteFunc(slices.Clone(r.members), func(m *member) bool { return m.gone })
}

func (r *room) anyone(members []*member) *member { return members[r.rng.IntN(len(members))] }

// planJoin chooses who calls whom; the result carries it out.
func (r *room) planJoin() func(context.Context) error {
	present := r.present()
	var absent []*user
	for _, u := range r.users {
		if !slices.ContainsFunc(present, func(m *member) bool { return m.user == u }) {
			absent = append(absent, u)
		}
	}
	if len(absent) == 0 {
		return func(context.Context) error { return nil }
	}
	u, inviter := absent[r.rng.IntN(len(absent))], r.anyone(present)
	return func(ctx context.Context) error {
		session, err := inviter.call(ctx, u.Email)
		if err != nil {
			return err
		}
		entered, err := u.enter(ctx, session)
		if err != nil {
			return err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.members = append(r.members, newMember(u, entered, len(r.members), r.clock.Add(1)))
		return nil
	}
}

// round has all speak at once while one of them goes or somebody comes.
func (r *room) round(ctx context.Context) error {
	var change func(context.Context) error
	present := r.present()
	switch n := r.rng.IntN(8); {
	case n < 3 && len(present) > 1:
		leaver, politely := r.anyone(present), n > 0
		leaver.gone, r.upset = true, true
		change = func(context.Context) error {
			leaver.leave(politely)
			return nil
		}
	case n < 6:
		change = r.planJoin()
	}
	var group errgroup.Group
	for _, m := range r.present() {
		group.Go(r.planSpeech(ctx, m, r.rng.IntN(4), 1600))
	}
	if change != nil {
		group.Go(func() error { return change(ctx) })
	}
	return group.Wait()
}

// modes are those of messages, as often as they are used.
var modes = []string{"A", "A", "A", "N", "N", "U"}

// planSpeech chooses what a member says; the result says it.
func (r *room) planSpeech(ctx context.Context, m *member, messages, most int) func() error {
	type plan struct {
		name, mode string
		size       int
	}
	var plans []plan
	for range messages {
		m.spoken++
		plans = append(plans, plan{
			fmt.Sprintf("%s.%d.%d", r.name, m.number, m.spoken), modes[r.rng.IntN(len(modes))], r.rng.IntN(most + 1),
		})
	}
	return func() error {
		for _, p := range plans {
			s, err := m.say(ctx, &r.clock, p.name, p.mode, p.size)
			if err != nil {
				return err
			}
			r.mu.Lock()
			r.said = append(r.said, s)
			r.mu.Unlock()
		}
		return nil
	}
}

// stall has one member stop reading, and the others speak on until the server
// drops it.
func (r *room) stall(ctx context.Context) error {
	present := r.present()
	if len(present) < 3 {
		return nil
	}
	victim := r.anyone(present)
	r.upset = true
	if err := victim.stall(); err != nil {
		return err
	}
	for {
		var group errgroup.Group
		others := r.present()
		for _, m := range others {
			group.Go(r.planSpeech(ctx, m, 8, 1600))
		}
		if err := group.Wait(); err != nil {
			return err
		}
		if !others[0].knows()[victim.email()] {
			return nil
		}
	}
}

// finish lets the room come to rest and compares what everybody heard with the
// truth.
func (r *room) finish(ctx context.Context) error {
	// After the first time nothing is under way to the server, after the
	// second nothing that it has sent.
	for range 2 {
		for _, m := range r.present() {
			if err := m.fence(ctx); err != nil {
				return err
			}
		}
	}
	for _, m := range r.members {
		if err := m.fault(); err != nil {
			return err
		}
	}
	if err := r.compareOrder(); err != nil {
		return err
	}
	for _, m := range r.present() {
		if err := r.compareHeard(m); err != nil {
			return err
		}
		if err := r.compareKnown(ctx, m); err != nil {
			return err
		}
	}
	return r.compareRefused()
}

// compareHeard: what was acknowledged has reached whoever was there before and
// stayed.
func (r *room) compareHeard(m *member) error {
	heard := make(map[string]bool)
	for _, name := range m.messages() {
		heard[name] = true
	}
	for _, s := range r.said {
		if s.sender != m && m.entered < s.sent && s.delivered() && !heard[s.name] {
			return fmt.Errorf("%s, mode %s, was delivered, and %s (stay %d) has not heard it", s.name, s.mode, m.email(), m.number)
		}
	}
	return nil
}

// delivered reports whether the sender may count on it. Of one that is gone it
// is not known whether a refusal was on its way.
func (s *said) delivered() bool {
	reply := s.reply()
	return s.mode == "A" && reply == "ACK" || s.mode == "N" && reply == "" && !s.sender.gone
}

// compareKnown: each knows who is there, as soon as the server has seen the end
// of connections that were lost.
func (r *room) compareKnown(ctx context.Context, m *member) error {
	others := make(map[string]bool)
	for _, other := range r.present() {
		if other != m {
			others[other.email()] = true
		}
	}
	err := m.until(ctx, "the others to be right", func() bool { return maps.Equal(m.here, others) })
	if err != nil {
		return fmt.Errorf("knows %v, and there are %v: %w", m.knows(), others, err)
	}
	return nil
}

// compareRefused: while nobody left, whatever somebody could hear was delivered.
func (r *room) compareRefused() error {
	if r.upset {
		return nil
	}
	for _, s := range r.said {
		if len(r.members) > 1 && s.sent > r.members[1].entered && s.reply() == "NAK" {
			return fmt.Errorf("%s was refused, and nobody had left", s.name)
		}
	}
	return nil
}

// compareOrder: there is one order of messages that agrees with what everybody
// heard and with what each sender said, and nobody heard one twice, or of
// somebody who had not said it.
func (r *room) compareOrder() error {
	known := make(map[string]*said)
	after := make(map[string][]string) // what comes behind a message
	waits := make(map[string]int)      // how many come ahead of it
	follow := func(names []string) {
		for i := 1; i < len(names); i++ {
			after[names[i-1]] = append(after[names[i-1]], names[i])
			waits[names[i]]++
		}
	}
	own := make(map[*member][]string)
	for _, s := range r.said {
		known[s.name] = s
		own[s.sender] = append(own[s.sender], s.name)
	}
	for _, m := range r.members {
		seen, heard := make(map[string]bool), m.messages()
		for _, name := range heard {
			switch {
			case known[name] == nil:
				return fmt.Errorf("%s heard %s, which nobody said", m.email(), name)
			case known[name].sender == m:
				return fmt.Errorf("%s heard its own %s", m.email(), name)
			case seen[name]:
				return fmt.Errorf("%s heard %s twice", m.email(), name)
			}
			seen[name] = true
		}
		follow(heard)
		follow(own[m])
	}
	var ready []string
	for name := range known {
		if waits[name] == 0 {
			ready = append(ready, name)
		}
	}
	ordered := 0
	for len(ready) > 0 {
		name := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		ordered++
		for _, next := range after[name] {
			if waits[next]--; waits[next] == 0 {
				ready = append(ready, next)
			}
		}
	}
	if ordered != len(known) {
		return fmt.Errorf("of %d messages %d have no order that all agree with", len(known), len(known)-ordered)
	}
	return nil
}
