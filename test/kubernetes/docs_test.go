package kubernetes

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocumentsNameValues holds that every value that a text names is one of
// the chart.
func TestDocumentsNameValues(t *testing.T) {
	all := loadChart(t).Values
	keys := secretOf(t, chat(t, "")).keys
	named := regexp.MustCompile("(?:`|--set )((?:[a-z]\\w*\\.)+[a-z]\\w*)\\b")
	for _, path := range []string{chartDir + "/README.md", "../../docs/kubernetes.md"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			parts := strings.Split(m[1], ".")
			value, ok := all[parts[0]]
			if !ok || slices.Contains(keys, m[1]) {
				continue // something else with a dot, such as a file
			}
			for _, part := range parts[1:] {
				inner, isMap := value.(map[string]any)
				if value, ok = inner[part]; !ok || !isMap {
					t.Errorf("%s: %s is no value of the chart", path, m[1])
					break
				}
			}
			found++
		}
		if found == 0 {
			t.Errorf("%s names no value", path)
		}
	}
}
