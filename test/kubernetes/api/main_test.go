package api

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/monarch-msn/monarch/test/kubernetes/lab"
)

const (
	quickstart = "../../../deploy/kubernetes/quickstart.yaml"
	valuesDir  = "../testdata"
)

// cluster is that of all tests of the package.
var (
	cluster *lab.Cluster
	started string // how long it took
)

func TestMain(m *testing.M) {
	os.Exit(lab.Main(lab.ControlPlane, func() int {
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
	cluster, err = lab.Start(ctx, lab.Options{})
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
	ready := time.Since(begin)
	for _, name := range []string{"gateway-api.yaml", "prometheus-operator.yaml"} {
		if _, err := cluster.Kubectl(ctx, "", "apply", "--server-side", "-f", lab.Program(name)); err != nil {
			return 0, err
		}
	}
	if _, err := cluster.Kubectl(ctx, "", "wait", "--for=condition=Established", "--timeout=1m", "crd", "--all"); err != nil {
		return 0, err
	}
	started = fmt.Sprintf("control plane ready in %.1f s, with the definitions of others in %.1f s", ready.Seconds(), time.Since(begin).Seconds())
	return m.Run(), nil
}

// valueFiles are the files with values, and "" for the chart's own.
func valueFiles(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(valuesDir, "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("find files with values: %v, %v", paths, err)
	}
	files := []string{""}
	for _, path := range paths {
		files = append(files, filepath.Base(path))
	}
	return files
}

// with returns the flag of helm that takes the values of a file.
func with(file string) []string {
	if file == "" {
		return nil
	}
	return []string{"--values", filepath.Join(valuesDir, file)}
}

// usesHostPorts says whether pods take ports of their node, with the values of a
// file.
func usesHostPorts(t *testing.T, file string) bool {
	t.Helper()
	return strings.Contains(template(t, "chat", file), "hostPort:")
}

// surprises are the warnings on standard error that the values of a file do not
// explain: ports of nodes, and an old version of routes.
func surprises(t *testing.T, file, stderr string) (warnings []string) {
	t.Helper()
	manifest := template(t, "chat", file)
	for line := range strings.Lines(stderr) {
		_, warning, ok := strings.Cut(strings.ReplaceAll(line, `\"`, `"`), "Warning: ")
		switch {
		case !ok:
		case strings.Contains(manifest, "hostPort:") && strings.HasPrefix(warning, `would violate PodSecurity "restricted:latest": hostPort (container "`) && strings.Count(warning, "(") == 1:
		case strings.Contains(manifest, "/v1alpha2\n") && strings.HasPrefix(warning, "The v1alpha2 version of TCPRoute has been deprecated"):
		default:
			warnings = append(warnings, strings.TrimSpace(warning))
		}
	}
	return warnings
}

// namespace makes one that goes with the test.
func namespace(t *testing.T, name, level string) {
	t.Helper()
	if err := cluster.Namespace(t.Context(), name, level); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Client.CoreV1().Namespaces().Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("remove the namespace %s: %v", name, err)
		}
	})
}

// secret makes the chart's Secret, with more keys.
func secret(t *testing.T, namespace, name string, more ...string) {
	t.Helper()
	keys := map[string]string{}
	for _, key := range more {
		keys[key] = "x"
	}
	if err := cluster.Secret(t.Context(), namespace, name, keys); err != nil {
		t.Fatal(err)
	}
}

// eventually returns when condition holds, and fails the test if it does not.
func eventually(t *testing.T, what string, condition func(ctx context.Context) error) {
	t.Helper()
	if err := lab.Await(t.Context(), condition); err != nil {
		t.Fatalf("wait for %s: %v", what, err)
	}
}

// kubectl runs it, and fails the test if it fails.
func kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := cluster.Kubectl(t.Context(), stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// helm runs it, and returns what it said besides its output.
func helm(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	return cluster.Command(t.Context(), "", "helm", args...)
}

// template renders the chart with the values of a file.
func template(t *testing.T, namespace, file string) string {
	t.Helper()
	out, _, err := helm(t, append([]string{"template", "monarch", lab.Chart, "--namespace", namespace}, with(file)...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
