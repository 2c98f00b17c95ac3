package simulated

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/monarch-msn/monarch/test/kubernetes/lab"
)

// cluster is that of all tests of the package.
var (
	cluster *lab.Cluster
	started string // how long it took
)

// nodes are those of the cluster, with their zones.
var nodes = map[string]string{"a1": "a", "a2": "a", "b1": "b", "b2": "b"}

// How long a simulated pod takes to be ready, and to end.
const (
	startTime = 500 * time.Millisecond
	drainTime = time.Second
)

func TestMain(m *testing.M) {
	os.Exit(lab.Main(lab.Simulated, func() int {
		status, err := run(m)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%v\n", err)
			return 1
		}
		return status
	}))
}

func run(m *testing.M) (status int, err error) {
	ctx := context.Background()
	begin := time.Now()
	// The autoscaler looks every second instead of every 15.
	cluster, err = lab.Start(ctx, lab.Options{Controllers: []string{"--horizontal-pod-autoscaler-sync-period=1s"}})
	if err != nil {
		return 0, err
	}
	defer func() {
		if status != 0 || err != nil {
			fmt.Fprintln(os.Stderr, cluster.Logs())
		}
		if stopErr := cluster.Stop(); err == nil {
			err = stopErr
		}
	}()
	if err := simulate(ctx); err != nil {
		return 0, err
	}
	started = fmt.Sprintf("control plane and %d nodes in 2 zones ready in %.1f s", len(nodes), time.Since(begin).Seconds())
	return m.Run(), nil
}

// simulate starts KWOK and returns when it has made all nodes ready.
func simulate(ctx context.Context) error {
	stages, err := stages()
	if err != nil {
		return err
	}
	config := filepath.Join(cluster.Dir, "stages.yaml")
	if err := os.WriteFile(config, stages, 0o600); err != nil {
		return fmt.Errorf("write the stages of nodes and pods: %w", err)
	}
	if _, err := cluster.Run(lab.Process{Name: "kwok", Path: lab.Program("kwok"), Args: []string{
		"--kubeconfig=" + cluster.Admin, "--config=" + config,
		"--manage-all-nodes", "--node-lease-duration-seconds=40", "--cidr=" + lab.PodCIDR,
	}}); err != nil {
		return err
	}
	for name, zone := range nodes {
		if _, err := cluster.Client.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{
			Name: name,
			Labels: map[string]string{
				corev1.LabelTopologyZone: zone,
				corev1.LabelHostname:     name,
				corev1.LabelOSStable:     "linux",
				corev1.LabelArchStable:   "amd64",
			},
		}}, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("make the node %s: %w", name, err)
		}
	}
	_, err = cluster.Kubectl(ctx, "", "wait", "--for=condition=Ready", "--timeout=2m", "node", "--all")
	return err
}

// stages returns what KWOK does with nodes and pods, which is its own quickest,
// with some time for pods to start and to end.
func stages() ([]byte, error) {
	delays := map[string]time.Duration{"pod-ready": startTime, "pod-complete": startTime, "pod-delete": drainTime}
	fail := func(err error) ([]byte, error) { return nil, fmt.Errorf("read the stages of nodes and pods: %w", err) }
	text, err := os.ReadFile(lab.Program("kwok-stages.yaml"))
	if err != nil {
		return fail(err)
	}
	var out bytes.Buffer
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fail(err)
		}
		var stage map[string]any
		if err := yaml.Unmarshal(document, &stage); err != nil {
			return fail(err)
		}
		if stage == nil {
			continue
		}
		name := stage["metadata"].(map[string]any)["name"].(string)
		if delay, ok := delays[name]; ok {
			stage["spec"].(map[string]any)["delay"] = map[string]any{"durationMilliseconds": delay.Milliseconds()}
			delete(delays, name)
		}
		document, err = yaml.Marshal(stage)
		if err != nil {
			return fail(err)
		}
		out.WriteString("---\n")
		out.Write(document)
	}
	if len(delays) > 0 {
		return fail(fmt.Errorf("there are none for %v", delays))
	}
	return out.Bytes(), nil
}

// home makes a namespace for a release, with its Secret. It goes with the test.
func home(t *testing.T, namespace string) {
	t.Helper()
	if err := cluster.Namespace(t.Context(), namespace, lab.Restricted); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Nodes are those of all tests, and so are their ports.
		ctx, cancel := context.WithTimeout(context.Background(), lab.Patience)
		defer cancel()
		if _, err := cluster.Kubectl(ctx, "", "delete", "namespace", namespace); err != nil {
			t.Error(err)
		}
	})
	// No process asks that database for anything.
	if err := cluster.Secret(t.Context(), namespace, "monarch", map[string]string{"database-url": "postgres://nowhere"}); err != nil {
		t.Fatal(err)
	}
}

// install installs the chart for PostgreSQL, with more flags of helm, and returns
// when all pods are ready.
func install(t *testing.T, namespace string, args ...string) {
	t.Helper()
	helm(t, append([]string{"install", "monarch", lab.Chart, "--namespace", namespace, "--set", "database.kind=postgres"}, args...)...)
	ready(t, namespace)
}

// ready returns when every rollout is complete.
func ready(t *testing.T, namespace string) {
	t.Helper()
	for _, kind := range []string{"deployment", "statefulset"} {
		kubectl(t, "rollout", "status", kind, "--namespace", namespace, "--timeout=5m")
	}
}

func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := cluster.Kubectl(t.Context(), "", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func helm(t *testing.T, args ...string) string {
	t.Helper()
	out, err := cluster.Helm(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// eventually returns when condition holds, and fails the test if it does not.
func eventually(t *testing.T, what string, condition func(ctx context.Context) error) {
	t.Helper()
	if err := lab.Await(t.Context(), condition); err != nil {
		t.Fatalf("wait for %s: %v", what, err)
	}
}
