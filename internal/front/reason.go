package front

import (
	"errors"
	"io"
	"os"

	"github.com/monarch-msn/monarch/msnp"
)

// A Reason says why a connection ended. The same word is the value of a metric
// label, of a log attribute, and decides about the last line. The set is
// closed.
type Reason string

const (
	// ReasonClient: the client said OUT, hung up, or its network broke.
	ReasonClient Reason = "client"
	// ReasonProtocol: it sent what cannot be a command, or not now.
	ReasonProtocol Reason = "protocol"
	// ReasonIdle: it was silent beyond the deadline.
	ReasonIdle Reason = "idle"
	// ReasonSlow: it does not read what is sent to it.
	ReasonSlow Reason = "slow"
	// ReasonDisplaced: its user logged in elsewhere. The client hears OUT OTH.
	ReasonDisplaced Reason = "displaced"
	// ReasonOperator: somebody who runs the server ended it. The client hears
	// OUT.
	ReasonOperator Reason = "operator"
	// ReasonShutdown: this server is going down. The client hears OUT SSD.
	ReasonShutdown Reason = "shutdown"
	// ReasonRefused: we ended it behind an error line, such as 911.
	ReasonRefused Reason = "refused"
	// ReasonInternal: a fault of ours.
	ReasonInternal Reason = "internal"
)

// reasons is the closed set, for the metrics.
var reasons = []Reason{
	ReasonClient, ReasonProtocol, ReasonIdle, ReasonSlow, ReasonDisplaced,
	ReasonOperator, ReasonShutdown, ReasonRefused, ReasonInternal,
}

// lastLine is what the client is told when a connection ends for r; for most
// reasons that is nothing. OTH and SSD are the two words that the IETF draft
// movva gives to OUT. The OUT that answers a client's own OUT is sent by the
// handler of that command.
func (r Reason) lastLine() string {
	switch r {
	case ReasonDisplaced:
		return "OUT OTH\r\n"
	case ReasonShutdown:
		return "OUT SSD\r\n"
	case ReasonOperator:
		return "OUT\r\n"
	}
	return ""
}

// A Close is an error that ends the connection. Handlers of commands return
// one.
type Close struct {
	Reason Reason
	// Err is the cause, or nil. It may wrap a msnp.Code, the line of which is
	// then sent ahead of the end by whoever turns errors into lines.
	Err error
}

// Closing returns a Close of that reason and cause. err may be nil.
func Closing(r Reason, err error) error { return &Close{Reason: r, Err: err} }

// Error tells the reason and the cause.
func (c *Close) Error() string {
	text := "connection ended: " + string(c.Reason)
	if c.Err != nil {
		text += ": " + c.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (c *Close) Unwrap() error { return c.Err }

// ReasonOf says which reason an error of reading, or a Close that a handler
// returned, stands for: malformed input is ReasonProtocol, a deadline that
// passed ReasonIdle, and everything else that can happen to a network is the
// client's going away.
func ReasonOf(err error) Reason {
	var end *Close
	var syntax *msnp.SyntaxError
	switch {
	case errors.As(err, &end):
		return end.Reason
	case errors.As(err, &syntax):
		return ReasonProtocol
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ReasonIdle
	case errors.Is(err, io.ErrNoProgress):
		return ReasonInternal
	}
	return ReasonClient
}
