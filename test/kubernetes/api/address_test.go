package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/monarch-msn/monarch/test/kubernetes/lab"
)

// monarch is the server, which make builds.
const monarch = "../../../bin/monarch"

// credentials is where a pod has its service account. In the tests' own machine
// nobody else has anything there.
const credentials = "/var/run/secrets/kubernetes.io/serviceaccount"

// TestAddress runs a switchboard as the chart has it run, in no pod but with the
// service account of one, and gives it an address.
func TestAddress(t *testing.T) {
	t.Log("promise: a switchboard is not ready, and says why, until Kubernetes has an address for it, and then advertises that; " +
		"the account of other pods learns nothing")
	redis, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatalf("the program redis-server is missing, which the package of that name has: %v", err)
	}
	store, err := cluster.Run(lab.Process{Name: "redis", Path: redis, Args: []string{"--port", "6379", "--save", ""}})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, store)
	for name, c := range map[string]struct {
		namespace      string
		file, level    string
		waits, refused string
		address        string
		give           func(ctx context.Context, namespace string) error
	}{
		"of a load balancer": {
			namespace: "address-of-load-balancer",
			file:      "loadbalancer.yaml", level: lab.Restricted,
			waits:   "the load balancer of the Service monarch-switchboard-1 has no address yet",
			refused: `services "monarch-switchboard-1" is forbidden`,
			address: "203.0.113.7:1863",
			give: func(ctx context.Context, namespace string) error {
				services := cluster.Client.CoreV1().Services(namespace)
				service, err := services.Get(ctx, "monarch-switchboard-1", metav1.GetOptions{})
				if err != nil {
					return err
				}
				service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "203.0.113.7"}}
				_, err = services.UpdateStatus(ctx, service, metav1.UpdateOptions{})
				return err
			},
		},
		"of its node": {
			namespace: "address-of-node",
			file:      "external-ip.yaml", level: lab.Privileged,
			waits:   "the node here has no ExternalIP",
			refused: `nodes "here" is forbidden`,
			address: "203.0.113.8:1865",
			give: func(ctx context.Context, _ string) error {
				node, err := cluster.Client.CoreV1().Nodes().Get(ctx, "here", metav1.GetOptions{})
				if err != nil {
					return err
				}
				node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}, {Type: corev1.NodeExternalIP, Address: "203.0.113.8"}}
				_, err = cluster.Client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
				return err
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			namespace(t, c.namespace, c.level)
			secret(t, c.namespace, "monarch")
			if err := install(t, c.namespace, c.file); err != nil {
				t.Fatal(err)
			}
			// It takes no pods: there is nobody to run them.
			if _, err := cluster.Client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{
				ObjectMeta: metav1.ObjectMeta{Name: "here"}, Spec: corev1.NodeSpec{Unschedulable: true},
			}, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			defer kubectl(t, "", "delete", "node", "here")

			p := startSwitchboard(t, c.namespace, "monarch")
			eventually(t, "a refusal", readyzSays(http.StatusServiceUnavailable, c.refused))
			stop(t, p)

			p = startSwitchboard(t, c.namespace, "monarch-address")
			defer stop(t, p)
			eventually(t, "the switchboard to wait", readyzSays(http.StatusServiceUnavailable, c.waits))
			if err := c.give(t.Context(), c.namespace); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the switchboard to be ready", readyzSays(http.StatusOK, "ready"))
			log, err := os.ReadFile(p.Log)
			if err != nil {
				t.Fatal(err)
			}
			if want := `"advertised":"` + c.address + `"`; !strings.Contains(string(log), want) {
				t.Errorf("want %s, got\n%s", want, log)
			}
		})
	}
}

// startSwitchboard starts the second switchboard of the release in a namespace with
// the arguments that it has there, and the token of an account.
func startSwitchboard(t *testing.T, namespace, account string) *lab.Running {
	t.Helper()
	set, err := cluster.Client.AppsV1().StatefulSets(namespace).Get(t.Context(), "monarch-switchboard", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(cluster.CA())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(credentials, 0o700); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{
		"ca.crt": string(ca), "namespace": namespace, "token": kubectl(t, "", "create", "token", account, "--namespace", namespace),
	} {
		if err := os.WriteFile(filepath.Join(credentials, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := cluster.Run(lab.Process{
		Name: "switchboard", Path: monarch, Args: set.Spec.Template.Spec.Containers[0].Args,
		Env: []string{
			"KUBERNETES_SERVICE_HOST=127.0.0.1", "KUBERNETES_SERVICE_PORT=6443",
			"MONARCH_POD_NAME=monarch-switchboard-1", "MONARCH_POD_NODE_NAME=here", "MONARCH_REDIS=redis://127.0.0.1:6379",
		},
	})
	if err != nil {
		t.Fatalf("start a switchboard (make builds it): %v", err)
	}
	return p
}

// readyzSays holds once the switchboard answers on /readyz with a status and a text
// that contains another.
func readyzSays(status int, want string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:9863/readyz", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err == nil && (response.StatusCode != status || !strings.Contains(string(body), want)) {
			err = fmt.Errorf("want %d with %q, got %s with %s", status, want, response.Status, body)
		}
		return err
	}
}

func stop(t *testing.T, p *lab.Running) {
	t.Helper()
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
}
