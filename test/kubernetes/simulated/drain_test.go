package simulated

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestDrain empties a node that has more than one pod of a role.
func TestDrain(t *testing.T) {
	t.Log("promise: of a node that is drained one pod of a role goes at a time, the next one when the first is ready elsewhere; " +
		"one that is broken goes at once")
	home(t, "drain")
	const pods = 6
	install(t, "drain", "--set", fmt.Sprintf("dispatch.replicas=%[1]d,notification.replicas=%[1]d,switchboard.replicas=%[1]d,directory.replicas=%[1]d", pods))
	w := watched(t, "drain")
	byNode, _ := w.spread("notification")
	var node string
	for name, count := range byNode {
		if count > 1 {
			node = name
		}
	}
	if node == "" {
		t.Fatalf("want a node with more than one pod of notification, got %v", byNode)
	}
	there := len(w.on(node))

	begin := time.Now()
	_, stderr, err := cluster.Command(t.Context(), "", "kubectl", "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=2m")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := cluster.Kubectl(context.Background(), "", "uncordon", node); err != nil {
			t.Error(err)
		}
	})
	took := time.Since(begin)
	ready(t, "drain")
	if left := w.on(node); len(left) > 0 {
		t.Errorf("want %s empty, got %v", node, left)
	}
	for _, role := range []string{"dispatch", "notification", "switchboard", "directory"} {
		if want, got := pods-1, w.worst(role); got < want {
			t.Errorf("%s: want %d pods ready at every moment, got %d", role, want, got)
		}
	}
	refused := strings.Count(stderr, "Cannot evict pod as it would violate the pod's disruption budget")
	if refused == 0 {
		t.Errorf("want that a second pod of a role has to wait, got %s", stderr)
	}
	t.Logf("figure: %d pods evicted in %.1f s, refused meanwhile: %d, ready of %d at the worst moment: %d of notification, %d of directory",
		there, took.Seconds(), refused, pods, w.worst("notification"), w.worst("directory"))

	broken, healthy := "monarch-notification-4", "monarch-notification-1"
	breakPods(t, "drain", broken, "monarch-notification-5")
	eventually(t, "the budget to count them", func(ctx context.Context) error {
		budget, err := cluster.Client.PolicyV1().PodDisruptionBudgets("drain").Get(ctx, "monarch-notification", metav1.GetOptions{})
		if err == nil && budget.Status.CurrentHealthy != pods-2 {
			err = fmt.Errorf("%d are healthy", budget.Status.CurrentHealthy)
		}
		return err
	})
	evict := func(name string) error {
		return cluster.Client.CoreV1().Pods("drain").EvictV1(t.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "drain"}})
	}
	if err := evict(healthy); !apierrors.IsTooManyRequests(err) {
		t.Errorf("want a healthy pod kept while two others are broken, got %v", err)
	}
	if err := evict(broken); err != nil {
		t.Errorf("want a broken pod evicted, got %v", err)
	}
	eventually(t, "the successor of the broken pod", func(context.Context) error {
		story := w.told("notification")
		if !slices.ContainsFunc(story[len(story)-min(2, len(story)):], func(e event) bool { return e.String() == "="+broken }) {
			return fmt.Errorf("it ends with %v", story[len(story)-min(3, len(story)):])
		}
		return nil
	})
}

// breakPods has pods say that they are not ready.
func breakPods(t *testing.T, namespace string, names ...string) {
	t.Helper()
	for _, name := range names {
		pod, err := cluster.Client.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range pod.Status.Conditions {
			if c := &pod.Status.Conditions[i]; c.Type == corev1.PodReady || c.Type == corev1.ContainersReady {
				c.Status = corev1.ConditionFalse
			}
		}
		if _, err := cluster.Client.CoreV1().Pods(namespace).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}
