package pods

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/monarch-msn/monarch/services/operator/api"
	"github.com/monarch-msn/monarch/test/cluster/crowd"
	"github.com/monarch-msn/monarch/test/kubernetes/lab"
)

// users is how many there are in the crowd.
const users = 60

// longestAbsence is how long anybody may need to be online again, whatever has
// happened. Mostly it is a login; where Redis or PostgreSQL moves to another node
// it is until they are there.
const longestAbsence = time.Minute

// TestMonarchInPods goes through the life of a network: it is installed, people
// come, pods and nodes go, it grows, a new version comes, and it is taken away.
func TestMonarchInPods(t *testing.T) {
	ctx := t.Context()
	n := newNetwork(ctx, t)
	n.enter(ctx, users)
	for _, s := range []struct {
		name string
		run  func(context.Context, *testing.T)
	}{
		{"clients come in from outside", n.comeIn},
		{"a new version is rolled out", n.upgrade},
		{"a notification pod is deleted", n.deleteNotification},
		{"a switchboard pod is deleted", n.deleteSwitchboard},
		{"a pod is killed", n.kill},
		{"directories come and go", n.scaleDirectory},
		{"Redis is restarted", n.restartRedis},
		{"each node is drained", n.drain},
		{"it is taken away", n.uninstall},
	} {
		if !t.Run(s.name, func(t *testing.T) {
			n.t = t
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			s.run(ctx, t)
		}) {
			break // the next one would begin with what this one left
		}
		n.t = t
	}
	n.t = t
	n.report()
}

// row is one of the report.
type row struct {
	what               string
	took               time.Duration
	absence, converged time.Duration
	figures            crowd.Figures
}

// trouble brings something about under the crowd, waits until everybody was told
// the truth, and holds what happened against what may have. What always holds is
// checked by the crowd itself: no wrong view, no acknowledged edit lost.
func (n *network) trouble(ctx context.Context, t *testing.T, what string, do func(), allowed func(crowd.Figures) bool) crowd.Figures {
	t.Helper()
	before := n.users.Figures()
	n.users.Absence()
	live(ctx)
	begun := time.Now()
	do()
	r := row{what: what, took: time.Since(begun)}
	live(ctx)
	n.awaitReady(ctx)
	var err error
	if r.converged, err = n.users.Converge(ctx); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	r.absence, r.figures = n.users.Absence(), n.users.Figures().Since(before)
	n.rows = append(n.rows, r)
	n.checkRestarts(ctx, t)
	if !allowed(r.figures) {
		t.Errorf("%s: %v\n%s\n%s", what, r.figures, n.users.Refusals(), n.users.Losses())
	}
	if r.absence > longestAbsence {
		t.Errorf("%s: somebody was away for %v", what, r.absence)
	}
	t.Logf("figure: %s: %.0f s, away for %.1f s at most, %.1f s to converge; %v", what, r.took.Seconds(), r.absence.Seconds(), r.converged.Seconds(), r.figures)
	return r.figures
}

// checkRestarts makes sure that Kubernetes has restarted nothing but what was
// killed.
func (n *network) checkRestarts(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, role := range roles {
		for _, pod := range n.pods(ctx, role) {
			if s := pod.Status.ContainerStatuses[0]; s.RestartCount > n.killed[pod.UID] {
				t.Errorf("%s was restarted: %+v", pod.Name, s.LastTerminationState.Terminated)
			}
		}
	}
}

// live lets the crowd talk and edit for a while, which it does not while it is
// being compared.
func live(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(5 * time.Second):
	}
}

// gently is what may happen where everything goes in good order: people are sent
// elsewhere, and what one of them was just asking for has no answer.
func gently(f crowd.Figures) bool {
	return f.Refused+f.Lost+f.Failed+f.Broken+f.Missing == 0
}

// report logs the table of docs/kubernetes.md.
func (n *network) report() {
	n.t.Log("figure: | what was done | took | sent elsewhere | connections lost | logins refused | edits failed | conversations broken | acknowledged edits and messages lost | wrong views | away at most | right after |")
	n.t.Log("figure: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, r := range n.rows {
		f := r.figures
		n.t.Logf("figure: | %s | %.0f s | %d | %d | %d | %d | %d | %d | 0 | %.1f s | %.1f s |",
			r.what, r.took.Seconds(), f.Away, f.Lost, f.Refused, f.Failed, f.Broken, f.Missing, r.absence.Seconds(), r.converged.Seconds())
	}
	f := n.users.Figures()
	n.t.Logf("figure: altogether %v", f)
}

