package kubernetes

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/fake"
)

// TestRefusedValues has values that the chart must not install, and what it says
// of each.
func TestRefusedValues(t *testing.T) {
	for name, c := range map[string]struct {
		base, values, want string
	}{
		"two directories on SQLite": {
			values: "directory: {replicas: 2}",
			want:   "directory.replicas is 2, and SQLite has one directory: set it to 1, or database.kind to postgres",
		},
		"fewer pods at most than at least": {
			values: "notification: {replicas: 7, autoscaling: {enabled: true}}",
			want:   "notification.autoscaling.maxReplicas is 6, and notification.replicas, from which it begins, is 7",
		},
		"a target that no pod reaches": {
			values: "switchboard: {capacity: 100, autoscaling: {enabled: true}}",
			want:   "switchboard.autoscaling.target is 5000, and a pod has only 100, its switchboard.capacity",
		},
		"a gateway without a host": {
			values: "exposure: {mode: gateway, gateway: {className: x}}",
			want:   "exposure.mode is gateway: set exposure.host",
		},
		"a gateway without a class": {
			values: "exposure: {mode: gateway, host: chat.example.org}",
			want:   "exposure.mode is gateway: set exposure.gateway.className",
		},
		"more listeners than a gateway has": {
			base:   "gateway.yaml",
			values: "notification: {replicas: 40}\nswitchboard: {replicas: 24}",
			want:   "a Gateway has 64 listeners at most, and 40 pods of notification, 24 of switchboard and dispatch need one each",
		},
		"switchboards that share an address": {
			values: "exposure: {mode: shared}",
			want:   "a shared address leads to any of 2 switchboards, but a conversation is on one: set switchboard.replicas to 1",
		},
		"switchboards that will": {
			values: "exposure: {mode: shared}\nswitchboard: {replicas: 1, autoscaling: {enabled: true}}",
			want:   "a shared address leads to any of 6 switchboards",
		},
		"a load balancer that is not there": {
			values: `exposure: {host: "{loadBalancer}"}`,
			want:   "exposure.host is {loadBalancer}, and with exposure.mode nodePort there is no load balancer to ask for an address",
		},
		"a name for several load balancers": {
			values: "exposure: {mode: loadBalancer, host: chat.example.org}",
			want:   "exposure.host is chat.example.org, and with exposure.mode loadBalancer there are several load balancers with the same port: leave it empty, or tell them apart by {podName}",
		},
		"a number for several load balancers": {
			values: `exposure: {mode: loadBalancer, host: "ns{index}.example.org"}`,
			want:   "tell them apart by {podName}",
		},
		"a name for a dispatch that has no number": {
			values: `exposure: {host: "ns{index}.example.org"}`,
			want:   "dispatch has one address for all of its pods, and not ns{index}.example.org: set exposure.dispatchHost",
		},
		"a dispatch on the loopback address": {
			values: "exposure: {dispatchHost: localhost}",
			want:   "exposure.dispatchHost is localhost, where no client finds the network",
		},
		"the loopback address":         {values: "exposure: {host: 127.0.0.1}", want: "exposure.host is 127.0.0.1, where no client finds the network"},
		"the loopback name":            {values: "exposure: {host: LocalHost}", want: "exposure.host is LocalHost, where no client"},
		"the loopback address of IPv6": {values: `exposure: {host: "[::1]"}`, want: "exposure.host is [::1], where no client"},
		"the wildcard":                 {values: "exposure: {host: 0.0.0.0}", want: "exposure.host is 0.0.0.0, where no client"},
		"a name of the cluster":        {values: "exposure: {host: monarch.chat.svc}", want: "exposure.host is monarch.chat.svc, a name within the cluster: clients are outside of it"},
		"a longer name of the cluster": {values: "exposure: {host: monarch.chat.svc.cluster.local}", want: "a name within the cluster"},
		"ranges that overlap": {
			values: "exposure: {nodePort: {notification: 31000, switchboard: 31002}}\nnotification: {replicas: 3}",
			want:   "exposure.nodePort: port 31002 is one of notification and one of switchboard: put their ranges further apart",
		},
		"ranges that will overlap": {
			values: "exposure: {nodePort: {notification: 31000, dispatch: 31005}}\nnotification: {autoscaling: {enabled: true}}",
			want:   "exposure.nodePort: port 31005 is one of dispatch and one of notification",
		},
		"a port of the node for two": {
			values: "exposure: {mode: hostPort, hostPort: {notification: 1863}}",
			want:   "exposure.hostPort: port 1863 is one of dispatch and one of notification",
		},
		"a range beyond the ports": {
			values: "exposure: {nodePort: {switchboard: 65535}}",
			want:   "exposure.nodePort.switchboard is 65535, and pod 1 would have port 65536: there are 65535",
		},

		"a misspelt value":             {values: "notification: {replica: 3}", want: "at '/notification': additional properties 'replica' not allowed"},
		"a misspelt part":              {values: "notifications: {}", want: "additional properties 'notifications' not allowed"},
		"a mode that is none":          {values: "exposure: {mode: ingress}", want: "at '/exposure/mode': value must be one of"},
		"a host with a port":           {values: "exposure: {host: 'chat.example.org:1863'}", want: "at '/exposure/host'"},
		"a URL":                        {values: "exposure: {host: 'tcp://chat.example.org'}", want: "at '/exposure/host'"},
		"a template that is none":      {values: "exposure: {host: '{pod}.example.org'}", want: "at '/exposure/host'"},
		"IPv6 without brackets":        {values: "exposure: {host: '2001:db8::1'}", want: "at '/exposure/host'"},
		"no pods":                      {values: "dispatch: {replicas: 0}", want: "at '/dispatch/replicas': minimum: got 0, want 1"},
		"no limit of memory":           {values: "directory: {resources: {limits: {memory: null}}}", want: "at '/directory/resources/limits'"},
		"a limit that is no quantity":  {values: "directory: {resources: {limits: {memory: 1G}}}", want: "at '/directory/resources/limits/memory'"},
		"a flag without dashes":        {values: "operator: {extraArgs: [log.level=debug]}", want: "at '/operator/extraArgs/0'"},
		"a port that is a word":        {values: "exposure: {nodePort: {dispatch: msnp}}", want: "at '/exposure/nodePort/dispatch': got string, want integer"},
		"a Secret's name with a slash": {values: "secret: a/b", want: "at '/secret'"},
		"an image with its tag twice":  {values: "image: {repository: 'monarch:v1'}", want: "at '/image/repository'"},
	} {
		t.Run(name, func(t *testing.T) {
			r := chat(t, c.base)
			var err error
			if r.values, err = merged(r.values, c.values); err != nil {
				t.Fatal(err)
			}
			if _, err := r.render(t); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %q, got %v", c.want, err)
			}
		})
	}
}

