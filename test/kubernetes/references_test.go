package kubernetes

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
)

// TestObjects renders the chart with each file of values and checks every object
// by itself and against the others.
func TestObjects(t *testing.T) {
	for _, file := range valueFiles(t) {
		t.Run(file, func(t *testing.T) {
			r := chat(t, file)
			texts, _ := r.manifest(t)
			o := parse(t, texts)
			o.check(t, r.namespace)
			checkSecrets(t, o, secretOf(t, r))
		})
	}
}

// TestLongestName has a release name that leaves the least room.
func TestLongestName(t *testing.T) {
	for _, name := range []string{strings.Repeat("n", 53), "monarch-" + strings.Repeat("n", 45)} {
		r := chat(t, "production.yaml")
		r.name = name
		texts, _ := r.manifest(t)
		parse(t, texts).check(t, r.namespace)
	}
}

// check is everything that has to hold for any set of objects.
func (o *objects) check(t *testing.T, namespace string) {
	t.Helper()
	o.checkNames(t, namespace)
	for _, w := range o.workloads {
		o.checkPod(t, w)
		o.checkArgs(t, w)
	}
	o.checkSelectors(t)
	o.checkAddresses(t)
	o.checkRights(t)
}

func (o *objects) checkNames(t *testing.T, namespace string) {
	t.Helper()
	seen := map[string]bool{}
	for _, x := range o.all {
		id := o.kinds[x] + " " + x.GetName()
		if seen[id] {
			t.Errorf("%s is there twice", id)
		}
		seen[id] = true
		if faults := validation.IsDNS1035Label(x.GetName()); len(faults) > 0 && !o.clusterWide[x] {
			t.Errorf("%s: %s", id, faults)
		}
		if want := namespace; x.GetNamespace() != want && !o.clusterWide[x] {
			t.Errorf("%s: namespace: want %s, got %q", id, want, x.GetNamespace())
		}
		for key, value := range x.GetLabels() {
			if faults := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...); len(faults) > 0 {
				t.Errorf("%s: label %s=%s: %s", id, key, value, faults)
			}
		}
	}
	for _, set := range o.statefulSets {
		// Its pods have the label controller-revision-hash: the name, a dash and
		// ten characters.
		if n := len(set.Name) + 11; n > validation.LabelValueMaxLength {
			t.Errorf("StatefulSet %s: its pods would have a label of %d characters", set.Name, n)
		}
		// In the other order a pod that does not get ready, as with an image that
		// is not there, is not replaced by one that would.
		if set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement {
			t.Errorf("StatefulSet %s: a pod that does not get ready would never be replaced", set.Name)
		}
		service, ok := o.services[set.Spec.ServiceName]
		if !ok || !selects(service.Spec.Selector, set.Spec.Template.Labels) {
			t.Errorf("StatefulSet %s: its Service %s does not select its pods", set.Name, set.Spec.ServiceName)
		}
	}
}

// selects tells whether a selector finds pods with labels.
func selects(selector map[string]string, found map[string]string) bool {
	return labels.SelectorFromSet(selector).Matches(labels.Set(found))
}