// comeIn looks at what has happened while everybody came online.
func (n *network) comeIn(ctx context.Context, t *testing.T) {
	t.Log("promise: clients know the address of dispatch alone, and nothing leads to pods but what nodes offer; " +
		"they are spread over all notification pods, on all nodes, and talk on all switchboards")
	for _, role := range []string{"dispatch", "notification", "switchboard", "directory"} {
		on := map[string]bool{}
		for _, pod := range n.pods(ctx, role) {
			n.hidden(ctx, t, pod)
			on[pod.Spec.NodeName] = true
		}
		if len(on) != len(n.nodes) {
			t.Errorf("want pods of %s on every node, got them on %v", role, slices.Collect(maps.Keys(on)))
		}
	}
	for _, pod := range n.pods(ctx, "notification") {
		address := n.advertised(pod, notificationPort)
		if !slices.ContainsFunc(n.listed(ctx, "notification"), advertises(address)) {
			t.Errorf("%s: want it to advertise %s", pod.Name, address)
		}
		t.Logf("figure: %d users at %s, on %s", len(n.users.At(address)), address, pod.Spec.NodeName)
		if len(n.users.At(address)) == 0 {
			t.Errorf("want somebody at %s, got nobody", address)
		}
	}
	await(ctx, t, func() error {
		for _, pod := range n.pods(ctx, "switchboard") {
			if n.metric(ctx, pod.Name, `monarch_commands_total{.*verb="MSG".*}`) == 0 {
				return fmt.Errorf("nothing was said on %s", pod.Name)
			}
		}
		return nil
	})
}

func advertises(address string) func(api.Node) bool {
	return func(node api.Node) bool { return slices.Contains(node.Addresses, api.Address{Address: address}) }
}

// hidden makes sure that clients do not reach a pod by its own address.
func (n *network) hidden(ctx context.Context, t *testing.T, pod corev1.Pod) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(pod.Status.PodIP, "1863"))
	if err == nil {
		conn.Close()
		t.Errorf("%s is reached from outside by its own address, %s", pod.Name, pod.Status.PodIP)
	}
}

// upgrade does what docs/kubernetes.md says.
func (n *network) upgrade(ctx context.Context, t *testing.T) {
	t.Log("promise: every pod of every role is replaced by one of the new version, and nobody is refused, no connection, " +
		"no conversation and no edit breaks")
	f := n.trouble(ctx, t, "helm upgrade to a new version, all roles", func() {
		n.helm(ctx, "upgrade", "monarch", n.chart, "--namespace", namespace, "--reset-then-reuse-values", "--set", "image.repository=monarch")
		n.awaitReady(ctx)
	}, gently)
	if f.Away == 0 {
		t.Error("nobody was moved")
	}
	for _, role := range roles[:len(roles)-1] { // all but Redis
		for _, pod := range n.pods(ctx, role) {
			if image := pod.Spec.Containers[0].Image; image != "monarch:latest" {
				t.Errorf("%s: want the image monarch:latest, got %s", pod.Name, image)
			}
		}
	}
}

func (n *network) deleteNotification(ctx context.Context, t *testing.T) {
	t.Log("promise: of a notification pod that is deleted all users move, each in its own moment, and nobody is refused")
	pod, on := n.busiest(ctx)
	f := n.trouble(ctx, t, "kubectl delete pod, notification", func() { n.delete(ctx, pod.Name) }, gently)
	if f.Away == 0 {
		t.Errorf("%d users were on %s, and nobody was moved", on, pod.Name)
	}
}

func (n *network) deleteSwitchboard(ctx context.Context, t *testing.T) {
	t.Log("promise: a switchboard pod that is deleted waits for its conversations: none breaks, no message is lost")
	pods := n.pods(ctx, "switchboard")
	n.trouble(ctx, t, "kubectl delete pod, switchboard", func() { n.delete(ctx, pods[0].Name) }, gently)
}

// delete returns when the pod is gone.
func (n *network) delete(ctx context.Context, pod string) {
	n.t.Helper()
	n.kubectl(ctx, "--namespace", namespace, "delete", "pod", pod)
}

// kill ends the process of a pod of each role with SIGKILL. Kubernetes starts it
// again where it was.
func (n *network) kill(ctx context.Context, t *testing.T) {
	t.Log("promise: of what dies, the connections break, and nothing else: no acknowledged edit is lost, and with a " +
		"notification pod, dispatch or directory no message")
	for _, k := range []struct {
		role    string
		allowed func(crowd.Figures) bool
	}{
		// Whom it had is refused at most by what is left of the connection.
		{"notification", func(f crowd.Figures) bool { return f.Lost > 0 && f.Missing == 0 && f.Broken == 0 }},
		{"dispatch", func(f crowd.Figures) bool { return f.Lost+f.Failed+f.Broken+f.Missing == 0 }},
		{"directory", gently},
		// What was acknowledged in its last moment may be missing, as the
		// documentation says.
		{"switchboard", func(f crowd.Figures) bool { return f.Refused+f.Lost+f.Failed == 0 }},
	} {
		pod := n.pods(ctx, k.role)[0]
		if k.role == "notification" {
			pod, _ = n.busiest(ctx)
		}
		n.killed[pod.UID]++
		n.trouble(ctx, t, "kill -9, "+k.role, func() {
			restarts := pod.Status.ContainerStatuses[0].RestartCount
			if err := n.nodeOf(pod).Kill(ctx, pod.Status.ContainerStatuses[0].ContainerID); err != nil {
				t.Fatal(err)
			}
			await(ctx, t, func() error {
				now, err := n.cluster.Client.CoreV1().Pods(namespace).Get(ctx, pod.Name, metav1.GetOptions{})
				if err != nil {
					return err
				}
				if s := now.Status.ContainerStatuses[0]; s.RestartCount <= restarts || !s.Ready {
					return fmt.Errorf("%s: %d restarts, ready: %t", pod.Name, s.RestartCount, s.Ready)
				}
				return nil
			})
		}, k.allowed)
	}
}

