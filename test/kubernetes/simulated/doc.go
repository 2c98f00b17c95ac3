// Package simulated tests the chart on a real control plane with nodes and pods
// that only say that they run, by KWOK: where the scheduler puts pods, in which
// order controllers replace them, whom an eviction waits for, and how many the
// autoscaler asks for.
//
// What Monarch does in a pod is not seen here: a pod that starts is ready after a
// moment, and one that ends takes a moment for it, as if it drained.
//
// "make test-kubernetes-simulated" runs it. What the cluster is made of is built
// the first time, by package lab, and kept in the user's cache.
package simulated
