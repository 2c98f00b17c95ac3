package kubernetes

import (
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1alpha2 "sigs.k8s.io/gateway-api/apis/v1alpha2"
)

// known are the types of Kubernetes, of the Gateway API and of the Prometheus
// operator.
var known = func() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		scheme.AddToScheme, gatewayv1.Install, gatewayv1alpha2.Install, monitoringv1.AddToScheme,
	} {
		if err := add(s); err != nil {
			panic(err)
		}
	}
	return s
}()

// strict reads objects as the API server does when a client asks it to be
// strict, which kubectl does: an unknown field or one that stands twice is an
// error.
var strict = serializer.NewCodecFactory(known, serializer.EnableStrict).UniversalDeserializer()

// objects are those of one release, by kind.
type objects struct {
	all          []metav1.Object
	kinds        map[metav1.Object]string
	workloads    []workload
	services     map[string]*corev1.Service
	accounts     map[string]*corev1.ServiceAccount
	budgets      []*policyv1.PodDisruptionBudget
	policies     []*networkingv1.NetworkPolicy
	scalers      []*autoscalingv2.HorizontalPodAutoscaler
	roles        map[string][]rbacv1.PolicyRule // by kind and name
	bindings     []binding
	gateways     map[string]*gatewayv1.Gateway
	routes       []*gatewayv1.TCPRoute
	podMonitors  []*monitoringv1.PodMonitor
	namespaces   []*corev1.Namespace
	clusterWide  map[metav1.Object]bool
	statefulSets []*appsv1.StatefulSet
}

// workload is what pods are made from.
type workload struct {
	metav1.Object
	kind     string
	replicas int32 // 0 where a HorizontalPodAutoscaler decides
	selector *metav1.LabelSelector
	pod      corev1.PodTemplateSpec
	claims   []corev1.PersistentVolumeClaim
}

// role is the command that the pods run, by their label.
func (w workload) role() string { return w.pod.Labels["app.kubernetes.io/component"] }

func (w workload) container() corev1.Container { return w.pod.Spec.Containers[0] }

// binding gives the rules of a role to accounts.
type binding struct {
	ref      rbacv1.RoleRef
	subjects []rbacv1.Subject
}

// parse reads objects strictly.
func parse(t *testing.T, texts []string) *objects {
	t.Helper()
	o := &objects{
		kinds:    map[metav1.Object]string{},
		services: map[string]*corev1.Service{}, accounts: map[string]*corev1.ServiceAccount{},
		roles: map[string][]rbacv1.PolicyRule{}, gateways: map[string]*gatewayv1.Gateway{},
		clusterWide: map[metav1.Object]bool{},
	}
	for _, text := range texts {
		decoded, kind, err := strict.Decode([]byte(text), nil, nil)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		accessor, err := meta.Accessor(decoded)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		o.all = append(o.all, accessor)
		o.kinds[accessor] = kind.Kind
		switch x := decoded.(type) {
		case *appsv1.Deployment:
			o.workloads = append(o.workloads, workload{x, kind.Kind, *x.Spec.Replicas, x.Spec.Selector, x.Spec.Template, nil})
		case *appsv1.StatefulSet:
			replicas := int32(0)
			if x.Spec.Replicas != nil {
				replicas = *x.Spec.Replicas
			}
			o.workloads = append(o.workloads, workload{x, kind.Kind, replicas, x.Spec.Selector, x.Spec.Template, x.Spec.VolumeClaimTemplates})
			o.statefulSets = append(o.statefulSets, x)
		case *batchv1.Job:
			o.workloads = append(o.workloads, workload{x, kind.Kind, 1, &metav1.LabelSelector{MatchLabels: x.Spec.Template.Labels}, x.Spec.Template, nil})
		case *corev1.Service:
			o.services[x.Name] = x
		case *corev1.ServiceAccount:
			o.accounts[x.Name] = x
		case *policyv1.PodDisruptionBudget:
			o.budgets = append(o.budgets, x)
		case *networkingv1.NetworkPolicy:
			o.policies = append(o.policies, x)
		case *autoscalingv2.HorizontalPodAutoscaler:
			o.scalers = append(o.scalers, x)
		case *rbacv1.Role:
			o.roles["Role "+x.Name] = x.Rules
		case *rbacv1.ClusterRole:
			o.roles["ClusterRole "+x.Name], o.clusterWide[x] = x.Rules, true
		case *rbacv1.RoleBinding:
			o.bindings = append(o.bindings, binding{x.RoleRef, x.Subjects})
		case *rbacv1.ClusterRoleBinding:
			o.bindings = append(o.bindings, binding{x.RoleRef, x.Subjects})
			o.clusterWide[x] = true
		case *gatewayv1.Gateway:
			o.gateways[x.Name] = x
		case *gatewayv1.TCPRoute:
			o.routes = append(o.routes, x)
		case *gatewayv1alpha2.TCPRoute:
			o.routes = append(o.routes, &gatewayv1.TCPRoute{ObjectMeta: x.ObjectMeta, Spec: gatewayv1.TCPRouteSpec{
				CommonRouteSpec: x.Spec.CommonRouteSpec, Rules: []gatewayv1.TCPRouteRule{{BackendRefs: x.Spec.Rules[0].BackendRefs}},
			}})
		case *monitoringv1.PodMonitor:
			o.podMonitors = append(o.podMonitors, x)
		case *corev1.Namespace:
			o.namespaces, o.clusterWide[x] = append(o.namespaces, x), true
		default:
			t.Fatalf("there is no check of a %s, as in\n%s", kind.Kind, text)
		}
	}
	return o
}

// workload returns that of a role.
func (o *objects) workload(t *testing.T, role string) workload {
	t.Helper()
	for _, w := range o.workloads {
		if w.role() == role {
			return w
		}
	}
	t.Fatalf("no workload has the role %s", role)
	return workload{}
}

func TestStrictness(t *testing.T) {
	const service = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
	for name, c := range map[string]struct {
		text  string
		fault bool
	}{
		"right":             {service + "spec: {clusterIP: None}\n", false},
		"a misspelt field":  {service + "spec: {clusterIp: None}\n", true},
		"a field twice":     {service + "spec: {clusterIP: None}\nspec: {clusterIP: None}\n", true},
		"a wrong type":      {service + "spec: {clusterIP: 5}\n", true},
		"an unknown kind":   {"apiVersion: v1\nkind: Servize\nmetadata: {name: a}\n", true},
		"a Gateway's field": {"apiVersion: gateway.networking.k8s.io/v1\nkind: TCPRoute\nmetadata: {name: a}\nspec: {parentRefs: [{name: g, section: x}]}\n", true},
	} {
		if _, _, err := strict.Decode([]byte(c.text), nil, nil); (err != nil) != c.fault {
			t.Errorf("%s: want a fault: %t, got %v", name, c.fault, err)
		}
	}
}
