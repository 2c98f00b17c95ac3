//go:build race

package network

// race says whether the tests run with the race detector.
const race = true
