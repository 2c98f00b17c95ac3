package directory

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"
)

// A lane is where calls of one kind wait for their turn.
type lane int

const (
	// logins is Login, the one call of those who are not in yet.
	logins lane = iota
	// reads is Snapshot and Versions, edits is every list edit: the calls of
	// those who are in, or whose login is half done.
	reads
	edits
	// accounts is what the operator calls.
	accounts

	lanes
)

func (l lane) String() string {
	return [lanes]string{"login", "read", "edit", "account"}[l]
}

// turns is how many of those who wait in each lane come in, of eleven, while
// somebody waits in all. A login is followed by a read; as long as a lane of
// reads has more turns than that of logins, nobody is let in whose lists cannot
// be read in time.
var turns = [lanes]int{logins: 1, reads: 5, edits: 4, accounts: 1}

// errCrowded is a call that did not get its turn. It had no effect.
var errCrowded = errors.New("too many calls wait for the database")

// A gate bounds how many calls are at work in the database. The others wait, in
// their lane in order of arrival, for a bounded time and in bounded number: a
// database that is slow or hangs makes no crowd of goroutines and connections,
// and those who have waited too long cost it nothing any more.
//
// No lane may take all places, however many crowd in it. Logins have the fewest
// turns and their own part of the places, so a herd of them passes behind the
// backs of those who are online. Every lane has some turn, so none starves.
type gate struct {
	queue    int           // most who wait in one lane
	patience time.Duration // longest wait

	mu    sync.Mutex
	free  int
	most  [lanes]int // at work at the same time
	busy  [lanes]int
	claim [lanes]int // of the next turn; the greatest has it
	line  [lanes]list.List
}

// newGate has places for so many calls, of which logins may take some.
func newGate(places, logins_, queue int, patience time.Duration) *gate {
	g := &gate{queue: queue, patience: patience, free: places}
	quarter := max(1, places/4)
	others := max(1, places-quarter)
	g.most = [lanes]int{logins: logins_, reads: others, edits: others, accounts: quarter}
	return g
}

// enter returns when it is the caller's turn, who then calls leave when the
// work is done, or with errCrowded, or the cause of the context's end. Accounts
// wait as long as their context lets them: the operator has time.
func (g *gate) enter(ctx context.Context, l lane) (leave func(), err error) {
	leave = func() { g.leave(l) }
	g.mu.Lock()
	if g.line[l].Len() == 0 && g.free > 0 && g.busy[l] < g.most[l] {
		g.free--
		g.busy[l]++
		g.mu.Unlock()
		return leave, nil
	}
	if g.line[l].Len() >= g.queue {
		g.mu.Unlock()
		return nil, errCrowded
	}
	turn := make(chan struct{})
	place := g.line[l].PushBack(turn)
	g.mu.Unlock()

	var late <-chan time.Time
	if l != accounts {
		timer := time.NewTimer(g.patience)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-turn:
		return leave, nil
	case <-late:
		err = errCrowded
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-turn: // it came at the last moment
		return leave, nil
	default:
	}
	g.line[l].Remove(place)
	return nil, err
}

// leave gives a place back, and to whose turn it is.
func (g *gate) leave(l lane) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.free++
	g.busy[l]--
	for g.free > 0 {
		next, ok := g.next()
		if !ok {
			return
		}
		turn := g.line[next].Remove(g.line[next].Front()).(chan struct{})
		g.free--
		g.busy[next]++
		close(turn)
	}
}

// next returns the lane whose turn it is. Each lane in which somebody waits
// gains its turns as a claim, the greatest claim is met and reduced by all that
// was gained; so turns are spread evenly.
func (g *gate) next() (best lane, ok bool) {
	gained := 0
	for l := range lanes {
		if g.line[l].Len() == 0 {
			g.claim[l] = 0 // nobody saves turns for later
			continue
		}
		if g.busy[l] >= g.most[l] {
			continue
		}
		gained += turns[l]
		g.claim[l] += turns[l]
		if !ok || g.claim[l] > g.claim[best] {
			best, ok = l, true
		}
	}
	g.claim[best] -= gained
	return best, ok
}

// load returns how many calls are at work and wait in a lane.
func (g *gate) load(l lane) (busy, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.busy[l], g.line[l].Len()
}
