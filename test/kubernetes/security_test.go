package kubernetes

import (
	"strings"
	"testing"

	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// TestPodSecurity asks what the API server asks in a namespace that enforces
// the level "restricted". Only a port of the node is more than it allows.
func TestPodSecurity(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, file := range valueFiles(t) {
		r := chat(t, file)
		texts, _ := r.manifest(t)
		o := parse(t, texts)
		for _, w := range o.workloads {
			result := policy.AggregateCheckResults(evaluator.EvaluatePod(level, &w.pod.ObjectMeta, &w.pod.Spec))
			want := ""
			if len(w.container().Ports) > 0 && w.container().Ports[0].HostPort != 0 {
				want = "hostPort"
			}
			if got := strings.Join(result.ForbiddenReasons, ", "); got != want {
				t.Errorf("%s, %s: want the fault %q, got %q: %s", file, w.GetName(), want, got, result.ForbiddenDetail())
			}
			// What the level leaves open.
			security := w.container().SecurityContext
			if security.ReadOnlyRootFilesystem == nil || !*security.ReadOnlyRootFilesystem {
				t.Errorf("%s, %s: may write to its image", file, w.GetName())
			}
			if user := *w.pod.Spec.SecurityContext.RunAsUser; user == 0 {
				t.Errorf("%s, %s: runs as root", file, w.GetName())
			}
		}
	}
}
