package kubernetes

import (
	"flag"
	"os"
	"strings"
	"testing"
)

const quickstart = "../../deploy/kubernetes/quickstart.yaml"

var update = flag.Bool("update", false, "write the quick start anew from the chart")

// head stands above what the chart gives.
const head = `# Monarch on Kubernetes: a directory on SQLite with a volume, a Redis, two pods of
# each server that clients speak to, and the operator. See docs/kubernetes.md.
#
# It runs an image "monarch:latest" that the nodes have already, and takes its
# secrets from a Secret "monarch" that is made first:
#
#   deploy/helm/monarch/prepare
#   kubectl create namespace monarch
#   kubectl create secret generic monarch --namespace monarch --from-file=secret/
#   kubectl apply -f deploy/kubernetes/quickstart.yaml
#
# Clients are set to port 31863 of any node, and sent on to ports from 31000 and
# from 31100 of the nodes.
#
# "make quickstart" writes this file from deploy/helm/monarch.
apiVersion: v1
kind: Namespace
metadata:
  name: monarch
  labels:
    # Nobody here may be more than this allows.
    pod-security.kubernetes.io/enforce: restricted
`

// TestQuickstart holds that the committed manifest is what the chart gives.
func TestQuickstart(t *testing.T) {
	r := release{name: "monarch", namespace: "monarch", values: map[string]any{}}
	texts, _ := r.manifest(t)
	want := strings.Join(append([]string{head}, texts...), "---\n")
	if *update {
		if err := os.WriteFile(quickstart, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(quickstart)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the chart gives (%v): run make quickstart", quickstart, err)
	}
	o := parse(t, documents(t, string(got)))
	o.check(t, r.namespace)
	checkSecrets(t, o, secretOf(t, r))
	if len(o.namespaces) != 1 || o.namespaces[0].Name != r.namespace {
		t.Errorf("namespaces: want %s, got %v", r.namespace, o.namespaces)
	}
}
