// Package api tests the chart against a real API server, with real controllers
// behind it and no node: everything is admitted, defaulted, stored and acted
// upon, but no pod runs.
//
// "make test-kubernetes-api" runs it. What the cluster is made of is built the
// first time, by package lab, and kept in the user's cache.
package api
