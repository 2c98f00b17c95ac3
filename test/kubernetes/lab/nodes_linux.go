package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Where nodes are. They and the tests, with the control plane, are wired to one
// switch, and nothing else is.
const (
	// Outside is the address of the tests among the nodes. Nothing leads from
	// there to pods and Services but what nodes offer.
	Outside = "10.99.0.1"

	nodeBits = 24
	// dnsAddress is where each node has a DNS server for its pods.
	dnsAddress = "169.254.20.10"
)

// NodeAddress returns the address of the node with that number, from 1 on.
func NodeAddress(number int) string { return fmt.Sprintf("10.99.0.%d", 10+number) }

// A Node is a machine of a cluster as far as the network goes, and runs pods with
// a kubelet, containerd, runc, kube-proxy and CoreDNS of its own.
type Node struct {
	// Name is that in Kubernetes.
	Name string
	// Address is where other nodes and the tests reach it.
	Address string

	cluster *Cluster
	dir     string
	netns   string
	pods    netip.Prefix
}

// StartNodes starts a cluster with nodes, which run containers of the images in
// the archives. Once it returns, they are ready. The cluster has to be stopped.
//
// The pods of one node reach those of another one by routes. No policy keeps
// them from it: nothing here enforces those.
func StartNodes(ctx context.Context, count int, images ...string) (*Cluster, []*Node, error) {
	if err := prepareMachine(); err != nil {
		return nil, nil, err
	}
	c, err := Start(ctx, Options{Address: Outside})
	if err != nil {
		return nil, nil, err
	}
	nodes, err := c.addNodes(ctx, count, images)
	if err != nil {
		return nil, nil, errors.Join(err, fmt.Errorf("%s", c.Logs()), c.Stop())
	}
	return c, nodes, nil
}

// tunables are what a kubelet sets for the whole machine. It is let write to
// files that take their places.
var tunables = []string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

// prepareMachine makes the switch, and sees to it that nodes write to nothing of
// the machine.
func prepareMachine() error {
	for _, name := range []string{"runc", "nft"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("start nodes: they take the programs runc and nft, which the packages runc and nftables have: %w", err)
		}
	}
	dir, err := os.MkdirTemp("", "machine-")
	if err != nil {
		return fmt.Errorf("start nodes: %w", err)
	}
	// Kubelets and network plugins have paths below /var that cannot be changed.
	upper, work := filepath.Join(dir, "var"), filepath.Join(dir, "work")
	if err := errors.Join(os.Mkdir(upper, 0o755), os.Mkdir(work, 0o755)); err != nil {
		return fmt.Errorf("start nodes: %w", err)
	}
	if err := syscall.Mount("var", "/var", "overlay", 0, "lowerdir=/var,upperdir="+upper+",workdir="+work); err != nil {
		return fmt.Errorf("start nodes: mount an overlay, which the kernel has to know: %w", err)
	}
	for _, name := range tunables {
		own, file := filepath.Join("/proc/sys", name), filepath.Join(dir, strings.ReplaceAll(name, "/", "."))
		value, err := os.ReadFile(own)
		if err == nil {
			err = os.WriteFile(file, value, 0o644)
		}
		if err == nil {
			err = syscall.Mount(file, own, "", syscall.MS_BIND, "")
		}
		if err != nil {
			return fmt.Errorf("start nodes: keep kubelets from setting %s: %w", name, err)
		}
	}
	return ip("link add nodes type bridge", fmt.Sprintf("address add %s/%d dev nodes", Outside, nodeBits), "link set nodes up")
}

