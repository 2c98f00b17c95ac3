package kubernetes

import (
	"encoding/base64"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// prepare runs the chart's script in dir and returns the files that it made.
func prepare(t *testing.T, dir string, args ...string) map[string]string {
	t.Helper()
	script, err := filepath.Abs(filepath.Join(chartDir, "prepare"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(script, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	files := map[string]string{}
	entries, err := os.ReadDir(filepath.Join(dir, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, "secret", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: want it closed to others, got %v (%v)", e.Name(), info.Mode(), err)
		}
		files[e.Name()] = string(content)
	}
	return files
}

func TestPrepare(t *testing.T) {
	for release, service := range map[string]string{"": "monarch-redis", "monarch-test": "monarch-test-redis", "chat": "chat-monarch-redis"} {
		dir, r := t.TempDir(), chat(t, "")
		var args []string
		if release != "" {
			args, r.name = []string{release}, release
		}
		files := prepare(t, dir, args...)
		if keys, want := slices.Sorted(maps.Keys(files)), secretOf(t, r).keys; !slices.Equal(keys, want) {
			t.Errorf("%s: keys: want %v, got %v", release, want, keys)
		}
		for _, key := range []string{"cluster-token", "accounts-token", "operator-token"} {
			if len(files[key]) != 48 {
				t.Errorf("%s: %s: want 48 characters, got %q", release, key, files[key])
			}
		}
		_, key, _ := strings.Cut(strings.TrimSpace(files["password.keys"]), ":")
		if raw, err := base64.StdEncoding.DecodeString(key); err != nil || len(raw) != 32 {
			t.Errorf("%s: want a key of 32 bytes, got %q", release, files["password.keys"])
		}
		texts, _ := r.manifest(t)
		redis, err := url.Parse(strings.TrimSpace(files["redis-url"]))
		if err != nil || redis.Hostname() != service || parse(t, texts).services[service] == nil {
			t.Errorf("%s: want a URL of %s, got %v (%v)", release, service, redis, err)
			continue
		}
		if password, _ := redis.User.Password(); files["redis.conf"] != "requirepass "+password+"\n" || len(password) != 48 {
			t.Errorf("%s: Redis has another password than its clients", release)
		}
		// A second time it changes nothing: the key ring must stay.
		if again := prepare(t, dir, args...); !maps.Equal(files, again) {
			t.Errorf("%s: files changed at the second run", release)
		}
	}
}
