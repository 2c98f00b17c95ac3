// Package front keeps the connections of clients: it accepts them, reads
// their commands, writes to them without ever waiting for them, and ends them
// in good order. What a command means and who a user is, it does not know.
//
// # The life of a connection
//
// [Server.Serve] accepts a connection, or turns it away with the protocol's
// "server busy" where one of the limits of [Config] is reached, and calls the handler on a goroutine that the
// connection owns. The handler asks for one command after the other with
// [Conn.Next]. While the client is silent that goroutine is parked in the
// network poller and the connection holds no buffer; a reader with its buffer
// is borrowed once bytes have arrived and goes back when all of them are used.
//
// Any goroutine may [Conn.Send] to it. What is sent is gathered in an outbox
// that is bounded in bytes; a second goroutine, the writer, exists only while
// something is in there. A client that does not take its bytes costs nobody
// time: it is ended with [ReasonSlow], by the bound or by the write timeout.
//
//	open ──Close──▶ flushing ──▶ half-closed ──▶ closed
//	  │                │                            ▲
//	  └── slow, broken ┴────────── cut ─────────────┘
//
// [Conn.Close] takes effect at once for everybody in the process: Next
// returns, Send does nothing. Towards the client the end is orderly: what is
// pending is written, then the last line of the reason, then our direction is
// shut; what the client still sends is read and dropped for about a second,
// because closing a socket with unread input resets it and the client would
// lose the last line with it. A connection that is cut is reset without any
// of this.
//
// # Who owns what
//
// The goroutine of the handler owns the connection and the reader. When the
// handler returns, it closes the connection if nobody has, waits for the
// writer, lingers, and closes the socket. Serve waits for these goroutines.
// One mutex per connection guards the outbox and the fact of having ended; it
// is never held across anything that can block. The server has another for the
// set of its connections; where both are held it was taken first.
package front
