package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadSecret(t *testing.T) {
	for name, c := range map[string]struct{ content, want, fault string }{
		"one line":                {"postgres://a:b@c/d\n", "postgres://a:b@c/d", ""},
		"without a line break":    {"t0ken", "t0ken", ""},
		"with a foreign break":    {"t0ken\r\n", "t0ken", ""},
		"nothing":                 {"\n", "", "the file is empty"},
		"two lines":               {"one\ntwo\n", "", "more than one line"},
		"more than a secret has":  {strings.Repeat("x", secretBytes+1), "", "more than 16384 bytes"},
		"as much as a secret has": {strings.Repeat("x", secretBytes), strings.Repeat("x", secretBytes), ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := ReadSecret(path)
			switch {
			case c.fault == "" && (err != nil || got != c.want):
				t.Errorf("want %q, got %q, %v", c.want, got, err)
			case c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)):
				t.Errorf("want the fault %q, got %v", c.fault, err)
			}
		})
	}
	if _, err := ReadSecret(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there: want an error, got none")
	}
}