func ip(commands ...string) error {
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w %s", strings.Join(commands, "; ip "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (c *Cluster) addNodes(ctx context.Context, count int, images []string) ([]*Node, error) {
	var nodes []*Node
	for i := range count {
		name := fmt.Sprintf("node-%d", i+1)
		n := &Node{Name: name, Address: NodeAddress(i + 1), cluster: c, dir: filepath.Join(c.Dir, name), netns: "/run/netns/" + name}
		if err := n.start(ctx, images); err != nil {
			return nil, fmt.Errorf("start %s: %w", name, err)
		}
		nodes = append(nodes, n)
	}
	if err := c.connect(ctx, nodes); err != nil {
		return nil, err
	}
	return nodes, c.await(ctx, "the nodes", func(ctx context.Context) error {
		for _, n := range nodes {
			node, err := c.Client.CoreV1().Nodes().Get(ctx, n.Name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			for _, condition := range node.Status.Conditions {
				if condition.Type == corev1.NodeReady && condition.Status != corev1.ConditionTrue {
					return fmt.Errorf("%s is not ready: %s", n.Name, condition.Message)
				}
			}
		}
		return nil
	})
}

// connect tells each node where its pods are, once the controllers have decided
// that, and the ways to those of the others.
func (c *Cluster) connect(ctx context.Context, nodes []*Node) error {
	for _, n := range nodes {
		if err := c.await(ctx, "the addresses of the pods of "+n.Name, func(ctx context.Context) error {
			node, err := c.Client.CoreV1().Nodes().Get(ctx, n.Name, metav1.GetOptions{})
			if err == nil {
				n.pods, err = netip.ParsePrefix(node.Spec.PodCIDR)
			}
			return err
		}); err != nil {
			return err
		}
		if err := n.writeCNI(); err != nil {
			return err
		}
	}
	for _, n := range nodes {
		for _, other := range nodes {
			if n == other {
				continue
			}
			if err := n.ip("route", "add", other.pods.String(), "via", other.Address); err != nil {
				return err
			}
		}
	}
	return nil
}

// in runs a program on the node, as far as the network goes.
func (n *Node) in(name string, args ...string) error {
	out, err := exec.Command("nsenter", append([]string{"--net=" + n.netns, name}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (n *Node) ip(args ...string) error { return n.in("ip", args...) }

func (n *Node) start(ctx context.Context, images []string) error {
	if err := os.MkdirAll(n.dir, 0o755); err != nil {
		return err
	}
	if err := n.wire(); err != nil {
		return err
	}
	if err := n.startContainerd(ctx, images); err != nil {
		return err
	}
	if err := n.startDNS(); err != nil {
		return err
	}
	if err := n.startKubelet(); err != nil {
		return err
	}
	return n.startProxy()
}

// wire gives the node a network of its own, with a cable to the switch.
func (n *Node) wire() error {
	return errors.Join(
		ip("netns add "+n.Name,
			fmt.Sprintf("link add %s type veth peer name eth0 netns %s", n.Name, n.Name),
			fmt.Sprintf("link set %s master nodes up", n.Name)),
		n.ip("link", "set", "lo", "up"),
		n.ip("address", "add", fmt.Sprintf("%s/%d", n.Address, nodeBits), "dev", "eth0"),
		n.ip("link", "set", "eth0", "up"),
		n.ip("address", "add", dnsAddress+"/32", "dev", "lo"),
		n.in("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"),
	)
}

// run starts a process of the node.
func (n *Node) run(program string, env []string, args ...string) error {
	_, err := n.cluster.Run(Process{
		Name: n.Name + "-" + program, Path: Program(program), Args: args, Env: env, Netns: n.netns,
	})
	return err
}

// write writes a file of the node and returns its path.
func (n *Node) write(name, text string) (path string, err error) {
	path = filepath.Join(n.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// PauseImage is the tag of an image that the nodes have to be given: its process
// does nothing, and a pod's namespaces last as long.
const PauseImage = "docker.io/library/monarch-test-pause:debian"

// containerdConfig has its own places for everything. Where the machine lets
// nobody lower the score by which the kernel picks whom to kill, containers would
// not start without restrict_oom_score_adj.
const containerdConfig = `version = 3
root = "%[1]s/containerd"
state = "%[1]s/containerd-state"
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs", "io.containerd.differ.v1.erofs",
]
[grpc]
  address = "%[1]s/containerd.sock"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "%[2]s"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["%[3]s"]
    conf_dir = "%[1]s/cni"
`

func (n *Node) startContainerd(ctx context.Context, images []string) error {
	bin := filepath.Dir(Program("containerd"))
	config, err := n.write("containerd.toml", fmt.Sprintf(containerdConfig, n.dir, PauseImage, bin))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(n.dir, "cni"), 0o755); err != nil {
		return err
	}
	path := "PATH=" + bin + ":" + os.Getenv("PATH")
	if err := n.run("containerd", []string{path}, "--config", config, "--log-level", "warn"); err != nil {
		return err
	}
	if err := n.cluster.await(ctx, "containerd", func(ctx context.Context) error {
		return n.ctr(ctx, "version")
	}); err != nil {
		return err
	}
	for _, image := range images {
		if err := n.Import(ctx, image); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) ctr(ctx context.Context, args ...string) error {
	args = append([]string{"--address", filepath.Join(n.dir, "containerd.sock"), "--namespace", "k8s.io"}, args...)
	out, err := exec.CommandContext(ctx, Program("ctr"), args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ctr %s: %w %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Import gives the node the images of an archive.
func (n *Node) Import(ctx context.Context, archive string) error {
	return n.ctr(ctx, "images", "import", archive)
}

// Kill sends SIGKILL to the first process of a container, which is named as in
// the status of its pod.
func (n *Node) Kill(ctx context.Context, containerID string) error {
	return n.ctr(ctx, "tasks", "kill", "--signal", "SIGKILL", strings.TrimPrefix(containerID, "containerd://"))
}

// writeCNI says how pods get their addresses: each has a cable to its node. With
// that the node is complete.
func (n *Node) writeCNI() error {
	_, err := n.write("cni/10-pods.conflist", fmt.Sprintf(`{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [{
    "type": "ptp",
    "ipam": {
      "type": "host-local",
      "dataDir": %q,
      "ranges": [[{"subnet": %q}]],
      "routes": [{"dst": "0.0.0.0/0"}]
    }
  }]
}
`, filepath.Join(n.dir, "addresses"), n.pods))
	return err
}

// corefile is what kubeadm gives CoreDNS, as far as the cluster's own names go.
const corefile = `.:53 {
    bind %s
    errors
    kubernetes cluster.local {
        kubeconfig %s
        pods insecure
        ttl 30
    }
    cache 30
    loadbalance
}
`

func (n *Node) startDNS() error {
	kubeconfig, err := n.cluster.Kubeconfig(n.Name+"-coredns", "coredns", "system:masters")
	if err != nil {
		return err
	}
	config, err := n.write("Corefile", fmt.Sprintf(corefile, dnsAddress, kubeconfig))
	if err != nil {
		return err
	}
	return n.run("coredns", nil, "-conf", config)
}

// kubeletConfig lets a kubelet work where the disk is rather full, memory is
// swapped and control groups are of the first version.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: false}
  x509: {clientCAFile: %[1]s}
authorization: {mode: AlwaysAllow}
tlsCertFile: %[2]s
tlsPrivateKeyFile: %[3]s
containerRuntimeEndpoint: unix://%[4]s/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: %[5]s
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
clusterDomain: cluster.local
clusterDNS: [%[6]s]
resolvConf: ""
evictionHard: {memory.available: 50Mi, nodefs.available: 1%%, imagefs.available: 1%%, nodefs.inodesFree: 1%%, imagefs.inodesFree: 1%%}
imageGCHighThresholdPercent: 100
podLogsDir: %[4]s/logs
volumePluginDir: %[4]s/plugins
`

func (n *Node) startKubelet() error {
	cgroup, err := n.makeCgroup()
	if err != nil {
		return err
	}
	kubeconfig, err := n.cluster.Kubeconfig(n.Name+"-kubelet", "system:node:"+n.Name, "system:nodes")
	if err != nil {
		return err
	}
	certificate, key, err := n.cluster.Certificate(n.Name, n.Name, n.Address)
	if err != nil {
		return err
	}
	config, err := n.write("kubelet.yaml", fmt.Sprintf(kubeletConfig, n.cluster.CA(), certificate, key, n.dir, cgroup, dnsAddress))
	if err != nil {
		return err
	}
	return n.run("kubelet", nil, "--config="+config, "--kubeconfig="+kubeconfig, "--hostname-override="+n.Name,
		"--node-ip="+n.Address, "--root-dir="+filepath.Join(n.dir, "kubelet"))
}

// makeCgroup makes the control group below which those of the pods are.
func (n *Node) makeCgroup() (string, error) {
	cgroup := filepath.Join(Cgroup(), n.Name)
	for _, hierarchy := range hierarchies() {
		path := hierarchy
		for _, part := range strings.Split(strings.TrimPrefix(cgroup, "/"), "/") {
			above := path
			path = filepath.Join(path, part)
			if err := os.MkdirAll(path, 0o755); err != nil {
				return "", fmt.Errorf("make a control group: %w", err)
			}
			if err := hand(above, path); err != nil {
				return "", fmt.Errorf("make the control group %s: %w", path, err)
			}
		}
	}
	return cgroup, nil
}

// hand gives a new control group what the one above has: with the first version
// of them a group has no processors until it is told which, and with the second
// one no controllers.
func hand(above, path string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(above, file))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil && strings.TrimSpace(string(value)) != "" {
			err = os.WriteFile(filepath.Join(path, file), value, 0o644)
		}
		if err != nil {
			return err
		}
	}
	controllers, err := os.ReadFile(filepath.Join(path, "cgroup.controllers"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, c := range strings.Fields(string(controllers)) {
		if err := os.WriteFile(filepath.Join(path, "cgroup.subtree_control"), []byte("+"+c), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) startProxy() error {
	kubeconfig, err := n.cluster.Kubeconfig(n.Name+"-kube-proxy", "system:kube-proxy")
	if err != nil {
		return err
	}
	return n.run("kube-proxy", nil, "--kubeconfig="+kubeconfig, "--hostname-override="+n.Name,
		"--proxy-mode=nftables", "--detect-local-mode=ClusterCIDR", "--cluster-cidr="+PodCIDR,
		// These would be set for the whole machine.
		"--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0")
}
