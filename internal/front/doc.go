// Package front keeps the connections of clients: it accepts them, reads
// their commands, writes to them without ever waiting for them, and ends them
// in good order. What a command means and who a user is, it does not know.
//
// A balancer ahead of the clients names their addresses, which would all be its
// own otherwise, in a header of the PROXY protocol. It is read before Serve makes
// a connection of it, and only from networks that [Config] lists: anybody else
// could take any address by it.
//
// # The life of a connection
//
// [Server.Serve] accepts a connection, or turns it away with the protocol's
// "server busy" where one of the limits of [Config] is reached, and has a
// [Session] made of it. While the client is silent that is all there is of it:
// no goroutine, no buffer. Once bytes have arrived a worker takes a reader from
// a pool, reads, calls [Session.Do] for each command, and lets go of the
// connection again. Where the system has no epoll, and where a connection is
// none of the system's, a goroutine of its own reads it instead.
//
// Any goroutine may [Conn.Send] to it. What is sent is gathered in an outbox
// that is bounded in bytes. A worker writes it as far as the socket takes it,
// behind all that was readable before, so that under load one write has many
// lines; if the socket is full a goroutine waits with the rest. A client that
// does not take its bytes costs nobody time: it is ended with [ReasonSlow], by
// the bound or by the write timeout.
//
//	open ──Close──▶ flushing ──▶ half-closed ──▶ closed
//	  │                │                            ▲
//	  └── slow, broken ┴────────── cut ─────────────┘
//
// [Conn.Close] takes effect at once for everybody in the process: no command is
// handled any more, Send does nothing, and [Session.Leave] is called. Towards the client the end is orderly: what is
// pending is written, then the last line of the reason, then our direction is
// shut; what the client still sends is read and dropped for about a second,
// because closing a socket with unread input resets it and the client would
// lose the last line with it. A connection that is cut is reset without any
// of this.
//
// # Who owns what
//
// The workers belong to Serve, which ends them. One at a time attends to a
// connection, and has its reader and its session meanwhile; one at a time, the
// same or another, writes to it. Who attends to a connection when it has ended
// has the session leave, waits for the writer, lingers, and closes the socket.
// Serve waits for that.
// One mutex per connection guards the outbox and the fact of having ended; it
// is never held across anything that can block. The server has another for the
// set of its connections; where both are held it was taken first. That of the
// workers' queue is taken last.
package front
