// Package standin makes container images where none can be pulled: of the
// programs that Debian has on this machine, with the libraries that they name.
// They take the places of the images of Redis and PostgreSQL in tests of how
// Monarch is deployed.
package standin
