package notification

import (
	"slices"
	"sync"
	"sync/atomic"
)

// gravesKept is how many nodes are remembered that are gone. They are forgotten
// in the order in which they went, and not by time: a process that slept for a
// day speaks under its old id until it has noticed.
const gravesKept = 256

// graves remembers which nodes are gone. What is said from there comes from a
// process that lives, but has lost its lease and not claimed its sessions anew
// yet: a record still led to it, or a message was on its way for long. All who
// watched its users have been told that these went, and will be shown them
// again from their next place. Whoever was shown them from the old one would see
// them go once more than they did.
type graves struct {
	mu    sync.Mutex // held by add
	order []nodeID
	ids   atomic.Pointer[map[nodeID]struct{}] // never changed
}

// add notes a node that is gone. It comes before the sessions hear of it, so
// whatever a session is told from there is told before its burial.
func (g *graves) add(id nodeID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.order = append(slices.DeleteFunc(g.order, func(other nodeID) bool { return other == id }), id)
	g.order = g.order[max(0, len(g.order)-gravesKept):]
	ids := make(map[nodeID]struct{}, len(g.order))
	for _, id := range g.order {
		ids[id] = struct{}{}
	}
	g.ids.Store(&ids)
}

// have reports whether a node is gone.
func (g *graves) have(id nodeID) bool {
	ids := g.ids.Load()
	if ids == nil {
		return false
	}
	_, ok := (*ids)[id]
	return ok
}
