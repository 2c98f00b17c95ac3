// Package compose tests deploy/compose as an operator uses it: with a Docker
// engine, the image that "make images" builds, and clients that come in from
// outside. It needs an engine, so it has a build tag and a target of its own,
// "make test-compose".
//
// No image is pulled. Stand-ins take the place of those of Redis, PostgreSQL
// and Prometheus: the programs that Debian has on this machine with their
// libraries, see test/standin. Their tags begin with monarch-test, and they
// go when the test ends.
package compose
