// Package deploy has what Monarch is run with, and no code but what holds that
// against the rest.
package deploy

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	instrument = regexp.MustCompile(`"(monarch_[a-z_]+)"`)
	attribute  = regexp.MustCompile(`attribute\.(?:String|Bool|Int|Int64)\("([a-z_]+)"|attribute\.Key\("([a-z_]+)"`)

	// series finds metrics and recorded ones in an expression; what stands in
	// quotes is taken out before.
	series   = regexp.MustCompile(`\b(?:monarch|process|go|up)(?:[:_][a-zA-Z0-9_:]*)?\b`)
	grouping = regexp.MustCompile(`\bby \(([a-z_, ]*)\)`)
	matcher  = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)\s*"`)
	quoted   = regexp.MustCompile(`"[^"]*"`)
	label    = regexp.MustCompile(`\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}`)

	expression = regexp.MustCompile(`(?m)^ +expr: (.*)$`)
	recorded   = regexp.MustCompile(`(?m)^ +- record: (\S+)$`)
	summary    = regexp.MustCompile(`(?m)^ +summary: (.*)$`)
)

// Dashboards, rules and alerts ask for metrics and labels that the servers
// have.
func TestWhatIsWatchedExists(t *testing.T) {
	metrics := map[string]bool{
		"up": true, "process_open_fds": true, "process_max_fds": true, "process_cpu_seconds_total": true,
		"process_resident_memory_bytes": true, "process_start_time_seconds": true, "go_goroutine_count": true,
	}
	labels := map[string]bool{"le": true, "job": true, "instance": true}
	for _, dir := range []string{"../services", "../internal"} {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text := read(t, path)
			for _, m := range instrument.FindAllStringSubmatch(text, -1) {
				// As Prometheus calls what comes of it, by its kind.
				for _, suffix := range []string{"", "_total", "_bucket"} {
					metrics[m[1]+suffix] = true
				}
			}
			for _, m := range attribute.FindAllStringSubmatch(text, -1) {
				labels[m[1]+m[2]] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}

	asked := map[string][]string{} // expressions and texts by file
	for _, name := range []string{"prometheus/rules.yaml", "prometheus/alerts.yaml"} {
		text := read(t, name)
		for _, m := range recorded.FindAllStringSubmatch(text, -1) {
			metrics[m[1]] = true
		}
		for _, m := range expression.FindAllStringSubmatch(text, -1) {
			asked[name] = append(asked[name], m[1])
		}
		for _, m := range summary.FindAllStringSubmatch(text, -1) {
			checkLabels(t, name, m[1], label, labels)
		}
	}
	dashboards, err := filepath.Glob("grafana/*.json")
	if err != nil || len(dashboards) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	for _, name := range dashboards {
		var dashboard any
		if err := json.Unmarshal([]byte(read(t, name)), &dashboard); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for key, found := range texts(dashboard) {
			switch key {
			case "expr":
				asked[name] = append(asked[name], found...)
			case "legendFormat", "titleFormat":
				for _, text := range found {
					checkLabels(t, name, text, label, labels)
				}
			}
		}
	}
	for name, expressions := range asked {
		if len(expressions) == 0 {
			t.Errorf("%s asks for nothing", name)
		}
		for _, e := range expressions {
			found := series.FindAllString(quoted.ReplaceAllString(e, `""`), -1)
			if len(found) == 0 {
				t.Errorf("%s: no metric in %s", name, e)
			}
			for _, metric := range found {
				if !metrics[metric] {
					t.Errorf("%s: no server has the metric %s", name, metric)
				}
			}
			checkLabels(t, name, e, matcher, labels)
			for _, m := range grouping.FindAllStringSubmatch(e, -1) {
				for l := range strings.SplitSeq(m[1], ",") {
					if l = strings.TrimSpace(l); !labels[l] {
						t.Errorf("%s: no metric has the label %s", name, l)
					}
				}
			}
		}
	}
}

func checkLabels(t *testing.T, name, text string, pattern *regexp.Regexp, labels map[string]bool) {
	t.Helper()
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		if !labels[m[1]] {
			t.Errorf("%s: no metric has the label %s, in %s", name, m[1], text)
		}
	}
}

// texts are all texts of a document, by the key that they stand under.
func texts(v any) map[string][]string {
	all := map[string][]string{}
	var walk func(key string, v any)
	walk = func(key string, v any) {
		switch v := v.(type) {
		case string:
			all[key] = append(all[key], v)
		case map[string]any:
			for k, inner := range v {
				walk(k, inner)
			}
		case []any:
			for _, inner := range v {
				walk(key, inner)
			}
		}
	}
	walk("", v)
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
