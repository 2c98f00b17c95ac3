// Package kubernetes tests what Monarch is deployed with on Kubernetes: the
// chart in deploy/helm and the manifest in deploy/kubernetes.
//
// The tests of this package need no cluster: Helm's own engine renders the chart
// with the values of each file in testdata, Kubernetes' own types read what comes
// of it and refuse what they do not know, its own Pod Security checks pass, and
// what one object says of another holds. "make check-charts" runs them. Those in
// the folders have one, which package lab makes: api without nodes, simulated with
// nodes that run nothing, pods with nodes that run containers.
//
// It is a module of its own, outside the workspace, so that the versions of Helm
// and Kubernetes stay out of the product.
package kubernetes
