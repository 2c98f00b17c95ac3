package script

import (
	"context"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
)

// A Network is what transcripts are played against: services in this process or
// anywhere else. Its methods may be called from many goroutines.
type Network interface {
	// Dispatch is the host:port of a dispatch server, as it names itself to
	// clients.
	Dispatch() string
	// Notification is the host:port of the i-th notification node, counted
	// from 0; past the last it starts over.
	Notification(i int) string
	// Accounts and Directory create accounts and their lists. They work while
	// the network runs.
	Accounts() directoryv1.AccountsClient
	Directory() directoryv1.DirectoryClient
	// Settle returns when everything that was caused by commands answered so
	// far, and by connections seen closed so far, has been written to the
	// clients it concerns.
	Settle(ctx context.Context) error
}

// A Drainer is a Network of which nodes can be taken out of service, and put
// back, while a transcript is played. Such a transcript has the network for
// itself.
type Drainer interface {
	Network
	// DrainNode takes the i-th node of a role, counted from 0, out of service,
	// and returns when nobody is sent there any more.
	DrainNode(ctx context.Context, role string, i int) error
	// ResumeNode puts it back, and returns when everybody knows.
	ResumeNode(ctx context.Context, role string, i int) error
}