// checkPod is about what one pod says of itself.
func (o *objects) checkPod(t *testing.T, w workload) {
	t.Helper()
	spec := w.pod.Spec
	fault := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s %s: %s", w.kind, w.GetName(), fmt.Sprintf(format, args...))
	}
	selector, err := metav1.LabelSelectorAsSelector(w.selector)
	if err != nil || !selector.Matches(labels.Set(w.pod.Labels)) {
		fault("its selector does not match its pods (%v)", err)
	}
	if spec.EnableServiceLinks == nil || *spec.EnableServiceLinks {
		fault("has service links, whose variables look like Monarch's own")
	}
	if len(spec.Containers) != 1 {
		fault("has %d containers", len(spec.Containers))
		return
	}
	c := w.container()
	ports := map[string]int32{}
	for _, p := range c.Ports {
		if faults := validation.IsValidPortName(p.Name); len(faults) > 0 {
			fault("port %s: %s", p.Name, faults)
		}
		ports[p.Name] = p.ContainerPort
	}
	spreads := func(over string, selects *metav1.LabelSelector) {
		selector, err := metav1.LabelSelectorAsSelector(selects)
		if err != nil || !selector.Matches(labels.Set(w.pod.Labels)) {
			fault("spreads over %s what are not its own pods (%v)", over, err)
		}
	}
	for _, s := range spec.TopologySpreadConstraints {
		spreads(s.TopologyKey, s.LabelSelector)
		// The scheduler leaves nodes out that lack one of the keys, and many
		// clusters have no zones.
		if s.TopologyKey != corev1.LabelHostname {
			fault("spreads over %s by a constraint, which nodes without it undo", s.TopologyKey)
		}
	}
	if spec.Affinity != nil && spec.Affinity.PodAntiAffinity != nil {
		for _, term := range spec.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
			spreads(term.PodAffinityTerm.TopologyKey, term.PodAffinityTerm.LabelSelector)
		}
	}
	if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
		fault("lacks a request of memory or processor, or a limit of memory")
	}
	for _, m := range c.VolumeMounts {
		volume := slices.ContainsFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		claim := slices.ContainsFunc(w.claims, func(v corev1.PersistentVolumeClaim) bool { return v.Name == m.Name })
		if !volume && !claim {
			fault("mounts %s, which is no volume", m.Name)
		}
		if m.SubPath != "" || m.SubPathExpr != "" {
			fault("mounts a part of %s, by which no change of a Secret arrives", m.Name)
		}
	}
	if _, ok := o.accounts[spec.ServiceAccountName]; spec.ServiceAccountName != "" && !ok {
		fault("has the service account %s, which does not exist", spec.ServiceAccountName)
	}
	if w.kind == "Job" {
		return
	}
	for name, p := range map[string]*corev1.Probe{"readiness": c.ReadinessProbe, "liveness": c.LivenessProbe} {
		switch {
		case p == nil:
			fault("has no %s probe", name)
		case p.HTTPGet != nil:
			if _, ok := ports[p.HTTPGet.Port.StrVal]; !ok {
				fault("%s probe: there is no port %s", name, p.HTTPGet.Port.StrVal)
			}
			want := map[string]string{"readiness": "/readyz", "liveness": "/healthz"}[name]
			if p.HTTPGet.Path != want {
				fault("%s probe: want %s, got %s", name, want, p.HTTPGet.Path)
			}
		default:
			if _, ok := ports[p.TCPSocket.Port.StrVal]; !ok {
				fault("%s probe: there is no port %s", name, p.TCPSocket.Port.StrVal)
			}
		}
	}
}

// args are the flags of a container, by name, and its environment, by the flags
// that the variables stand for.
func args(c corev1.Container) map[string]string {
	all := map[string]string{}
	for _, e := range c.Env {
		if name, ok := strings.CutPrefix(e.Name, "MONARCH_"); ok {
			all["env "+name] = e.Value
		}
	}
	for _, a := range c.Args {
		if flag, ok := strings.CutPrefix(a, "--"); ok {
			name, value, _ := strings.Cut(flag, "=")
			all[name] = value
		}
	}
	return all
}

