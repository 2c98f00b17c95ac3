package front

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/monarch-msn/monarch/msnp"
)

// The defaults of Config.
const (
	// DefaultMaxConnections is above what one node is given in practice, and
	// keeps a flood from taking all memory.
	DefaultMaxConnections = 100_000

	// DefaultOutboxBytes lets the longest answer that the protocol has pass to
	// a healthy client: SYN sends all lists at once. With the default limits
	// (FL 150, AL and BL 600 each, RL 5000), addresses of 129 and names of 387
	// bytes that is about 3.6 MB. Half a megabyte is common for somebody
	// popular, and one is exceeded where names are not ASCII, since each of
	// their bytes travels as three. With a smaller bound people could keep
	// somebody from logging in by adding him.
	DefaultOutboxBytes = 4 << 20

	// DefaultWriteTimeout asks for 32 KiB in 30 seconds, which a modem of the
	// time manages three times over.
	DefaultWriteTimeout = 30 * time.Second

	// DefaultFlushTimeout bounds what closing may add to a shutdown.
	DefaultFlushTimeout = 5 * time.Second

	// DefaultAcceptBurst is how many connections an address may open at once
	// where AcceptRate is set. A household behind one address that comes back
	// after an outage should get in.
	DefaultAcceptBurst = 20

	// DefaultRefusals times the 2 KiB that each costs is half a megabyte, and
	// tells some thousands of clients a second why they are refused, where
	// each takes a tenth of a second for it.
	DefaultRefusals = 256

	// DefaultRefusalTime is enough for a modem to say the first command, and
	// for what is lost on the way to be sent again.
	DefaultRefusalTime = 5 * time.Second
)

// Config bounds what clients may cost. The tags are for kong, which reads flags
// and environment from them; a field that is zero has the same default, so
// that the zero Config is usable. A role whose outbox has another default sets
// the variable outbox_bytes where it embeds Config.
//
// The memory of a node is bounded by MaxConnections × (OutboxBytes + the read
// buffer, at most ReadLine and 1664 bytes of payload). What is not in use is
// not allocated.
type Config struct {
	MaxConnections        int           `default:"100000" help:"Most client connections at a time; further ones are told that the server is busy, and closed."`
	ConnectionsPerAddress int           `default:"0" help:"Most connections from one client address, an IPv6 /64 counting as one; 0 is no limit."`
	AcceptRate            float64       `default:"0" help:"New connections a second from one client address; 0 is no limit."`
	AcceptBurst           int           `default:"20" help:"New connections from one client address ahead of the rate limit."`
	ProxyFrom             string        `placeholder:"CIDR,..." help:"Networks of balancers that name the client's address ahead of what it says, in the PROXY protocol, version 1 or 2. From there a connection without it is closed."`
	Refusals              int           `default:"256" help:"Most connections beyond a limit that are told so at a time; further ones are closed without a word."`
	RefusalTime           time.Duration `default:"5s" help:"Time in which a client that is refused has to say its first command and take the answer."`
	OutboxBytes           int           `default:"${outbox_bytes=4194304}" help:"Bytes that may wait to be sent to a client before it counts as slow and is closed."`
	WriteTimeout          time.Duration `default:"30s" help:"Time in which a client has to take the next 32 KiB."`
	FlushTimeout          time.Duration `default:"5s" help:"Time in which a client has to take what is pending when its connection is closed."`
	ReadLine              int           `default:"8192" help:"Longest line accepted from a client, in bytes."`

	// Silent leaves out the last lines OUT, OUT OTH and OUT SSD. A switchboard
	// has no OUT to a client: it closes without a word.
	Silent bool `kong:"-"`
}

// Bounds of what Validate accepts. The smallest outbox holds any single line
// that a server sends besides SYN, the shortest line the longest request of an
// official client.
const (
	minOutboxBytes = 4 << 10
	maxOutboxBytes = 1 << 30
	minReadLine    = 1 << 10
	maxReadLine    = 1 << 20
)

// Validate returns all faults of the configuration joined, or nil. Zero values
// stand for their defaults and are no faults.
func (c Config) Validate() error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	c = c.withDefaults()
	check(c.MaxConnections > 0, "max-connections: %d is negative", c.MaxConnections)
	check(c.ConnectionsPerAddress >= 0, "connections-per-address: %d is negative", c.ConnectionsPerAddress)
	check(c.AcceptRate >= 0, "accept-rate: %g is negative", c.AcceptRate)
	check(c.AcceptBurst > 0, "accept-burst: %d is negative", c.AcceptBurst)
	_, err := parseNetworks(c.ProxyFrom)
	check(err == nil, "proxy-from: %v", err)
	check(c.Refusals > 0, "refusals: %d is negative", c.Refusals)
	check(c.RefusalTime > 0, "refusal-time: %v is negative", c.RefusalTime)
	check(c.OutboxBytes >= minOutboxBytes && c.OutboxBytes <= maxOutboxBytes,
		"outbox-bytes: %d is not within %d and %d", c.OutboxBytes, minOutboxBytes, maxOutboxBytes)
	check(c.WriteTimeout > 0, "write-timeout: %v is negative", c.WriteTimeout)
	check(c.FlushTimeout > 0, "flush-timeout: %v is negative", c.FlushTimeout)
	check(c.ReadLine >= minReadLine && c.ReadLine <= maxReadLine,
		"read-line: %d is not within %d and %d", c.ReadLine, minReadLine, maxReadLine)
	return errors.Join(faults...)
}

// withDefaults replaces zero values by their defaults.
func (c Config) withDefaults() Config {
	c.MaxConnections = cmp.Or(c.MaxConnections, DefaultMaxConnections)
	c.AcceptBurst = cmp.Or(c.AcceptBurst, DefaultAcceptBurst)
	c.Refusals = cmp.Or(c.Refusals, DefaultRefusals)
	c.RefusalTime = cmp.Or(c.RefusalTime, DefaultRefusalTime)
	c.OutboxBytes = cmp.Or(c.OutboxBytes, DefaultOutboxBytes)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, DefaultWriteTimeout)
	c.FlushTimeout = cmp.Or(c.FlushTimeout, DefaultFlushTimeout)
	c.ReadLine = cmp.Or(c.ReadLine, msnp.DefaultLine)
	return c
}
