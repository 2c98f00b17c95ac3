// Package protocol tests what the documents of the protocol give as tables,
// row by row: who sees whom, what a change of presence shows to whom, which
// change raises whose list version, and which error answers what. The rows are
// data; each is played as a transcript (see test/script) on two nodes.
package protocol
