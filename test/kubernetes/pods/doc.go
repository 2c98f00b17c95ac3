// Package pods tests Monarch on a real Kubernetes of two nodes: containers that
// containerd runs, whom kubelets probe and end, Services of kube-proxy, names of
// CoreDNS, the chart as Helm installs it, and Redis and PostgreSQL in pods.
//
// A crowd of users comes in from outside, by the ports of nodes and by nothing
// else, and lives on the network while pods are deleted and killed, nodes
// drained, and a new version rolled out. What each of them is told is checked all
// the time, as in test/cluster.
//
// "make test-kubernetes" runs it. It takes root, and the first time a quarter of
// an hour to build Kubernetes; see package lab.
package pods
