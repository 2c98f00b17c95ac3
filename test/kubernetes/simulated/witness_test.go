package simulated

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

const roleLabel = "app.kubernetes.io/component"

// A witness sees everything that happens to the pods of a namespace, in order.
type witness struct {
	mu   sync.Mutex
	pods map[string]*corev1.Pod // by UID
	// fewest are the pods of each role that were ready at the worst moment.
	fewest map[string]int
	story  []event
}

// An event is something that happened to a pod.
type event struct {
	kind kind
	role string
	pod  *corev1.Pod
}

// String returns it as tests write it: "+monarch-dispatch-0".
func (e event) String() string { return string(e.kind) + e.pod.Name }

// kind of event.
type kind string

const (
	came      kind = "+" // it is there, if only as an object
	gotReady  kind = "="
	went      kind = "-" // it is told to end
	succeeded kind = "!"
)

// watched begins to watch, until the test is over. What is there already makes no
// story.
func watched(t *testing.T, namespace string) *witness {
	t.Helper()
	w := &witness{pods: map[string]*corev1.Pod{}, fewest: map[string]int{}}
	list, err := cluster.Client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list.Items {
		w.pods[string(p.UID)] = &p
	}
	for _, p := range list.Items {
		w.fewest[p.Labels[roleLabel]] = w.readyPods(p.Labels[roleLabel])
	}
	ctx, cancel := context.WithCancel(context.Background())
	watcher, err := cluster.Client.CoreV1().Pods(namespace).Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	var watching sync.WaitGroup
	watching.Go(func() {
		for event := range watcher.ResultChan() {
			if pod, ok := event.Object.(*corev1.Pod); ok {
				w.see(event.Type, pod)
			} else if ctx.Err() == nil {
				t.Errorf("watch pods: %v", event.Object)
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		watching.Wait()
	})
	return w
}

// see takes note of one event.
func (w *witness) see(change watch.EventType, pod *corev1.Pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	role, uid := pod.Labels[roleLabel], string(pod.UID)
	before := w.pods[uid]
	tell := func(what kind) { w.story = append(w.story, event{what, role, pod}) }
	if before == nil {
		tell(came)
	}
	if isReady(pod) && !isReady(before) {
		tell(gotReady)
	}
	if pod.DeletionTimestamp != nil && before != nil && before.DeletionTimestamp == nil {
		tell(went)
	}
	if pod.Status.Phase == corev1.PodSucceeded && before != nil && before.Status.Phase != corev1.PodSucceeded {
		tell(succeeded)
	}
	if w.pods[uid] = pod; change == watch.Deleted {
		delete(w.pods, uid)
	}
	w.fewest[role] = min(w.fewest[role], w.readyPods(role))
}

// readyPods counts those of a role that take clients. w.mu is held, or nobody else
// knows w.
func (w *witness) readyPods(role string) int {
	count := 0
	for pod := range maps.Values(w.pods) {
		if pod.Labels[roleLabel] == role && isReady(pod) {
			count++
		}
	}
	return count
}

// isReady says whether clients are sent to a pod: one that is told to end is not
// ready any more, for Monarch drains then.
func isReady(pod *corev1.Pod) bool {
	return pod != nil && pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// worst returns how many pods of a role were ready at the worst moment.
func (w *witness) worst(role string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fewest[role]
}

// told returns the story of a role, or of all for "".
func (w *witness) told(role string) (story []event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.story {
		if role == "" || e.role == role {
			story = append(story, e)
		}
	}
	return story
}

// spread returns how many pods of a role each node and each zone has.
func (w *witness) spread(role string) (byNode, byZone map[string]int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	byNode, byZone = map[string]int{}, map[string]int{}
	for _, pod := range w.pods {
		if pod.Labels[roleLabel] == role && pod.DeletionTimestamp == nil {
			byNode[pod.Spec.NodeName]++
			byZone[nodes[pod.Spec.NodeName]]++
		}
	}
	return byNode, byZone
}

// on returns the pods on a node.
func (w *witness) on(node string) (names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, pod := range w.pods {
		if pod.Spec.NodeName == node {
			names = append(names, fmt.Sprintf("%s (%s)", pod.Name, pod.Status.Phase))
		}
	}
	return names
}
