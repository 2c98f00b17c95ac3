package kubernetes

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

const chartDir = "../../deploy/helm/monarch"

// release is what a chart is installed as.
type release struct {
	name, namespace string
	values          map[string]any
	cluster         engine.ClientProvider // what "lookup" sees; nil for nothing
}

// chat is a release with the values of a file in testdata, or with the chart's
// own for "".
func chat(t *testing.T, file string) release {
	t.Helper()
	r := release{name: "monarch", namespace: "chat", values: map[string]any{}}
	if file != "" {
		r.values = readValues(t, filepath.Join("testdata", file))
	}
	return r
}

func readValues(t *testing.T, path string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]any{}
	if err := yaml.UnmarshalStrict(text, &values); err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
	return values
}

// valueFiles are the files in testdata, and "" for the chart's own values.
func valueFiles(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("find files with values: %v, %v", paths, err)
	}
	files := []string{""}
	for _, path := range paths {
		files = append(files, filepath.Base(path))
	}
	return files
}

func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// render does what "helm template" does, and returns the text of each template.
func (r release) render(t *testing.T) (map[string]string, error) {
	t.Helper()
	c := loadChart(t)
	values, err := util.ToRenderValues(c, r.values, common.ReleaseOptions{
		Name: r.name, Namespace: r.namespace, IsInstall: true, Revision: 1,
	}, nil)
	if err != nil {
		return nil, err
	}
	if r.cluster != nil {
		return engine.RenderWithClientProvider(c, values, r.cluster)
	}
	return engine.Render(c, values)
}

// manifest returns the objects of a release, in the order of their templates,
// and what is said to whoever installs it.
func (r release) manifest(t *testing.T) (objects []string, notes string) {
	t.Helper()
	rendered, err := r.render(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		if filepath.Base(name) == "NOTES.txt" {
			notes = rendered[name]
			continue
		}
		if strings.HasPrefix(filepath.Base(name), "_") {
			continue
		}
		objects = append(objects, documents(t, rendered[name])...)
	}
	return objects, notes
}

// documents splits YAML, and leaves out what is empty.
func documents(t *testing.T, text string) (all []string) {
	t.Helper()
	reader := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		var content any
		if err := yaml.Unmarshal(document, &content); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if content != nil {
			all = append(all, strings.TrimSpace(string(bytes.TrimPrefix(document, []byte("---\n"))))+"\n")
		}
	}
}

func TestHelmLint(t *testing.T) {
	for _, file := range valueFiles(t) {
		t.Run(file, func(t *testing.T) {
			result := lint.RunAll(chartDir, chat(t, file).values, "chat")
			for _, m := range result.Messages {
				// An icon is recommended to those who sell charts in a shop.
				if m.Severity > support.InfoSev {
					t.Error(m)
				}
			}
		})
	}
}

// merged returns values with others laid over them.
func merged(values map[string]any, over string) (map[string]any, error) {
	extra := map[string]any{}
	if err := yaml.UnmarshalStrict([]byte(over), &extra); err != nil {
		return nil, fmt.Errorf("read %q: %w", over, err)
	}
	return loader.MergeMaps(values, extra), nil
}

// TestNotes holds that whoever installs the chart is told what to open and where
// to point clients.
func TestNotes(t *testing.T) {
	for file, want := range map[string][]string{
		"": {
			"the address of any node, port 31863", "{hostIP}, TCP ports 31000 to 31001 and 31100 to 31101", "set exposure.host",
			"kubectl --namespace chat exec -i deploy/monarch-operator --",
		},
		"nodeport.yaml":     {"chat.example.org, port 30063", "chat.example.org, TCP ports 30100 to 30102 and 30200 to 30201"},
		"hostport.yaml":     {"the address of a node that runs a pod of monarch-dispatch, port 1863", "{hostIP}, TCP ports 1864 and 1865, on every node", "pod-security.kubernetes.io/enforce=privileged"},
		"external-ip.yaml":  {"the ExternalIP of a node that runs a pod of monarch-dispatch, port 1863", "{externalIP}, TCP ports 1864 and 1865"},
		"loadbalancer.yaml": {"get service monarch-dispatch", "{loadBalancer}, TCP port 1863, of each Service monarch-notification-N and monarch-switchboard-N"},
		"gateway.yaml":      {"chat.example.org, port 1863", "chat.example.org, TCP ports 2000 to 2001 and 2100 to 2101"},
		"shared.yaml":       {"{loadBalancer}, TCP port 1863\n"},
		"production.yaml":   {"  chat.example.org, port 1863", "{podName}.example.org, TCP port 1863"},
		"bare.yaml":         {"TCP ports 31000 and 31100"},
	} {
		_, notes := chat(t, file).manifest(t)
		for _, part := range want {
			if !strings.Contains(notes, part) {
				t.Errorf("%s: want %q in\n%s", file, part, notes)
			}
		}
	}
}
