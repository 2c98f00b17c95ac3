package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// The addresses inside a cluster.
const (
	// PodCIDR is where pods have theirs, each node a /24 of it.
	PodCIDR = "10.200.0.0/16"
	// ServiceCIDR is where Services have theirs.
	ServiceCIDR = "10.201.0.0/16"
	// APIService is the address of the Service kubernetes, the first one there.
	APIService = "10.201.0.1"

	// apiPort is that of the API server, on every address of the tests.
	apiPort = "6443"
)

// Patience is how long anything that must happen may take. Only a failing test
// waits so long.
const Patience = 2 * time.Minute

// Options say what is special about a cluster.
type Options struct {
	// Address is that of the API server, for nodes and pods. Empty: 127.0.0.1,
	// which nodes with a network of their own do not reach.
	Address string
	// Controllers are more flags for the controllers.
	Controllers []string
}

// A Cluster is a control plane with nobody to run pods, but for what [Cluster.Run]
// adds. Its methods may be called from one goroutine at a time, but for Kubectl,
// Helm and Command.
type Cluster struct {
	// Dir has the files of the cluster, and room for more.
	Dir string
	// URL is that of the API server.
	URL string
	// Admin is the path of the kubeconfig of somebody who may do everything.
	Admin string
	// Config is the same for Go, and Client speaks to the API server with it.
	Config *rest.Config
	Client *kubernetes.Clientset

	authority *authority
	processes []*Running // in the order in which they were started
}

