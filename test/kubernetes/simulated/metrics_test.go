package simulated

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// metricsGroup is the API that an autoscaler asks, for which Kubernetes has no
// server of its own.
const metricsGroup = "/apis/custom.metrics.k8s.io/v1beta2"

// metrics stands in for what brings Monarch's metrics into the API, as
// prometheus-adapter does: of each metric there is a sum, of which every pod that
// is ready has its part.
type metrics struct {
	t *testing.T

	mu   sync.Mutex
	sums map[string]int64
}

// set says what all pods have of a metric together.
func (m *metrics) set(metric string, sum int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sums[metric] = sum
}

// serveMetrics starts the server and has the API server ask it, until the test is
// over.
func serveMetrics(t *testing.T) *metrics {
	t.Helper()
	m := &metrics{t: t, sums: map[string]int64{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+metricsGroup, m.discover)
	mux.HandleFunc("GET "+metricsGroup+"/namespaces/{namespace}/pods/{pods}/{metric}", m.ofPods)
	server := httptest.NewUnstartedServer(mux)
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	const objects = `
apiVersion: v1
kind: Service
metadata: {name: metrics, namespace: default}
spec:
  type: ExternalName
  externalName: localhost
  ports: [{port: PORT}]
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta2.custom.metrics.k8s.io}
spec:
  group: custom.metrics.k8s.io
  version: v1beta2
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: {name: metrics, namespace: default, port: PORT}
`
	manifest := strings.ReplaceAll(objects, "PORT", port)
	if _, err := cluster.Kubectl(t.Context(), manifest, "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := cluster.Kubectl(context.Background(), manifest, "delete", "-f", "-"); err != nil {
			t.Error(err)
		}
	})
	kubectl(t, "wait", "--for=condition=Available", "--timeout=1m", "apiservice", "v1beta2.custom.metrics.k8s.io")
	return m
}

// discover says what there is.
func (m *metrics) discover(w http.ResponseWriter, _ *http.Request) {
	m.answer(w, metav1.APIResourceList{
		TypeMeta:     metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"},
		GroupVersion: strings.TrimPrefix(metricsGroup, "/apis/"),
		APIResources: []metav1.APIResource{
			{Name: "pods/monarch_sessions", Namespaced: true, Kind: "MetricValueList", Verbs: metav1.Verbs{"get"}},
		},
	})
}

// ofPods answers with a value for each pod that is ready and has the labels.
func (m *metrics) ofPods(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	sum, known := m.sums[r.PathValue("metric")]
	m.mu.Unlock()
	if !known || r.PathValue("pods") != "*" {
		http.NotFound(w, r)
		return
	}
	pods, err := cluster.Client.CoreV1().Pods(r.PathValue("namespace")).List(r.Context(), metav1.ListOptions{LabelSelector: r.URL.Query().Get("labelSelector")})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	var ready []corev1.Pod
	for _, pod := range pods.Items {
		if isReady(&pod) {
			ready = append(ready, pod)
		}
	}
	type value struct {
		DescribedObject corev1.ObjectReference `json:"describedObject"`
		Metric          struct {
			Name string `json:"name"`
		} `json:"metric"`
		Timestamp metav1.Time       `json:"timestamp"`
		Value     resource.Quantity `json:"value"`
	}
	list := struct {
		metav1.TypeMeta `json:",inline"`
		Items           []value `json:"items"`
	}{TypeMeta: metav1.TypeMeta{Kind: "MetricValueList", APIVersion: strings.TrimPrefix(metricsGroup, "/apis/")}, Items: []value{}}
	for i, pod := range ready {
		// The sum, to the last session.
		share := (sum + int64(i)) / int64(len(ready))
		v := value{
			DescribedObject: corev1.ObjectReference{Kind: "Pod", APIVersion: "v1", Namespace: pod.Namespace, Name: pod.Name},
			Timestamp:       metav1.Now(),
			Value:           resource.MustParse(strconv.FormatInt(share, 10)),
		}
		v.Metric.Name = r.PathValue("metric")
		list.Items = append(list.Items, v)
	}
	m.answer(w, list)
}

func (m *metrics) answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		m.t.Logf("answer for metrics: %v", err)
	}
}