// checkArgs is about the command line of Monarch.
func (o *objects) checkArgs(t *testing.T, w workload) {
	t.Helper()
	c := w.container()
	fault := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s %s: %s", w.kind, w.GetName(), fmt.Sprintf(format, args...))
	}
	if w.role() == "redis" {
		if c.Args[0] != "/etc/monarch/redis.conf" {
			fault("does not read its password")
		}
		return
	}
	if c.Args[0] != w.role() {
		fault("runs %q, and has the label of %s", c.Args[0], w.role())
	}
	known := flags(t, w.role())
	args := args(c)
	for _, a := range c.Args[1:] {
		name, value, ok := strings.Cut(strings.TrimPrefix(a, "--"), "=")
		if !strings.HasPrefix(a, "--") || !ok || value == "" {
			fault("%q is no flag with a value", a)
		}
		if !slices.Contains(known, name) {
			fault("monarch %s has no flag --%s", w.role(), name)
		}
	}
	for _, e := range c.Env {
		name, ours := strings.CutPrefix(e.Name, "MONARCH_")
		if ours && !slices.ContainsFunc(known, func(flag string) bool {
			variable := strings.NewReplacer(".", "_", "-", "_").Replace(strings.ToUpper(flag))
			return name == variable || name == variable+"_FILE"
		}) {
			fault("no flag of monarch %s is read from %s", w.role(), e.Name)
		}
		if e.Name == "GOMEMLIMIT" {
			limit, _ := strconv.ParseInt(e.Value, 10, 64)
			if want := c.Resources.Limits.Memory().Value() * 9 / 10; limit != want {
				fault("GOMEMLIMIT: want %d, got %s", want, e.Value)
			}
		}
	}
	// Every file is a key of the Secret that is mounted, or on a volume.
	files := map[string]bool{}
	for _, v := range w.pod.Spec.Volumes {
		if v.Secret != nil {
			for _, item := range v.Secret.Items {
				files["/etc/monarch/"+item.Path] = false
			}
		}
	}
	for name, value := range args {
		if u, err := url.Parse(value); err == nil && u.Scheme == "sqlite" {
			value = u.Path
		}
		if _, ok := files[value]; ok {
			files[value] = true
			continue
		}
		switch {
		case strings.HasPrefix(value, "/etc/monarch/"):
			fault("%s names the file %s, which is not mounted", name, value)
		case strings.HasPrefix(value, "/data/"):
			if !slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == "/data" }) {
				fault("%s names the file %s, and no volume is mounted at /data", name, value)
			}
		case strings.HasPrefix(value, "/"):
			fault("%s names the file %s, which nothing brings", name, value)
		}
	}
	for file, used := range files {
		if !used {
			fault("has the secret %s, which it does not read", file)
		}
	}
	if address := args["directory"]; address != "" {
		name, port, _ := strings.Cut(address, ":")
		service, ok := o.services[name]
		if !ok || strconv.Itoa(int(service.Spec.Ports[0].Port)) != port || !selects(service.Spec.Selector, o.workload(t, "directory").pod.Labels) {
			fault("--directory=%s leads to no directory", address)
		}
	}
	if w.kind == "Job" {
		return
	}
	// The port of each listener is one of the container's.
	for flag, port := range map[string]int{"listen": int(c.Ports[0].ContainerPort), "telemetry.listen": int(c.Ports[1].ContainerPort)} {
		if want := ":" + strconv.Itoa(port); args[flag] != want {
			fault("--%s: want %s, got %s", flag, want, args[flag])
		}
	}
	// Who ends is given the time that it takes itself.
	drain, err := time.ParseDuration(args["drain.timeout"])
	if err != nil {
		fault("--drain.timeout: %v", err)
	}
	if s, ok := args[w.role()+".drain-time"]; ok {
		// Two seconds until nobody is sent there any more.
		if own, err := time.ParseDuration(s); err != nil || drain < own+2*time.Second {
			fault("--drain.timeout=%s ends a drain of %s (%v)", drain, s, err)
		}
	}
	grace := time.Duration(*w.pod.Spec.TerminationGracePeriodSeconds) * time.Second
	if c.Lifecycle != nil {
		grace -= time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
	}
	if grace < drain+10*time.Second {
		fault("is killed %s after SIGTERM, and may take %s and 10 seconds", grace, drain)
	}
}

// flags are those of a role, as the command itself lists them.
func flags(t *testing.T, role string) []string {
	t.Helper()
	list, err := helpOf(role)
	if err != nil {
		t.Fatalf("ask bin/monarch for the flags of %s (make check-charts builds it): %v", role, err)
	}
	return list
}

// helpOf remembers what it was told.
var helpOf = func() func(role string) ([]string, error) {
	var mu sync.Mutex
	known := map[string][]string{}
	pattern := regexp.MustCompile(`(?m)^\s+(?:-\w, )?--([a-z][a-z0-9.-]*)`)
	return func(role string) ([]string, error) {
		mu.Lock()
		defer mu.Unlock()
		if list, ok := known[role]; ok {
			return list, nil
		}
		help, err := exec.Command("../../bin/monarch", role, "--help").Output()
		if err != nil {
			return nil, err
		}
		for _, m := range pattern.FindAllStringSubmatch(string(help), -1) {
			known[role] = append(known[role], m[1])
		}
		return known[role], nil
	}
}()