// Start returns a cluster whose API server is ready and whose controllers are at
// work. It has to be stopped, also if the tests fail.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if o.Address == "" {
		o.Address = "127.0.0.1"
	}
	dir, err := os.MkdirTemp("", "cluster-")
	if err != nil {
		return nil, fmt.Errorf("start a cluster: %w", err)
	}
	c := &Cluster{Dir: dir, URL: "https://" + net.JoinHostPort(o.Address, apiPort)}
	if err := c.start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("start a cluster: %w", err), c.Stop())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, o Options) (err error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	if c.authority, err = newAuthority(filepath.Join(c.Dir, "certificates")); err != nil {
		return err
	}
	if c.Admin, err = c.Kubeconfig("admin", "admin", "system:masters"); err != nil {
		return err
	}
	if c.Config, err = clientcmd.BuildConfigFromFlags("", c.Admin); err != nil {
		return err
	}
	c.Config.QPS = -1 // as fast as the server is
	if c.Client, err = kubernetes.NewForConfig(c.Config); err != nil {
		return err
	}
	if err := c.startAPIServer(o.Address); err != nil {
		return err
	}
	if err := c.await(ctx, "the API server", c.ready); err != nil {
		return err
	}
	if err := c.startControllers(o.Controllers); err != nil {
		return err
	}
	return c.await(ctx, "the controllers", func(ctx context.Context) error {
		// It is made by a controller, after the namespace.
		_, err := c.Client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

func (c *Cluster) startAPIServer(address string) error {
	path := c.authority.path
	if err := errors.Join(
		c.authority.server("apiserver", address, "127.0.0.1", APIService, "localhost",
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"),
		c.authority.client("apiserver-to-kubelet", "apiserver", "system:masters"),
		c.authority.client("service-accounts", "service-accounts"),
	); err != nil {
		return err
	}
	const etcd, etcdPeers = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
	if _, err := c.Run(Process{Name: "etcd", Path: Program("etcd"), Args: []string{
		"--data-dir=" + filepath.Join(c.Dir, "etcd"),
		"--listen-client-urls=" + etcd, "--advertise-client-urls=" + etcd,
		"--listen-peer-urls=" + etcdPeers, "--initial-advertise-peer-urls=" + etcdPeers,
		"--initial-cluster=default=" + etcdPeers,
		"--unsafe-no-fsync", // nothing of it is kept
	}}); err != nil {
		return err
	}
	args := []string{
		"--bind-address=0.0.0.0", "--secure-port=" + apiPort, "--advertise-address=" + address,
		"--etcd-servers=" + etcd,
		"--tls-cert-file=" + path("apiserver.crt"), "--tls-private-key-file=" + path("apiserver.key"),
		"--client-ca-file=" + path("ca.crt"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + path("service-accounts.crt"),
		"--service-account-signing-key-file=" + path("service-accounts.key"),
		"--service-cluster-ip-range=" + ServiceCIDR,
		"--authorization-mode=Node,RBAC",
		"--allow-privileged",
		"--kubelet-certificate-authority=" + path("ca.crt"),
		"--kubelet-client-certificate=" + path("apiserver-to-kubelet.crt"),
		"--kubelet-client-key=" + path("apiserver-to-kubelet.key"),
		// Nobody resolves the names of nodes.
		"--kubelet-preferred-address-types=InternalIP",
	}
	if ip := net.ParseIP(address); ip != nil && ip.IsLoopback() {
		// The Service kubernetes must not lead to a loopback address.
		args = append(args, "--endpoint-reconciler-type=none")
	}
	_, err := c.Run(Process{Name: "kube-apiserver", Path: Program("kube-apiserver"), Args: args})
	return err
}

func (c *Cluster) startControllers(more []string) error {
	for name, flags := range map[string][]string{
		"kube-controller-manager": append([]string{
			"--use-service-account-credentials",
			"--service-account-private-key-file=" + c.authority.path("service-accounts.key"),
			"--root-ca-file=" + c.CA(),
			"--allocate-node-cidrs", "--cluster-cidr=" + PodCIDR, "--service-cluster-ip-range=" + ServiceCIDR,
		}, more...),
		"kube-scheduler": nil,
	} {
		kubeconfig, err := c.Kubeconfig(name, "system:"+name)
		if err != nil {
			return err
		}
		flags = append(flags, "--kubeconfig="+kubeconfig, "--authentication-kubeconfig="+kubeconfig,
			"--authorization-kubeconfig="+kubeconfig, "--leader-elect=false")
		if _, err := c.Run(Process{Name: name, Path: Program(name), Args: flags}); err != nil {
			return err
		}
	}
	return nil
}

// ready asks the API server once.
func (c *Cluster) ready(ctx context.Context) error {
	client, err := rest.HTTPClientFor(c.Config)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() // it is not read
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

// await is [Await], which a process that ends by itself cuts short.
func (c *Cluster) await(ctx context.Context, what string, condition func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := Await(ctx, func(ctx context.Context) error {
		err := condition(ctx)
		for _, p := range c.processes {
			if p.due {
				continue
			}
			select {
			case <-p.done:
				cancel(fmt.Errorf("%s has ended: %v\n%s", p.Name, p.cmd.ProcessState, p.tail()))
			default:
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("wait for %s: %w", what, err)
	}
	return nil
}

// Await asks again and again until condition holds, for as long as [Patience], and
// returns what it says last if it never does.
func Await(ctx context.Context, condition func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last error
	for begin := time.Now(); ; {
		err := condition(ctx)
		if err == nil {
			return nil
		}
		// That it was interrupted says nothing.
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w after %v: %w", context.Cause(ctx), time.Since(begin).Round(time.Millisecond), last)
		}
	}
}

// CA returns the path of the certificate by which all others are known.
func (c *Cluster) CA() string { return c.authority.path("ca.crt") }

// Certificate makes a certificate for a server that is reached by hosts, names or
// addresses, and returns the paths of its files. name is that of the files.
func (c *Cluster) Certificate(name string, hosts ...string) (certificate, key string, err error) {
	if err := c.authority.server(name, hosts...); err != nil {
		return "", "", err
	}
	return c.authority.path(name + ".crt"), c.authority.path(name + ".key"), nil
}

// Kubeconfig returns the path of a file by which a client is known to the API
// server as user, a member of groups. file names it.
func (c *Cluster) Kubeconfig(file, user string, groups ...string) (path string, err error) {
	return c.authority.kubeconfig(file, c.URL, user, groups...)
}

// Run starts a process that ends with the cluster, before those that were started
// earlier.
func (c *Cluster) Run(p Process) (*Running, error) {
	dir := filepath.Join(c.Dir, "log")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	r, err := start(dir, p)
	if err == nil {
		c.processes = append(c.processes, r)
	}
	return r, err
}

// Kubectl runs kubectl as [Cluster.Command] does.
func (c *Cluster) Kubectl(ctx context.Context, stdin string, args ...string) (stdout string, err error) {
	stdout, _, err = c.Command(ctx, stdin, "kubectl", args...)
	return stdout, err
}

// Helm runs helm as [Cluster.Command] does.
func (c *Cluster) Helm(ctx context.Context, args ...string) (stdout string, err error) {
	stdout, _, err = c.Command(ctx, "", "helm", args...)
	return stdout, err
}

// Command runs a program for people, kubectl or helm, as admin, with what is on its
// standard input, and returns what it wrote. What it wrote on standard error is in
// the error too, if there is one.
func (c *Cluster) Command(ctx context.Context, stdin, name string, args ...string) (stdout, stderr string, err error) {
	cmd := exec.CommandContext(ctx, Program(name), args...)
	// Nothing of the user's own is read or written.
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Admin, "HOME="+c.Dir)
	cmd.Stdin = strings.NewReader(stdin)
	var out, complaint strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return out.String(), complaint.String(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return out.String(), complaint.String(), nil
}

// Stop ends all processes, the last ones first, and waits for each. It is an error
// if one had ended by itself or does not end.
func (c *Cluster) Stop() error {
	var errs []error
	for _, p := range slices.Backward(c.processes) {
		errs = append(errs, p.Stop())
	}
	return errors.Join(errs...)
}

// Logs returns the last lines of every process.
func (c *Cluster) Logs() string {
	var text strings.Builder
	for _, p := range c.processes {
		fmt.Fprintf(&text, "--- %s\n%s\n", p.Name, p.tail())
	}
	return text.String()
}
