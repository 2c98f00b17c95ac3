package api

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/monarch-msn/monarch/test/kubernetes/lab"
)

// awaitPods returns when every workload of a namespace has as many pods as it shall
// have, some of them of its last version, and how many these are: Pod Security
// has let them in. No node runs them, so nothing old gives way to them.
func awaitPods(t *testing.T, namespace string) (pods int) {
	t.Helper()
	eventually(t, "the pods of "+namespace, func(ctx context.Context) error {
		pods = 0
		count := func(name string, want, all, updated int32, observed bool) error {
			pods += int(all)
			if !observed || all < want || updated == 0 {
				return fmt.Errorf("%s has %d of %d pods, %d of them of its last version", name, all, want, updated)
			}
			return nil
		}
		deployments, err := cluster.Client.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, d := range deployments.Items {
			if err := count(d.Name, *d.Spec.Replicas, d.Status.Replicas, d.Status.UpdatedReplicas, d.Status.ObservedGeneration == d.Generation); err != nil {
				return err
			}
		}
		sets, err := cluster.Client.AppsV1().StatefulSets(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, s := range sets.Items {
			if err := count(s.Name, *s.Spec.Replicas, s.Status.Replicas, s.Status.UpdatedReplicas, s.Status.ObservedGeneration == s.Generation); err != nil {
				return err
			}
		}
		if pods == 0 {
			return fmt.Errorf("%s has no pods", namespace)
		}
		return nil
	})
	return pods
}

// install is what the chart's README says, with the values of a file and more
// flags.
func install(t *testing.T, namespace, file string, more ...string) error {
	t.Helper()
	_, stderr, err := helm(t, slices.Concat([]string{"install", "monarch", lab.Chart, "--namespace", namespace}, with(file), more)...)
	if err != nil {
		return err
	}
	for _, warning := range surprises(t, file, stderr) {
		t.Errorf("want no such warning, got %s", warning)
	}
	return nil
}

func uninstall(t *testing.T, namespace string) {
	t.Helper()
	if _, _, err := helm(t, "uninstall", "monarch", "--namespace", namespace); err != nil {
		t.Fatal(err)
	}
}

// TestInstall goes through the chart's README and what comes after it.
func TestInstall(t *testing.T) {
	t.Log("promise: Helm installs the chart, whose pods Pod Security restricted lets in; it upgrades, changes how clients reach pods, and rolls back, " +
		"also from pods that never get ready; and it leaves nothing but the Secret and the volume")
	namespace(t, "chat", lab.Restricted)
	secret(t, "chat", "monarch")
	begin := time.Now()
	if err := install(t, "chat", ""); err != nil {
		t.Fatal(err)
	}
	if want, got := 9, awaitPods(t, "chat"); got != want {
		t.Errorf("want %d pods, got %d", want, got)
	}
	t.Logf("figure: installed and all pods admitted in %.1f s", time.Since(begin).Seconds())

	upgrade := func(file string, args ...string) {
		t.Helper()
		args = slices.Concat([]string{"upgrade", "monarch", lab.Chart, "--namespace", "chat"}, with(file), args)
		for _, args := range [][]string{append(slices.Clip(args), "--dry-run=server"), args} {
			_, stderr, err := helm(t, args...)
			if err != nil {
				t.Fatal(err)
			}
			for _, warning := range surprises(t, file, stderr) {
				t.Errorf("helm %v: want no such warning, got %s", args, warning)
			}
		}
		awaitPods(t, "chat")
		same(t, "chat")
	}
	upgrade("", "--reset-then-reuse-values", "--set", "image.tag=v2")
	if images := kubectl(t, "", "get", "statefulset", "--namespace", "chat", "-o", "jsonpath={.items[*].spec.template.spec.containers[*].image}"); images != "monarch:v2 monarch:v2 monarch:v2" {
		t.Errorf("want the image of the upgrade everywhere, got %q", images)
	}
	upgrade("", "--reset-then-reuse-values", "--set", "notification.replicas=4")
	upgrade("", "--reset-then-reuse-values", "--set", "notification.autoscaling.enabled=true")
	for _, file := range []string{"loadbalancer.yaml", "gateway.yaml", "shared.yaml", "nodeport.yaml", ""} {
		upgrade(file, "--reset-values")
	}
	if _, _, err := helm(t, "rollback", "monarch", "1", "--namespace", "chat"); err != nil {
		t.Fatal(err)
	}
	awaitPods(t, "chat")
	same(t, "chat")

	uninstall(t, "chat")
	eventually(t, "everything to be gone", func(context.Context) error {
		left := strings.Fields(kubectl(t, "", "get", "all,secrets,serviceaccounts,roles,rolebindings,poddisruptionbudgets,networkpolicies,gateways,tcproutes,hpa,pvc",
			"--namespace", "chat", "-o", "name"))
		slices.Sort(left)
		if want := []string{"persistentvolumeclaim/data-monarch-directory-0", "secret/monarch", "serviceaccount/default"}; !slices.Equal(left, want) {
			return fmt.Errorf("want %v left, got %v", want, left)
		}
		return nil
	})
}

// same holds that what is in the cluster is what Helm has given it: nothing of it
// was dropped, and nothing of an earlier release has stayed.
func same(t *testing.T, namespace string) {
	t.Helper()
	manifest, _, err := helm(t, "get", "manifest", "monarch", "--namespace", namespace)
	if err != nil {
		t.Fatal(err)
	}
	if difference, err := cluster.Kubectl(t.Context(), manifest, "diff", "--namespace", namespace, "-f", "-"); err != nil {
		t.Errorf("want in the cluster what Helm says, got a difference: %v\n%s", err, difference)
	}
}

// TestInstallIsRefused has what must not be installed, and what is said of it.
func TestInstallIsRefused(t *testing.T) {
	t.Log("promise: values that contradict each other and a Secret that is missing, or not complete, are refused with a sentence, and nothing is made")
	namespace(t, "refused", lab.Restricted)
	refused := func(want string, args ...string) {
		t.Helper()
		_, _, err := helm(t, append([]string{"install", "monarch", lab.Chart, "--namespace", "refused"}, args...)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("install with %v: want %q, got %v", args, want, err)
		}
	}
	refused("there is no Secret monarch in the namespace refused: make it first, as the chart's README says")
	secret(t, "refused", "monarch")
	refused("there is no Secret other in the namespace refused", "--set", "secret=other")
	refused("the Secret monarch in the namespace refused has no key database-url", "--set", "database.kind=postgres")
	refused("directory.replicas is 2, and SQLite has one directory", "--set", "directory.replicas=2")
	refused("exposure.mode is shared, and a shared address leads to any of 2 switchboards", "--set", "exposure.mode=shared")
	refused("exposure.host is localhost, where no client finds the network", "--set", "exposure.host=localhost")
	refused("port 31002 is one of notification and one of switchboard", "--set", "exposure.nodePort.switchboard=31002,notification.replicas=3")
	refused("additional properties 'replica' not allowed", "--set", "notification.replica=3")
	left := kubectl(t, "", "get", "all,serviceaccounts,poddisruptionbudgets,networkpolicies,pvc", "--namespace", "refused", "-o", "name")
	if got := strings.TrimSpace(left); got != "serviceaccount/default" {
		t.Errorf("want nothing made, got %s", got)
	}
}

// TestQuickstart does what stands at the top of the manifest.
func TestQuickstart(t *testing.T) {
	t.Log("promise: the quick start is taken by kubectl apply, without a warning, all its pods are let in, and a second time changes nothing")
	t.Cleanup(func() {
		if _, err := cluster.Kubectl(context.Background(), "", "delete", "--wait=false", "-f", quickstart); err != nil {
			t.Error(err)
		}
	})
	kubectl(t, "", "create", "namespace", "monarch")
	secret(t, "monarch", "monarch")
	_, stderr, err := cluster.Command(t.Context(), "", "kubectl", "apply", "-f", quickstart)
	// The namespace is there already, and not from apply.
	known := "Warning: resource namespaces/monarch is missing the kubectl.kubernetes.io/last-applied-configuration annotation"
	if err != nil || strings.Count(stderr, "Warning: ") != 1 || !strings.Contains(stderr, known) {
		t.Errorf("want no warning but %q, got %v: %s", known, err, stderr)
	}
	if want, got := 9, awaitPods(t, "monarch"); got != want {
		t.Errorf("want %d pods, got %d", want, got)
	}
	if difference, err := cluster.Kubectl(t.Context(), "", "diff", "-f", quickstart); err != nil {
		t.Errorf("want that nothing would change, got %v\n%s", err, difference)
	}
}

// TestHostPorts holds what the chart's notes say of ports of nodes.
func TestHostPorts(t *testing.T) {
	t.Log("promise: pods with ports of their node are let into a namespace that is privileged, and into none that is restricted")
	namespace(t, "hostports", lab.Privileged)
	secret(t, "hostports", "monarch")
	if err := install(t, "hostports", "hostport.yaml"); err == nil {
		awaitPods(t, "hostports")
	} else {
		t.Error(err)
	}
	namespace(t, "hostports-restricted", lab.Restricted)
	secret(t, "hostports-restricted", "monarch")
	if err := install(t, "hostports-restricted", "hostport.yaml"); err != nil {
		t.Error(err)
	}
	for _, role := range []string{"dispatch", "notification", "switchboard"} {
		eventually(t, "a refusal of the pods of "+role, func(ctx context.Context) error {
			events, err := cluster.Client.CoreV1().Events("hostports-restricted").List(ctx, metav1.ListOptions{FieldSelector: "reason=FailedCreate"})
			if err != nil {
				return err
			}
			for _, e := range events.Items {
				if strings.HasPrefix(e.InvolvedObject.Name, "monarch-"+role) && strings.Contains(e.Message, `violates PodSecurity "restricted:latest": hostPort`) {
					return nil
				}
			}
			return fmt.Errorf("there is none among %d events", len(events.Items))
		})
		pods, err := cluster.Client.CoreV1().Pods("hostports-restricted").List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=" + role})
		if err != nil || len(pods.Items) != 0 {
			t.Errorf("want no pods of %s, got %d, %v", role, len(pods.Items), err)
		}
	}
}

// TestEveryInstall does for real what TestEveryRender only tries. No node runs a
// migration here, which an installation waits for.
func TestEveryInstall(t *testing.T) {
	t.Log("promise: with every set of values Helm's installation is taken, all of it, and every pod let in")
	for i, file := range valueFiles(t) {
		t.Run(cmp.Or(file, "own values"), func(t *testing.T) {
			level := lab.Restricted
			if usesHostPorts(t, file) {
				level = lab.Privileged
			}
			name := fmt.Sprintf("install-%d", i)
			namespace(t, name, level)
			for _, s := range []string{"monarch", "chat-secrets"} {
				secret(t, name, s, "database-url")
			}
			if err := install(t, name, file, "--no-hooks"); err != nil {
				t.Fatal(err)
			}
			awaitPods(t, name)
			same(t, name)
			uninstall(t, name)
		})
	}
}
