package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/monarch-msn/monarch/internal/node"
)

// locate fills in the templates of points that are asked of Kubernetes, if there
// are any. It waits for an answer: the address of a load balancer comes some time
// after its Service.
func (f clientFlags) locate(ctx context.Context, p *node.Process, start startFlags, points []endpoint, open func() (*kubernetes, error)) error {
	pod := f.Pod.withDefaults()
	for _, template := range []string{loadBalancer, externalIP} {
		if !slices.ContainsFunc(points, func(e endpoint) bool { return strings.Contains(e.advertise, template) }) {
			continue
		}
		k, err := open()
		if err != nil {
			return fmt.Errorf("--advertise %s: %w", template, err)
		}
		var host string
		err = await(ctx, waits(p), start.StartTimeout, func(error) bool { return true }, func(ctx context.Context) (err error) {
			if template == loadBalancer {
				host, err = k.loadBalancer(ctx, pod.Service)
			} else {
				host, err = k.externalIP(ctx, pod.NodeName)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("--advertise %s: %w", template, err)
		}
		for i, point := range points {
			if !strings.Contains(point.advertise, template) {
				continue
			}
			points[i].advertise = strings.ReplaceAll(point.advertise, template, bracketed(host))
			if err := checkAddress(asked.Replace(points[i].advertise), false); err != nil {
				return fmt.Errorf("--advertise %s, with %s of Kubernetes: %w", point.advertise, host, err)
			}
		}
	}
	return nil
}

// inPod is the Kubernetes that this process runs on.
func inPod() (*kubernetes, error) { return openKubernetes(os.Getenv, serviceAccount) }

// serviceAccount is where a pod has its credentials.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount"

// Bounds of a question to the API server.
const (
	askTimeout = 5 * time.Second
	maxObject  = 4 << 20 // a node has the names of all its images
)

// kubernetes asks the API server for the two things that a pod may have to know
// and is not told: each is one GET of one object, for which its service account
// needs the right "get" and no other.
type kubernetes struct {
	server string // "https://host:port"
	dir    string // of the credentials
	client *http.Client
}

// openKubernetes finds the API server as every pod does: by the environment and
// the files of the service account in dir.
func openKubernetes(getenv func(string) string, dir string) (*kubernetes, error) {
	host, port := getenv("KUBERNETES_SERVICE_HOST"), getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, errors.New("find Kubernetes: this is no pod (KUBERNETES_SERVICE_HOST is not set)")
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("find Kubernetes: %w (the pod needs automountServiceAccountToken)", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("find Kubernetes: there is no certificate in %s", filepath.Join(dir, "ca.crt"))
	}
	return &kubernetes{
		server: "https://" + net.JoinHostPort(host, port),
		dir:    dir,
		client: &http.Client{
			Timeout: askTimeout,
			// A connection of its own for each question, and no proxy: there
			// are a few at the start, and then none.
			Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// loadBalancer returns the address of the load balancer of a Service in the
// pod's own namespace. It is an error while there is none yet.
func (k *kubernetes) loadBalancer(ctx context.Context, service string) (string, error) {
	namespace, err := os.ReadFile(filepath.Join(k.dir, "namespace"))
	if err != nil {
		return "", fmt.Errorf("find the pod's namespace: %w", err)
	}
	var object struct {
		Status struct {
			LoadBalancer struct {
				Ingress []struct{ IP, Hostname string }
			}
		}
	}
	if err := k.get(ctx, &object, "namespaces", strings.TrimSpace(string(namespace)), "services", service); err != nil {
		return "", err
	}
	for _, ingress := range object.Status.LoadBalancer.Ingress {
		switch {
		case ingress.IP != "":
			return ingress.IP, nil
		case ingress.Hostname != "":
			return ingress.Hostname, nil
		}
	}
	return "", fmt.Errorf("the load balancer of the Service %s has no address yet", service)
}

// externalIP returns the address at which the world reaches a node.
func (k *kubernetes) externalIP(ctx context.Context, node string) (string, error) {
	var object struct {
		Status struct {
			Addresses []struct{ Type, Address string }
		}
	}
	if err := k.get(ctx, &object, "nodes", node); err != nil {
		return "", err
	}
	for _, a := range object.Status.Addresses {
		if a.Type == "ExternalIP" {
			return a.Address, nil
		}
	}
	return "", fmt.Errorf("the node %s has no ExternalIP", node)
}

// get reads one object of the core group.
func (k *kubernetes) get(ctx context.Context, object any, path ...string) error {
	what := strings.Join(path[len(path)-2:], "/")
	// It is replaced by another one before it ends.
	token, err := os.ReadFile(filepath.Join(k.dir, "token"))
	if err != nil {
		return fmt.Errorf("read the token for Kubernetes: %w", err)
	}
	for i := range path {
		path[i] = url.PathEscape(path[i])
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, k.server+"/api/v1/"+strings.Join(path, "/"), nil)
	if err != nil {
		return fmt.Errorf("ask Kubernetes for %s: %w", what, err)
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	request.Header.Set("Accept", "application/json")
	response, err := k.client.Do(request)
	if err != nil {
		return fmt.Errorf("ask Kubernetes for %s: %w", what, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxObject))
	if err != nil {
		return fmt.Errorf("ask Kubernetes for %s: %w", what, err)
	}
	if response.StatusCode != http.StatusOK {
		var status struct{ Message string }
		if json.Unmarshal(body, &status) != nil || status.Message == "" {
			status.Message = "no reason is given"
		}
		return fmt.Errorf("ask Kubernetes for %s: %s: %s", what, response.Status, status.Message)
	}
	if err := json.Unmarshal(body, object); err != nil {
		return fmt.Errorf("ask Kubernetes for %s: %w", what, err)
	}
	return nil
}
