package simulated

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// TestSpread installs the chart with a pod of each role for each node.
func TestSpread(t *testing.T) {
	t.Log("promise: Helm installs the chart after the migration, and the pods of each role are spread evenly over zones and over nodes, " +
		"over nodes also where there are no zones")
	t.Logf("figure: %s", started)
	t.Run("two zones", func(t *testing.T) { spread(t, "spread", true) })
	t.Run("no zones", func(t *testing.T) {
		label(t, corev1.LabelTopologyZone+"-")
		t.Cleanup(func() {
			for name, zone := range nodes {
				label(t, corev1.LabelTopologyZone+"="+zone, name)
			}
		})
		spread(t, "spread-without-zones", false)
	})
}

// label changes a label of nodes, or of all.
func label(t *testing.T, label string, names ...string) {
	t.Helper()
	if len(names) == 0 {
		names = []string{"--all"}
	}
	args := slices.Concat([]string{"label", "node"}, names, []string{label})
	if _, err := cluster.Kubectl(context.Background(), "", args...); err != nil {
		t.Error(err)
	}
}

func spread(t *testing.T, namespace string, zones bool) {
	home(t, namespace)
	w := watched(t, namespace)
	begin := time.Now()
	install(t, namespace, "--set", "dispatch.replicas=4,notification.replicas=4,switchboard.replicas=4,directory.replicas=2")
	took := time.Since(begin)
	for role, pods := range map[string]int{"dispatch": 4, "notification": 4, "switchboard": 4, "directory": 2} {
		byNode, byZone := w.spread(role)
		if total := byZone["a"] + byZone["b"]; total != pods {
			t.Errorf("%s: want %d pods, got %d", role, pods, total)
		}
		if zones && byZone["a"] != byZone["b"] {
			t.Errorf("%s: want as many pods in each zone, got %v", role, byZone)
		}
		if most := slices.Max(slices.Collect(maps.Values(byNode))); most != 1 {
			t.Errorf("%s: want one pod on a node, got %v", role, byNode)
		}
	}
	migrated := false
	count := 0
	for _, e := range w.told("") {
		switch {
		case e.role == "migrate":
			migrated = migrated || e.kind == succeeded
		case e.kind == came:
			count++
			if !migrated {
				t.Errorf("want %s after the migration, got it before", e.pod.Name)
			}
		}
	}
	t.Logf("figure: %d pods ready %.1f s after helm install", count, took.Seconds())
}