// cluster is what "lookup" sees.
type cluster struct{ dynamic.Interface }

// GetClientFor implements engine.ClientProvider for the core group.
func (c cluster) GetClientFor(_, kind string) (dynamic.NamespaceableResourceInterface, bool, error) {
	plural := map[string]string{"ServiceAccount": "serviceaccounts", "Secret": "secrets"}[kind]
	return c.Resource(schema.GroupVersionResource{Version: "v1", Resource: plural}), true, nil
}

// TestMissingSecret installs into a cluster in which the Secret is not, or not
// all of it.
func TestMissingSecret(t *testing.T) {
	namespace := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: "chat"}}
	for name, c := range map[string]struct {
		keys, want string // "" for no Secret, and for no fault
	}{
		"there is none": {"", "there is no Secret chat-secrets in the namespace chat: make it first, as the chart's README says"},
		"lacks the key ring": {
			"cluster-token accounts-token operator-token redis-url database-url",
			"the Secret chat-secrets in the namespace chat has no key password.keys",
		},
		"has all of it": {"cluster-token accounts-token operator-token redis-url database-url password.keys", ""},
	} {
		t.Run(name, func(t *testing.T) {
			seen := []runtime.Object{namespace}
			if c.keys != "" {
				s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "chat-secrets", Namespace: "chat"}, Data: map[string][]byte{}}
				for _, key := range strings.Fields(c.keys) {
					s.Data[key] = []byte("x")
				}
				seen = append(seen, s)
			}
			r := chat(t, "production.yaml")
			r.cluster = cluster{fake.NewSimpleDynamicClient(known, seen...)}
			switch _, err := r.render(t); {
			case c.want == "" && err != nil:
				t.Errorf("want no fault, got %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("want %q, got %v", c.want, err)
			}
		})
	}
}
