package pods

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/monarch-msn/monarch/internal/rpc"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/services/operator/api"
	"github.com/monarch-msn/monarch/test/cluster/crowd"
	"github.com/monarch-msn/monarch/test/kubernetes/lab"
	"github.com/monarch-msn/monarch/test/standin"
)

const (
	top       = "../../.." // of the source
	namespace = "chat"
	// patience is how long anything may take on a slow machine before the test
	// gives up; an upgrade drains every pod, one after another.
	patience = 10 * time.Minute

	dispatchPort  = "31863"
	directoryPort = "31999"
)

// network is Monarch on a cluster, as the chart's README has it installed.
type network struct {
	t       *testing.T
	cluster *lab.Cluster
	nodes   []*lab.Node
	chart   string
	secrets string // directory of files
	users   *crowd.Crowd
	rows    []row
	killed  map[types.UID]int32 // how often which pod was
}

// newNetwork starts a cluster and installs Monarch, with everything ready.
func newNetwork(ctx context.Context, t *testing.T) *network {
	t.Helper()
	n := &network{t: t, secrets: filepath.Join(t.TempDir(), "secret"), killed: map[types.UID]int32{}}
	var err error
	if n.chart, err = filepath.Abs(lab.Chart); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	n.cluster, n.nodes, err = lab.StartNodes(ctx, 2, images(ctx, t)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			n.tell()
		}
		if err := n.cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	t.Logf("figure: %d nodes ready after %.0f s", len(n.nodes), time.Since(begun).Seconds())
	n.installPostgres(ctx)
	begun = time.Now()
	n.install(ctx)
	t.Logf("figure: all pods ready %.0f s after helm install", time.Since(begun).Seconds())
	return n
}

// images are the archives of all that runs in pods.
func images(ctx context.Context, t *testing.T) []string {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	redis, err := standin.Redis()
	if err != nil {
		t.Fatal(err)
	}
	postgres, err := standin.Postgres()
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	dir := t.TempDir()
	for i, image := range []standin.Image{redis, postgres, {
		// A pod's namespaces last as long as a process that does nothing.
		Tag: lab.PauseImage, Paths: []string{sleep}, Settings: standin.Settings{Entrypoint: []string{sleep, "infinity"}},
	}} {
		path := filepath.Join(dir, fmt.Sprintf("%d.tar", i))
		if err := image.Save(ctx, path); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	for _, dir := range []string{"bin/images", "bin/images/previous"} {
		path := filepath.Join(top, dir, "monarch-"+runtime.GOARCH+".tar")
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("find the image of Monarch, which make test-kubernetes makes: %v", err)
		}
		paths = append(paths, path)
	}
	return paths
}

// installPostgres starts PostgreSQL, in a namespace that has nothing to do with
// Monarch's.
func (n *network) installPostgres(ctx context.Context) {
	n.t.Helper()
	disk := filepath.Join(n.cluster.Dir, "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		n.t.Fatal(err)
	}
	if err := os.Chown(disk, 999, 999); err != nil {
		n.t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/postgres.yaml")
	if err != nil {
		n.t.Fatal(err)
	}
	n.kubectlWith(ctx, strings.ReplaceAll(string(text), "DISK", disk), "apply", "-f", "-")
	n.kubectl(ctx, "--namespace", "database", "rollout", "status", "statefulset/postgres", "--timeout", patience.String())
}

// install does what the chart's README tells an operator to do.
func (n *network) install(ctx context.Context) {
	n.t.Helper()
	prepare := exec.CommandContext(ctx, filepath.Join(n.chart, "prepare"))
	prepare.Dir = filepath.Dir(n.secrets)
	if out, err := prepare.CombinedOutput(); err != nil {
		n.t.Fatalf("prepare: %v\n%s", err, out)
	}
	url := "postgres://monarch:sesame@postgres.database:5432/monarch?sslmode=disable"
	if err := os.WriteFile(filepath.Join(n.secrets, "database-url"), []byte(url), 0o600); err != nil {
		n.t.Fatal(err)
	}
	n.kubectl(ctx, "create", "namespace", namespace)
	n.kubectl(ctx, "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
	n.kubectl(ctx, "create", "secret", "generic", "monarch", "--namespace", namespace, "--from-file="+n.secrets)
	n.kubectl(ctx, "apply", "-f", "testdata/directory.yaml")
	// The crowd renames itself more often than the servers let others.
	flags, err := json.Marshal(crowd.Args()["notification"])
	if err != nil {
		n.t.Fatal(err)
	}
	n.helm(ctx, "install", "monarch", n.chart, "--namespace", namespace,
		"--values", "testdata/values.yaml", "--set-json", "notification.extraArgs="+string(flags))
	n.awaitReady(ctx)
}

// workloads are what has pods.
var workloads = []string{
	"deployment/monarch-dispatch", "deployment/monarch-directory", "deployment/monarch-operator", "deployment/monarch-redis",
	"statefulset/monarch-notification", "statefulset/monarch-switchboard",
}

// roles are those of pods, Redis the last.
var roles = []string{"dispatch", "notification", "switchboard", "directory", "operator", "redis"}

// awaitReady waits until every pod is the newest of its kind, and ready.
func (n *network) awaitReady(ctx context.Context) {
	n.t.Helper()
	for _, w := range workloads {
		n.kubectl(ctx, "--namespace", namespace, "rollout", "status", w, "--timeout", patience.String())
	}
}

func (n *network) kubectl(ctx context.Context, args ...string) string {
	n.t.Helper()
	return n.kubectlWith(ctx, "", args...)
}

func (n *network) kubectlWith(ctx context.Context, stdin string, args ...string) string {
	n.t.Helper()
	out, err := n.cluster.Kubectl(ctx, stdin, args...)
	if err != nil {
		n.t.Fatal(err)
	}
	return out
}

func (n *network) helm(ctx context.Context, args ...string) {
	n.t.Helper()
	if _, err := n.cluster.Helm(ctx, args...); err != nil {
		n.t.Fatal(err)
	}
}

// routine is what processes and Kubernetes say where nothing is wrong.
var routine = regexp.MustCompile(`(?m)^.*("level":"INFO"| Normal  ).*\n`)

// tell logs what an operator would look at.
func (n *network) tell() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, args := range [][]string{
		{"get", "pods", "--all-namespaces", "-o", "wide"},
		{"get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"},
		{"--namespace", namespace, "logs", "--selector", "app.kubernetes.io/name=monarch", "--prefix", "--tail=100", "--max-log-requests=30"},
	} {
		out, err := n.cluster.Kubectl(ctx, "", args...)
		n.t.Logf("kubectl %s: %v\n%s", strings.Join(args, " "), err, routine.ReplaceAllString(out, ""))
	}
}

// await waits until check returns nil.
func await(ctx context.Context, t *testing.T, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
}

// enter starts the crowd, from outside.
func (n *network) enter(ctx context.Context, count int) {
	n.t.Helper()
	token, err := os.ReadFile(filepath.Join(n.secrets, "accounts-token"))
	if err != nil {
		n.t.Fatal(err)
	}
	conn, err := rpc.Dial(strings.Join(n.onNodes(directoryPort), ","), rpc.DialOptions{Tokens: rpc.Tokens{Accounts: rpc.Fixed(strings.TrimSpace(string(token)))}})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = conn.Close() })
	n.users, err = crowd.Start(ctx, crowd.Options{
		Users: count, Dispatch: n.onNodes(dispatchPort), Accounts: directoryv1.NewAccountsClient(conn), Seed: uint64(os.Getpid()),
	})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(n.users.Stop)
}

