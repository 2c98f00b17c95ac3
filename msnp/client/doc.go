// Package client is a small client of MSN Messenger servers, MSNP2 to MSNP7:
// enough to log in, to speak, and to see everything that is said.
//
// A Conn is the raw connection: it sends lines or any bytes at all, and reads
// one Message after another. A Client is a Conn that has logged in: it counts
// transaction ids, follows referrals, answers challenges, and finds the reply
// to a command among what comes unasked. A Chat is a Conn in a conversation at a
// switchboard, which a Client opens or enters.
//
// None of them starts a goroutine or keeps a timer. Reading is bounded by the
// context of each call; a read that was given up loses no byte, and the next
// one goes on where it stood. One goroutine may read while another sends;
// Close may be called from any.
//
// The reader is as strict as clients of the time were: a server's line that
// does not end in CRLF, or has a blank too many, is an error.
package client
