package api

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/test/kubernetes/lab"
)

// dryRun has the API server do everything with objects but keep them, and
// returns a line for each, and what is said besides.
func dryRun(t *testing.T, namespace, manifest string) (objects []string, stderr string, err error) {
	t.Helper()
	stdout, stderr, err := cluster.Command(t.Context(), manifest, "kubectl",
		"apply", "--namespace", namespace, "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
	return strings.Split(strings.TrimSpace(stdout), "\n"), stderr, err
}

// TestEveryRender has the API server look at what the chart gives with each file
// of values.
func TestEveryRender(t *testing.T) {
	t.Log("promise: the API server takes every object with every set of values, in its strictest form, " +
		"in a namespace that enforces Pod Security restricted, and warns of nothing but ports of the node and an old version of routes")
	t.Logf("figure: %s", started)
	begin := time.Now()
	count := 0
	for _, file := range valueFiles(t) {
		t.Run(cmp.Or(file, "own values"), func(t *testing.T) {
			name := "render-" + cmp.Or(strings.TrimSuffix(file, ".yaml"), "own-values")
			namespace(t, name, lab.Restricted)
			manifest := template(t, name, file)
			objects, stderr, err := dryRun(t, name, manifest)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.Count(manifest, "\nkind: "); len(objects) != want {
				t.Errorf("want %d objects, got %d:\n%s", want, len(objects), strings.Join(objects, "\n"))
			}
			count += len(objects)
			for _, warning := range surprises(t, file, stderr) {
				t.Errorf("want no such warning, got %s", warning)
			}
			// A workload of each role that clients speak to.
			if want, got := strings.Count(manifest, "hostPort:"), strings.Count(stderr, "hostPort (container "); got != want {
				t.Errorf("want %d warnings of ports of the node, got %s", want, stderr)
			}
		})
	}
	t.Logf("figure: %d objects of %d sets of values taken in %.1f s", count, len(valueFiles(t)), time.Since(begin).Seconds())
}

// TestMistakes holds that what TestEveryRender asks finds mistakes.
func TestMistakes(t *testing.T) {
	t.Log("promise: a mistake in an object is refused, and the refusal says where it is")
	namespace(t, "mistakes", lab.Restricted)
	for name, c := range map[string]struct{ file, old, new, want string }{
		"a misspelt field": {
			"", "terminationGracePeriodSeconds:", "terminationGracePeriodSecond:",
			".spec.template.spec.terminationGracePeriodSecond: field not declared in schema",
		},
		"a word for a number": {
			"", "failureThreshold: 2", "failureThreshold: two", ".readinessProbe.failureThreshold: expected numeric",
		},
		"a port whose name is too long": {
			"", "- name: telemetry", "- name: telemetry-of-monarch", "spec.template.spec.containers[0].ports[1].name: Invalid value: \"telemetry-of-monarch\": must be no more than 15 characters",
		},
		"a budget with two measures": {
			"", "maxUnavailable: 1\n  unhealthy", "maxUnavailable: 1\n  minAvailable: 1\n  unhealthy",
			"minAvailable and maxUnavailable cannot be both set",
		},
		"a selector that selects others": {
			"", "app.kubernetes.io/component: dispatch\n  template:", "app.kubernetes.io/component: dispatcher\n  template:",
			"spec.template.metadata.labels: Invalid value: ",
		},
		"a misspelt field of a route": {
			"gateway.yaml", "sectionName: dispatch", "sectionNames: dispatch", ".spec.parentRefs[0].sectionNames: field not declared in schema",
		},
		"a misspelt field of a monitor": {
			"production.yaml", "podTargetLabels:", "podTargetLabel:", ".spec.podTargetLabel: field not declared in schema",
		},
	} {
		t.Run(name, func(t *testing.T) {
			manifest := template(t, "mistakes", c.file)
			broken := strings.ReplaceAll(manifest, c.old, c.new)
			if broken == manifest {
				t.Fatalf("there is no %q in the chart", c.old)
			}
			if _, _, err := dryRun(t, "mistakes", broken); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %q, got %v", c.want, err)
			}
		})
	}
}
