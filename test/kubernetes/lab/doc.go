// Package lab runs a real Kubernetes for tests, on one machine and without a
// registry: etcd, the API server, the controllers and the scheduler, and what
// else a test adds.
//
// Every program is built from the module in ../tools, which alone says of which
// version, and stays in the user's cache ([Build]). The tests of a package run in
// namespaces of their own ([Main]), with a network that leads nowhere. So ports
// are always free, nothing here can reach another machine, and whatever a test
// starts or mounts is gone with it, however it ends.
//
// [Start] brings up a control plane; [Cluster.Run] adds processes to it, which
// end in good order with it.
package lab
