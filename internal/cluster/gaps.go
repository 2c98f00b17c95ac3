package cluster

import (
	"sync"
	"time"
)

// gaps follows the sequence numbers of the batches that reach one inbox, and so
// finds out which are missing. A sender numbers its batches to this inbox from
// 1, and its beat carries the number of the last one that it got rid of.
//
// After the inbox was resubscribed everything published before is in doubt
// anyway, and one resync repairs it; so what went missing until then is not
// counted as a gap once more.
type gaps struct {
	mu    sync.Mutex
	peers map[string]*peer
	// Set while the inbox was resubscribed and no view has been read since:
	// peers that turn up now may have sent before.
	doubt bool
	since time.Time // of the last resubscription
}

type peer struct {
	last     uint64 // highest sequence received
	covered  uint64 // what is missing up to here has been resynced
	reported uint64 // what the last beat said
	// Since the resubscription: no batch received; no beat read.
	unheard, unread bool
}

func (g *gaps) peer(id string) *peer {
	p := g.peers[id]
	if p == nil {
		p = &peer{unheard: g.doubt, unread: g.doubt}
		if g.peers == nil {
			g.peers = make(map[string]*peer)
		}
		g.peers[id] = p
	}
	return p
}

// receive notes a batch. A duplicate is one that was received before, or comes
// behind its successors; it must be dropped, or order would be lost.
func (g *gaps) receive(from string, sequence uint64) (duplicate, gap bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.peer(from)
	if sequence <= p.last {
		return true, false
	}
	gap = sequence-1 > max(p.last, p.covered) && !p.unheard
	p.last, p.unheard = sequence, false
	return false, gap
}

// report compares with what a beat says that its node has sent here, and
// reports whether something is missing. As the batch may be on its way, it is
// only missing if it has not come by the next reading.
func (g *gaps) report(from string, sent uint64, read time.Time) (gap bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if sent == 0 && g.peers[from] == nil {
		return false
	}
	p := g.peer(from)
	if p.unread {
		if read.After(g.since) {
			p.unread = false
			p.covered = max(p.covered, sent)
			p.reported = sent
		}
		return false
	}
	gap = p.reported > max(p.last, p.covered)
	if gap {
		p.covered = p.reported
	}
	p.reported = sent
	return gap
}

// read notes that a whole reading of the nodes has been reported.
func (g *gaps) read(at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if at.After(g.since) {
		g.doubt = false
	}
}

// resubscribed notes that the inbox was not heard until now.
func (g *gaps) resubscribed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.doubt = true
	g.since = time.Now()
	for _, p := range g.peers {
		p.unheard, p.unread = true, true
	}
}

// forget drops a node that is gone.
func (g *gaps) forget(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.peers, id)
}

// heard lists the nodes that have sent something.
func (g *gaps) heard() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	ids := make([]string, 0, len(g.peers))
	for id := range g.peers {
		ids = append(ids, id)
	}
	return ids
}
