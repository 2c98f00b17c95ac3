package simulated

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// TestAutoscaling has the number of sessions rise and fall.
func TestAutoscaling(t *testing.T) {
	t.Log("promise: with sessions there are more pods at once, never more than maxReplicas; with fewer sessions none goes before it has been calm, " +
		"and then one at a time, the highest number first")
	home(t, "autoscaling")
	m := serveMetrics(t)
	m.set("monarch_sessions", 1000)
	const least, most, target = 2, 5, 5000
	install(t, "autoscaling", "--set", fmt.Sprintf("notification.replicas=%d,notification.autoscaling.enabled=true,notification.autoscaling.maxReplicas=%d,notification.autoscaling.target=%d", least, most, target))

	r := watchReplicas(t, "autoscaling", "monarch-notification")
	r.await(t, least)
	r.begin() // before the autoscaler looked there was one
	begin := time.Now()
	m.set("monarch_sessions", 3*target+1)
	r.await(t, 4)
	t.Logf("figure: %d sessions for %d pods: 4 pods are asked for after %.1f s", 3*target+1, least, time.Since(begin).Seconds())
	m.set("monarch_sessions", 20*target)
	r.await(t, most)
	awaitCondition(t, "autoscaling", autoscalingv2.ScalingLimited, "TooManyReplicas")
	ready(t, "autoscaling")
	if got := r.seen(); !slices.Equal(got, []int32{least, 4, most}) {
		t.Errorf("want from %d pods at once to 4, and to %d and no more, got %v", least, most, got)
	}

	m.set("monarch_sessions", 100)
	awaitCondition(t, "autoscaling", autoscalingv2.AbleToScale, "ScaleDownStabilized")
	scaler, err := cluster.Client.AutoscalingV2().HorizontalPodAutoscalers("autoscaling").Get(t.Context(), "monarch-notification", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	down := scaler.Spec.Behavior.ScaleDown
	t.Logf("figure: after %v of calm %d pod may go in %v", time.Duration(*down.StabilizationWindowSeconds)*time.Second, down.Policies[0].Value, time.Duration(down.Policies[0].PeriodSeconds)*time.Second)
	// Nobody waits for that here: the times are shorter, the policy is the same.
	const period = 5 * time.Second
	eventually(t, "the pods that came last to be no news", func(ctx context.Context) error {
		scaler, err := cluster.Client.AutoscalingV2().HorizontalPodAutoscalers("autoscaling").Get(ctx, "monarch-notification", metav1.GetOptions{})
		if err == nil && time.Since(scaler.Status.LastScaleTime.Time) < period+time.Second {
			err = fmt.Errorf("they came at %v", scaler.Status.LastScaleTime)
		}
		return err
	})
	patch := fmt.Sprintf(`{"spec": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0, "policies": [{"type": %q, "value": %d, "periodSeconds": %d}]}}}}`,
		down.Policies[0].Type, down.Policies[0].Value, int(period.Seconds()))
	w := watched(t, "autoscaling")
	if _, err := cluster.Client.AutoscalingV2().HorizontalPodAutoscalers("autoscaling").Patch(t.Context(), "monarch-notification", types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	r.await(t, least)
	if got := r.seen(); !slices.Equal(got, []int32{least, 4, most, 4, 3, least}) {
		t.Errorf("want one pod less at a time, and no fewer than %d, got %v", least, got)
	}
	eventually(t, "the highest numbers to go", func(context.Context) error {
		var gone []string
		for _, e := range w.told("notification") {
			gone = append(gone, e.String())
		}
		if want := []string{"-monarch-notification-4", "-monarch-notification-3", "-monarch-notification-2"}; !slices.Equal(gone, want) {
			return fmt.Errorf("want %v, got %v", want, gone)
		}
		return nil
	})
	t.Logf("figure: pods asked for, one after another: %v", r.seen())
}

// awaitCondition returns when the autoscaler of notification says why it does what
// it does.
func awaitCondition(t *testing.T, namespace string, kind autoscalingv2.HorizontalPodAutoscalerConditionType, reason string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s to be %s", kind, reason), func(ctx context.Context) error {
		scaler, err := cluster.Client.AutoscalingV2().HorizontalPodAutoscalers(namespace).Get(ctx, "monarch-notification", metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range scaler.Status.Conditions {
			if c.Type == kind && c.Reason == reason && c.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("got %v", scaler.Status.Conditions)
	})
}

// replicas are the numbers of pods that were asked for of a StatefulSet, in order.
type replicas struct {
	mu      sync.Mutex
	history []int32
}

// watchReplicas begins with the number that there is, and goes on until the test
// is over.
func watchReplicas(t *testing.T, namespace, name string) *replicas {
	t.Helper()
	r := &replicas{}
	ctx, cancel := context.WithCancel(context.Background())
	watcher, err := cluster.Client.AppsV1().StatefulSets(namespace).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	var watching sync.WaitGroup
	watching.Go(func() {
		for e := range watcher.ResultChan() {
			r.see(e.Object)
		}
	})
	t.Cleanup(func() {
		cancel()
		watching.Wait()
	})
	return r
}

func (r *replicas) see(object runtime.Object) {
	set, ok := object.(*appsv1.StatefulSet)
	if !ok || set.Spec.Replicas == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if last := len(r.history) - 1; last < 0 || r.history[last] != *set.Spec.Replicas {
		r.history = append(r.history, *set.Spec.Replicas)
	}
}

// await returns when so many pods are asked for.
func (r *replicas) await(t *testing.T, want int32) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d pods to be asked for", want), func(context.Context) error {
		if got := r.seen(); len(got) == 0 || got[len(got)-1] != want {
			return fmt.Errorf("they were %v", got)
		}
		return nil
	})
}

// begin forgets all numbers but the last one.
func (r *replicas) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = r.history[len(r.history)-1:]
}

func (r *replicas) seen() []int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.history)
}