// onNodes is a port of all nodes.
func (n *network) onNodes(port string) (all []string) {
	for _, node := range n.nodes {
		all = append(all, net.JoinHostPort(node.Address, port))
	}
	return all
}

// pods returns those of a role that are not about to go, sorted by name.
func (n *network) pods(ctx context.Context, role string) []corev1.Pod {
	n.t.Helper()
	list, err := n.cluster.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=" + role})
	if err != nil {
		n.t.Fatal(err)
	}
	pods := slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
	slices.SortFunc(pods, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return pods
}

// listed asks monarchctl which nodes of a role there are.
func (n *network) listed(ctx context.Context, role string) []api.Node {
	n.t.Helper()
	out := n.kubectl(ctx, "--namespace", namespace, "exec", "deploy/monarch-operator", "--", "monarchctl", "--output", "json", "node", "list")
	var list []api.Node
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		n.t.Fatalf("monarchctl node list: %v\n%s", err, out)
	}
	return slices.DeleteFunc(list, func(node api.Node) bool { return node.Role != role })
}

// advertised is where a pod of a StatefulSet sends clients to it, by its node and
// its number.
func (n *network) advertised(pod corev1.Pod, first int) string {
	n.t.Helper()
	number, err := strconv.Atoi(pod.Name[strings.LastIndex(pod.Name, "-")+1:])
	if err != nil {
		n.t.Fatal(err)
	}
	return net.JoinHostPort(pod.Status.HostIP, strconv.Itoa(first+number))
}

// The first ports of the ranges in the chart's values.
const (
	notificationPort = 31000
	switchboardPort  = 31100
)

// busiest returns the notification pod with the most users, and how many.
func (n *network) busiest(ctx context.Context) (found corev1.Pod, most int) {
	n.t.Helper()
	for _, pod := range n.pods(ctx, "notification") {
		if users := len(n.users.At(n.advertised(pod, notificationPort))); users > most {
			found, most = pod, users
		}
	}
	if most == 0 {
		n.t.Fatal("nobody is on any notification pod")
	}
	return found, most
}

// metric adds up the values of a pod's metric whose line begins with a pattern,
// by the way that docs/kubernetes.md gives an operator.
func (n *network) metric(ctx context.Context, pod, pattern string) (sum float64) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	forward := exec.CommandContext(ctx, lab.Program("kubectl"), "--kubeconfig", n.cluster.Admin, "--namespace", namespace,
		"port-forward", "pod/"+pod, ":9863")
	out, err := forward.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := forward.Start(); err != nil {
		n.t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = forward.Wait() // it was killed
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		n.t.Fatalf("kubectl port-forward: %v", err)
	}
	address := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		n.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		n.t.Fatal(err)
	}
	defer response.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(response.Body); err != nil {
		n.t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^`+pattern+` (\S+)`).FindAllSubmatch(body.Bytes(), -1) {
		value, err := strconv.ParseFloat(string(m[len(m)-1]), 64)
		if err != nil {
			n.t.Fatal(err)
		}
		sum += value
	}
	return sum
}
