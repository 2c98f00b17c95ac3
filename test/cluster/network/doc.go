// Package network runs Monarch as an operator does, for tests: every role is a
// process of its own, started from the binary that cmd/monarch builds to, on
// free loopback ports, over a Redis of its own and a PostgreSQL database of its
// own.
//
// [Start] brings up a whole network, which transcripts can be played against;
// [Monarch] starts any single command. Processes wait for each other, so all
// of them are started at once; a test goes on when each says on its /readyz
// that it is ready.
//
// Processes may be started again in place, and where the options say so each has
// a [Host] of its own, so that the network between them can be cut. Hosts are
// network namespaces: they take Linux, root and the program ip.
//
// What a test starts ends with it. A process that ends by itself fails the
// test, and so does a network that does not leave in good order at the end.
// When a test fails, the last lines of every process's output are printed.
//
// The real stores are found by the environment: MONARCH_TEST_POSTGRES names a
// server on which databases may be created, and redis-server, or
// valkey-server, is in PATH. Without the variable tests that need the stores
// are skipped, and with it nothing is: what is missing is a failure.
package network
