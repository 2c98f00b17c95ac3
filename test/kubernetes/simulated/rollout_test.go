package simulated

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/monarch-msn/monarch/test/kubernetes/lab"
)

// TestRollout upgrades to another image.
func TestRollout(t *testing.T) {
	t.Log("promise: the migration comes first; then notification and switchboard go pod by pod, the highest number first, each when the one before is ready; " +
		"a new dispatch and a new directory are ready before an old one goes")
	home(t, "rollout")
	const pods = 3
	install(t, "rollout", "--set", fmt.Sprintf("dispatch.replicas=%[1]d,notification.replicas=%[1]d,switchboard.replicas=%[1]d,directory.replicas=2", pods))
	w := watched(t, "rollout")
	begin := time.Now()
	helm(t, "upgrade", "monarch", lab.Chart, "--namespace", "rollout", "--reset-then-reuse-values", "--set", "image.tag=v2")
	ready(t, "rollout")
	t.Logf("figure: all roles rolled out in %.1f s", time.Since(begin).Seconds())

	story := w.told("")
	if first := slices.IndexFunc(story, func(e event) bool { return e.role != "migrate" }); first < 0 || !slices.ContainsFunc(story[:first], func(e event) bool { return e.kind == succeeded }) {
		t.Errorf("want the migration before everything else, got %v", story)
	}
	for _, role := range []string{"notification", "switchboard"} {
		var want []string
		for i := pods - 1; i >= 0; i-- {
			for _, k := range []kind{went, came, gotReady} {
				want = append(want, fmt.Sprintf("%smonarch-%s-%d", k, role, i))
			}
		}
		var got []string
		for _, e := range w.told(role) {
			got = append(got, e.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: want %v, got %v", role, want, got)
		}
		t.Logf("figure: %s: %v", role, got)
	}
	for role, all := range map[string]int{"dispatch": pods, "directory": 2} {
		if got := w.worst(role); got != all {
			t.Errorf("%s: want %d pods ready at every moment, got %d: %v", role, all, got, w.told(role))
		}
		most, now := 0, 0
		for _, e := range w.told(role) {
			switch e.kind {
			case came:
				now++
			case went:
				now--
			}
			most = max(most, now)
		}
		if most != 1 {
			t.Errorf("%s: want one more pod than before, got %d: %v", role, most, w.told(role))
		}
	}
}

// TestScaleByHand has more pods of notification, and fewer again.
func TestScaleByHand(t *testing.T) {
	t.Log("promise: of fewer pods the highest numbers go, all others stay as they are, and the Services of those that went go with them")
	home(t, "scale")
	install(t, "scale", "--set", "notification.replicas=2")
	scale := func(replicas int) *witness {
		t.Helper()
		w := watched(t, "scale")
		helm(t, "upgrade", "monarch", lab.Chart, "--namespace", "scale", "--reset-then-reuse-values", "--set", fmt.Sprintf("notification.replicas=%d", replicas))
		ready(t, "scale")
		return w
	}
	services := func(want ...string) {
		t.Helper()
		eventually(t, "the Services of each pod", func(ctx context.Context) error {
			for i := range 4 {
				name := fmt.Sprintf("monarch-notification-%d", i)
				_, err := cluster.Client.CoreV1().Services("scale").Get(ctx, name, metav1.GetOptions{})
				switch {
				case err != nil && !apierrors.IsNotFound(err):
					return err
				case (err == nil) != slices.Contains(want, name):
					return fmt.Errorf("want %v, got for %s: %w", want, name, errors.Join(err))
				}
			}
			return nil
		})
	}
	services("monarch-notification-0", "monarch-notification-1")
	w := scale(4)
	for _, e := range w.told("") {
		if e.kind == went && e.role != "migrate" {
			t.Errorf("want nobody to go for more pods, got %v", e)
		}
	}
	services("monarch-notification-0", "monarch-notification-1", "monarch-notification-2", "monarch-notification-3")
	w = scale(2)
	eventually(t, "two pods to go", func(context.Context) error {
		var gone []string
		for _, e := range w.told("") {
			if e.role != "migrate" {
				gone = append(gone, e.String())
			}
		}
		slices.Sort(gone)
		if want := []string{"-monarch-notification-2", "-monarch-notification-3"}; !slices.Equal(gone, want) {
			return fmt.Errorf("want %v, got %v", want, gone)
		}
		return nil
	})
	services("monarch-notification-0", "monarch-notification-1")
}