// checkSelectors is about objects that name pods by labels and ports by name.
func (o *objects) checkSelectors(t *testing.T) {
	t.Helper()
	// found are the pods of a selector, and an error is none at all.
	found := func(who string, selector *metav1.LabelSelector) (pods []workload) {
		t.Helper()
		s, err := metav1.LabelSelectorAsSelector(selector)
		if err != nil {
			t.Errorf("%s: %v", who, err)
			return nil
		}
		for _, w := range o.workloads {
			if s.Matches(labels.Set(w.pod.Labels)) {
				pods = append(pods, w)
			}
		}
		if len(pods) == 0 {
			t.Errorf("%s selects no pod", who)
		}
		return pods
	}
	hasPort := func(who string, pods []workload, port intstr.IntOrString) {
		t.Helper()
		for _, w := range pods {
			if slices.ContainsFunc(w.container().Ports, func(p corev1.ContainerPort) bool { return p.Name == port.StrVal }) {
				return
			}
		}
		t.Errorf("%s: none of its pods has the port %s", who, port.String())
	}
	for name, s := range o.services {
		selector := map[string]string{}
		for key, value := range s.Spec.Selector {
			if key == "statefulset.kubernetes.io/pod-name" {
				if value != name {
					t.Errorf("Service %s is for the pod %s", name, value)
				}
				continue
			}
			selector[key] = value
		}
		pods := found("Service "+name, &metav1.LabelSelector{MatchLabels: selector})
		for _, p := range s.Spec.Ports {
			hasPort("Service "+name, pods, p.TargetPort)
		}
	}
	for _, b := range o.budgets {
		if pods := found("PodDisruptionBudget "+b.Name, b.Spec.Selector); len(pods) > 1 {
			t.Errorf("PodDisruptionBudget %s counts pods of %d workloads", b.Name, len(pods))
		}
		if b.Spec.MinAvailable != nil || b.Spec.MaxUnavailable.IntValue() != 1 {
			t.Errorf("PodDisruptionBudget %s may forbid to evict any pod", b.Name)
		}
	}
	for _, p := range o.policies {
		pods := found("NetworkPolicy "+p.Name, &p.Spec.PodSelector)
		for _, rule := range p.Spec.Ingress {
			for _, port := range rule.Ports {
				hasPort("NetworkPolicy "+p.Name, pods, *port.Port)
			}
			for _, peer := range rule.From {
				if peer.NamespaceSelector == nil && peer.PodSelector != nil && peer.PodSelector.MatchLabels["app.kubernetes.io/name"] == "monarch" {
					if peer.PodSelector.MatchLabels["app.kubernetes.io/component"] == "operator" && !o.has("operator") {
						continue
					}
					found("NetworkPolicy "+p.Name+", from", peer.PodSelector)
				}
			}
		}
	}
	for _, m := range o.podMonitors {
		pods := found("PodMonitor "+m.Name, &m.Spec.Selector)
		for _, e := range m.Spec.PodMetricsEndpoints {
			hasPort("PodMonitor "+m.Name, pods, intstr.FromString(*e.Port))
		}
	}
	for _, h := range o.scalers {
		if !slices.ContainsFunc(o.workloads, func(w workload) bool {
			return w.kind == h.Spec.ScaleTargetRef.Kind && w.GetName() == h.Spec.ScaleTargetRef.Name && w.replicas == 0
		}) {
			t.Errorf("HorizontalPodAutoscaler %s scales nothing, or what has a number of its own", h.Name)
		}
	}
}

func (o *objects) has(role string) bool {
	return slices.ContainsFunc(o.workloads, func(w workload) bool { return w.role() == role })
}

