package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Chart is where Monarch's chart is, seen from a package of tests beside this one.
const Chart = "../../../deploy/helm/monarch"

// Levels of Pod Security.
const (
	Restricted = "restricted"
	Privileged = "privileged"
)

// Namespace makes a namespace that enforces a level of Pod Security and warns of
// what is not restricted, and returns when the controllers have seen it.
func (c *Cluster) Namespace(ctx context.Context, name, level string) error {
	_, err := c.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: name,
		Labels: map[string]string{
			"pod-security.kubernetes.io/enforce": level,
			"pod-security.kubernetes.io/warn":    Restricted,
		},
	}}, metav1.CreateOptions{})
	if err == nil {
		// By it the chart knows that it is in a cluster.
		err = c.await(ctx, "its service account", func(ctx context.Context) error {
			_, err := c.Client.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("make the namespace %s: %w", name, err)
	}
	return nil
}

// Secret makes the Secret that the chart reads in a release called monarch, with
// what the chart's script prepares, and more keys or other values for them.
func (c *Cluster) Secret(ctx context.Context, namespace, name string, more map[string]string) error {
	dir, err := os.MkdirTemp("", "secret-")
	if err != nil {
		return fmt.Errorf("prepare the Secret %s: %w", name, err)
	}
	defer os.RemoveAll(dir)
	script, err := filepath.Abs(filepath.Join(Chart, "prepare"))
	if err != nil {
		return fmt.Errorf("prepare the Secret %s: %w", name, err)
	}
	cmd := exec.CommandContext(ctx, script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("prepare the Secret %s: %w: %s", name, err, out)
	}
	files := filepath.Join(dir, "secret")
	for key, value := range more {
		if err := os.WriteFile(filepath.Join(files, key), []byte(value), 0o600); err != nil {
			return fmt.Errorf("prepare the Secret %s: %w", name, err)
		}
	}
	_, err = c.Kubectl(ctx, "", "create", "secret", "generic", name, "--namespace", namespace, "--from-file", files)
	return err
}
