// Package rpc is how processes call each other by gRPC: [Dial] and [NewServer]
// with the deadlines, credentials and telemetry that every call has, and the
// machine-readable reason of a refusal.
//
// # Errors
//
// A call to the directory ends in one of three ways that callers tell apart:
//
//   - It was refused: [Reason] gives why. The server made the error with
//     [Refuse]. Nothing was changed.
//   - The directory could not be reached or did not answer in time:
//     [Unavailable] is true. What the call would change may have been changed.
//   - Anything else is a fault, of the server or of the set-up: a panic, a
//     wrong token.
//
// # Credentials
//
// Each service has a token of its own, which the client sends with every call
// as "authorization: Bearer TOKEN": the cluster token opens Directory, the
// accounts token opens Accounts. A server that has no token for a service
// answers only peers on the same machine there. The health service is open.
//
// A token may have several values while it is changed: servers take each, and
// clients send the first. Whoever adds the new one behind the old one everywhere,
// then puts it first everywhere, and then takes the old one away, leaves no
// moment in which a server does not know what a client sends, however long it
// takes until all have heard of each step.
package rpc
