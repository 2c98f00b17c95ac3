package front

import (
	"net/netip"
	"time"

	"golang.org/x/time/rate"
)

// refusal names the limit by which a connection was turned away; "" is none.
type refusal string

const (
	refusedFull    refusal = "full"    // Config.MaxConnections
	refusedAddress refusal = "address" // Config.ConnectionsPerAddress
	refusedRate    refusal = "rate"    // Config.AcceptRate
	refusedFiles   refusal = "files"   // the files that the process may open
	refusedProxy   refusal = "proxy"   // Config.ProxyFrom, without its header
)

var refusals = []refusal{refusedFull, refusedAddress, refusedRate, refusedFiles, refusedProxy}

// door counts connections by client address, where a limit asks for it. The
// server's mutex guards it.
type door struct {
	perAddress int
	rate       rate.Limit
	burst      int

	// open has an entry only for addresses with open connections, so it is
	// bounded by their number.
	open map[netip.Prefix]int
	// recent has an entry for addresses that used up some of their burst,
	// bounded by maxRecent.
	recent map[netip.Prefix]*rate.Limiter
	swept  time.Time
}

// maxRecent bounds the table of rates, which takes some ten megabytes when
// full.
const maxRecent = 1 << 16

// sweepEvery keeps a flood from many addresses from making each connection
// search the whole table.
const sweepEvery = time.Second

func newDoor(cfg Config) *door {
	return &door{
		perAddress: cfg.ConnectionsPerAddress,
		rate:       rate.Limit(cfg.AcceptRate),
		burst:      cfg.AcceptBurst,
		open:       make(map[netip.Prefix]int),
		recent:     make(map[netip.Prefix]*rate.Limiter),
	}
}

// enter counts one more connection of a, unless a limit refuses it. Addresses
// that are not of IP are never refused.
func (d *door) enter(a netip.Addr, now time.Time) refusal {
	p := household(a)
	if !p.IsValid() {
		return ""
	}
	if d.perAddress > 0 && d.open[p] >= d.perAddress {
		return refusedAddress
	}
	if d.rate > 0 && !d.limiter(p, now).AllowN(now, 1) {
		return refusedRate
	}
	if d.perAddress > 0 {
		d.open[p]++
	}
	return ""
}

// leave takes back what enter counted.
func (d *door) leave(a netip.Addr) {
	p := household(a)
	if d.perAddress == 0 || !p.IsValid() {
		return
	}
	if d.open[p]--; d.open[p] <= 0 {
		delete(d.open, p)
	}
}

func (d *door) limiter(p netip.Prefix, now time.Time) *rate.Limiter {
	if l := d.recent[p]; l != nil {
		return l
	}
	if len(d.recent) >= maxRecent {
		d.sweep(now)
	}
	l := rate.NewLimiter(d.rate, d.burst)
	d.recent[p] = l
	return l
}

// sweep makes room for at least one entry. An address whose burst is whole
// again is as good as unknown. If there is none, some address is forgotten
// early and gains a burst by it: a table that is full must not shut everybody
// out.
func (d *door) sweep(now time.Time) {
	if now.Sub(d.swept) >= sweepEvery {
		d.swept = now
		for p, l := range d.recent {
			if l.TokensAt(now) >= float64(d.burst) {
				delete(d.recent, p)
			}
		}
	}
	for p := range d.recent {
		if len(d.recent) < maxRecent {
			return
		}
		delete(d.recent, p)
	}
}

// household is what counts as one client address: an IPv4 address, or the /64
// that a provider gives to one customer.
func household(a netip.Addr) netip.Prefix {
	bits := 32
	if a = a.Unmap(); a.Is6() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits)
	return p
}