func (n *network) scaleDirectory(ctx context.Context, t *testing.T) {
	t.Log("promise: directories come and go, and no client notices")
	for _, replicas := range []string{"3", "2"} {
		n.trouble(ctx, t, "directory.replicas="+replicas, func() {
			n.helm(ctx, "upgrade", "monarch", n.chart, "--namespace", namespace, "--reset-then-reuse-values", "--set", "directory.replicas="+replicas)
			n.awaitReady(ctx)
			await(ctx, t, func() error {
				if got := len(n.pods(ctx, "directory")); fmt.Sprint(got) != replicas {
					return fmt.Errorf("want %s directories, got %d", replicas, got)
				}
				return nil
			})
		}, gently)
	}
}

func (n *network) restartRedis(ctx context.Context, t *testing.T) {
	t.Log("promise: sessions and conversations outlive Redis, which comes back empty, and nobody is shown offline")
	n.trouble(ctx, t, "kubectl delete pod, Redis", func() {
		n.delete(ctx, n.pods(ctx, "redis")[0].Name)
	}, func(f crowd.Figures) bool { return f.Lost+f.Away+f.Failed+f.Missing == 0 })
}

// drain takes each node out of service and back, with all that is on it. Redis and
// PostgreSQL go first, of which there is one each.
func (n *network) drain(ctx context.Context, t *testing.T) {
	t.Log("promise: while Redis and PostgreSQL move, logins and edits may be refused, and no connection breaks; " +
		"while all the rest of a node moves, nobody is refused")
	for _, node := range n.nodes {
		n.kubectl(ctx, "cordon", node.Name)
		n.trouble(ctx, t, "Redis and PostgreSQL leave "+node.Name, func() {
			n.deleteFrom(ctx, node, namespace, "app.kubernetes.io/component=redis")
			n.deleteFrom(ctx, node, "database", "app=postgres")
			n.kubectl(ctx, "--namespace", "database", "rollout", "status", "statefulset/postgres", "--timeout", patience.String())
		}, func(f crowd.Figures) bool { return f.Lost+f.Away+f.Missing == 0 })
		n.trouble(ctx, t, "kubectl drain "+node.Name, func() {
			n.kubectl(ctx, "drain", node.Name, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout", patience.String())
			n.awaitReady(ctx)
		}, gently)
		left, err := n.cluster.Client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node.Name})
		if err != nil {
			t.Fatal(err)
		}
		for _, pod := range left.Items {
			t.Errorf("%s is on the node that was drained", pod.Name)
		}
		n.kubectl(ctx, "uncordon", node.Name)
	}
}

// deleteFrom deletes the pods that a node has of what is selected.
func (n *network) deleteFrom(ctx context.Context, node *lab.Node, namespace, selector string) {
	n.t.Helper()
	n.kubectl(ctx, "--namespace", namespace, "delete", "pods", "--selector", selector, "--field-selector", "spec.nodeName="+node.Name)
}

// uninstall takes the network away, with everybody gone.
func (n *network) uninstall(ctx context.Context, t *testing.T) {
	t.Log("promise: helm uninstall leaves the Secret, and nothing else of Monarch")
	n.users.Stop()
	n.helm(ctx, "uninstall", "monarch", "--namespace", namespace, "--wait", "--timeout", patience.String())
	await(ctx, t, func() error {
		if left := n.kubectl(ctx, "--namespace", namespace, "get", "pods", "--output", "name"); left != "" {
			return errors.New("pods are left: " + left)
		}
		return nil
	})
	const kinds = "deployments,statefulsets,services,jobs,serviceaccounts,roles,rolebindings,poddisruptionbudgets,networkpolicies," +
		"horizontalpodautoscalers,persistentvolumeclaims,secrets"
	left := strings.Fields(n.kubectl(ctx, "--namespace", namespace, "get", kinds, "--output", "name"))
	want := []string{"service/directory-for-the-test", "serviceaccount/default", "secret/monarch"}
	slices.Sort(left)
	slices.Sort(want)
	if !slices.Equal(left, want) {
		t.Errorf("want nothing but %v, got %v", want, left)
	}
	n.kubectl(ctx, "delete", "namespace", namespace, "database")
}

func (n *network) nodeOf(pod corev1.Pod) *lab.Node {
	n.t.Helper()
	for _, node := range n.nodes {
		if node.Name == pod.Spec.NodeName {
			return node
		}
	}
	n.t.Fatalf("%s is on no node", pod.Name)
	return nil
}