// checkAddresses holds what each pod advertises against the object by which
// clients reach it.
func (o *objects) checkAddresses(t *testing.T) {
	t.Helper()
	taken := map[int]string{}
	take := func(port int32, who string) {
		t.Helper()
		if other, twice := taken[int(port)]; twice {
			t.Errorf("port %d is that of %s and of %s", port, other, who)
		}
		taken[int(port)] = who
	}
	for _, s := range o.services {
		for _, p := range s.Spec.Ports {
			if p.NodePort != 0 {
				take(p.NodePort, s.Name)
			}
		}
	}
	advertised := map[string]string{}
	for _, w := range o.workloads {
		args := args(w.container())
		address, ok := args["advertise"]
		if !ok {
			if slices.Contains([]string{"dispatch", "notification", "switchboard"}, w.role()) {
				t.Errorf("%s advertises nothing", w.GetName())
			}
			continue
		}
		for variable, needed := range map[string]bool{
			"POD_HOST_IP":   strings.Contains(address, "{hostIP}"),
			"POD_NODE_NAME": strings.Contains(address, "{nodeName}") || strings.Contains(address, "{externalIP}"),
		} {
			if _, ok := args["env "+variable]; ok != needed {
				t.Errorf("%s: --advertise=%s needs MONARCH_%s: %t, has it: %t", w.GetName(), address, variable, needed, ok)
			}
		}
		pods := int(w.replicas)
		for _, h := range o.scalers {
			if h.Spec.ScaleTargetRef.Name == w.GetName() {
				pods = int(h.Spec.MaxReplicas)
			}
		}
		if pods == 0 {
			t.Errorf("%s: nobody says how many", w.GetName())
		}
		for i := range pods {
			pod := fmt.Sprintf("%s-%d", w.GetName(), i)
			service := pod
			if w.kind == "Deployment" {
				pod, service = w.GetName(), w.GetName()
			}
			if name := args["pod.service"]; name != "" {
				service = name
			}
			at := strings.LastIndex(address, ":")
			port := port(t, address[at+1:], i)
			if fault := o.outside(service, w, port); fault != "" {
				t.Errorf("%s advertises %s: %s", pod, address, fault)
			}
			// Two roles at one address would be one of them too many, and so
			// would two pods, but for those that share a Service.
			host := strings.NewReplacer("{podName}", pod, "{loadBalancer}", service, "{index}", strconv.Itoa(i)).Replace(address[:at])
			full := fmt.Sprintf("%s:%d", host, port)
			if other, twice := advertised[full]; twice && other != service && w.container().Ports[0].HostPort == 0 {
				t.Errorf("%s and %s advertise %s", service, other, full)
			}
			advertised[full] = service
		}
	}
}

// port fills in a port of --advertise, as Monarch does.
func port(t *testing.T, template string, index int) int32 {
	t.Helper()
	text, isSum := strings.CutSuffix(strings.Trim(template, "{}"), "+index")
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Errorf("port %s: %v", template, err)
	}
	if isSum {
		n += index
	}
	return int32(n)
}

// outside returns what is wrong with the way from a port outside through a
// Service to pods of w, "" if nothing.
func (o *objects) outside(name string, w workload, port int32) string {
	if p := w.container().Ports[0].HostPort; p != 0 {
		if p != port {
			return fmt.Sprintf("the port of its node is %d", p)
		}
		return ""
	}
	service, ok := o.services[name]
	if !ok {
		return "it has no Service " + name
	}
	switch service.Spec.Type {
	case corev1.ServiceTypeNodePort:
		if got := service.Spec.Ports[0].NodePort; got != port {
			return fmt.Sprintf("its Service has the node port %d", got)
		}
	case corev1.ServiceTypeLoadBalancer:
		if got := service.Spec.Ports[0].Port; got != port {
			return fmt.Sprintf("its Service has the port %d", got)
		}
	default:
		for _, r := range o.routes {
			backend, parent := r.Spec.Rules[0].BackendRefs[0], r.Spec.ParentRefs[0]
			if string(backend.Name) != name {
				continue
			}
			if int32(*backend.Port) != service.Spec.Ports[0].Port {
				return "its route leads to another port"
			}
			gateway, ok := o.gateways[string(parent.Name)]
			if !ok {
				return "its route has no gateway"
			}
			for _, l := range gateway.Spec.Listeners {
				if l.Name == *parent.SectionName && int32(l.Port) == port {
					return o.whileDraining(service)
				}
			}
			return "its gateway does not listen there"
		}
		return "no route leads to it"
	}
	return o.whileDraining(service)
}

// whileDraining returns what is wrong with a Service for a single pod, which
// goes on taking clients while it drains, and is not ready then.
func (o *objects) whileDraining(service *corev1.Service) string {
	_, single := service.Spec.Selector["statefulset.kubernetes.io/pod-name"]
	if single && !service.Spec.PublishNotReadyAddresses {
		return "its Service does not let clients in while it drains"
	}
	return ""
}

// checkRights holds what pods ask Kubernetes for against what they may.
func (o *objects) checkRights(t *testing.T) {
	t.Helper()
	for _, w := range o.workloads {
		advertise := args(w.container())["advertise"]
		mounted := w.pod.Spec.AutomountServiceAccountToken
		asks := strings.Contains(advertise, "{loadBalancer}") || strings.Contains(advertise, "{externalIP}")
		if mounted == nil || *mounted != asks {
			t.Errorf("%s asks Kubernetes: %t, has a token: %v", w.GetName(), asks, mounted)
		}
		var rules []string
		for _, b := range o.bindings {
			for _, s := range b.subjects {
				if s.Name != w.pod.Spec.ServiceAccountName {
					continue
				}
				for _, r := range o.roles[b.ref.Kind+" "+b.ref.Name] {
					rules = append(rules, fmt.Sprint(r.APIGroups, r.Resources, r.Verbs))
					for _, name := range r.ResourceNames {
						if _, ok := o.services[name]; !ok {
							t.Errorf("%s may read the Service %s, which does not exist", s.Name, name)
						}
					}
				}
			}
		}
		var want []string
		if strings.Contains(advertise, "{loadBalancer}") {
			want = []string{"[] [services] [get]"}
		} else if asks {
			want = []string{"[] [nodes] [get]"}
		}
		if !slices.Equal(rules, want) {
			t.Errorf("%s: want the rights %v, got %v", w.GetName(), want, rules)
		}
	}
	for _, b := range o.bindings {
		if _, ok := o.roles[b.ref.Kind+" "+b.ref.Name]; !ok {
			t.Errorf("a binding is of %s %s, which does not exist", b.ref.Kind, b.ref.Name)
		}
		for _, s := range b.subjects {
			if _, ok := o.accounts[s.Name]; !ok {
				t.Errorf("a binding is for the service account %s, which does not exist", s.Name)
			}
		}
	}
}

// secret is the Secret that a release asks for.
type secret struct {
	name string
	keys []string
}

// secretOf says which keys a Secret has to have, as the chart's README does.
func secretOf(t *testing.T, r release) secret {
	t.Helper()
	values, err := json.Marshal(r.values)
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Secret   string
		Database struct{ Kind string }
		Redis    struct{ Bundled *bool }
		Operator struct{ Enabled *bool }
	}
	if err := json.Unmarshal(values, &v); err != nil {
		t.Fatal(err)
	}
	s := secret{"monarch", []string{"accounts-token", "cluster-token", "password.keys", "redis-url"}}
	if v.Secret != "" {
		s.name = v.Secret
	}
	if v.Database.Kind == "postgres" {
		s.keys = append(s.keys, "database-url")
	}
	if v.Operator.Enabled == nil || *v.Operator.Enabled {
		s.keys = append(s.keys, "operator-token")
	}
	if v.Redis.Bundled == nil || *v.Redis.Bundled {
		s.keys = append(s.keys, "redis.conf")
	}
	slices.Sort(s.keys)
	return s
}

// checkSecrets holds that pods take from the Secret what it has, and all of it.
func checkSecrets(t *testing.T, o *objects, want secret) {
	t.Helper()
	var keys []string
	for _, w := range o.workloads {
		for _, v := range w.pod.Spec.Volumes {
			if v.Secret == nil {
				continue
			}
			if v.Secret.SecretName != want.name || *v.Secret.DefaultMode&0o007 != 0 {
				t.Errorf("%s mounts the Secret %s with the mode %o", w.GetName(), v.Secret.SecretName, *v.Secret.DefaultMode)
			}
			for _, item := range v.Secret.Items {
				if item.Key != item.Path {
					t.Errorf("%s has the key %s as %s", w.GetName(), item.Key, item.Path)
				}
				keys = append(keys, item.Key)
			}
		}
	}
	slices.Sort(keys)
	if keys = slices.Compact(keys); !slices.Equal(keys, want.keys) {
		t.Errorf("keys of the Secret: want %v, got %v", want.keys, keys)
	}
}
