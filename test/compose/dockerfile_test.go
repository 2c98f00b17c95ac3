//go:build compose

package compose

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// The last stage of deploy/Dockerfile makes the image that "make images" makes.
// Its first stage needs an image of Go, which cannot be had everywhere; its files
// are taken from this machine.
func TestDockerfile(t *testing.T) {
	ctx := t.Context()
	text, err := os.ReadFile("../../deploy/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, final, ok := strings.Cut(string(text), "\nFROM scratch\n")
	if !ok {
		t.Fatal("deploy/Dockerfile: want a last stage FROM scratch")
	}
	dir := t.TempDir()
	if err := silently(ctx, "../..", "go", "run", "./deploy/image", "-root", filepath.Join(dir, "image")); err != nil {
		t.Fatal(err)
	}
	dockerfile := "FROM scratch\n" + strings.NewReplacer("--from=build ", "", " /image/", " image/").Replace(final)
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o600); err != nil {
		t.Fatal(err)
	}
	const tag = "monarch-test-dockerfile"
	if err := silently(ctx, dir, "docker", "build", "--quiet", "--tag", tag, "."); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := silently(context.WithoutCancel(ctx), "", "docker", "image", "rm", tag); err != nil {
			t.Error(err)
		}
	})
	got, want := configOf(ctx, t, tag), configOf(ctx, t, "monarch:latest")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("want the containers of make images,\n%v, got\n%v", want, got)
	}
	run := func(image string) string {
		out, err := exec.CommandContext(ctx, "docker", "run", "--rm", "--read-only", "--network", "none", image, "version").Output()
		if err != nil {
			t.Errorf("docker run %s version: %v", image, err)
		}
		return string(out)
	}
	if got, want := run(tag), run("monarch:latest"); got != want {
		t.Errorf("want %q, got %q", want, got)
	}
}

// configOf is how containers of an image run. What whoever builds says in
// labels is left out, and fields that are empty: engines differ in those.
func configOf(ctx context.Context, t *testing.T, image string) map[string]any {
	t.Helper()
	out, err := exec.CommandContext(ctx, "docker", "image", "inspect", "--format", "{{json .Config}}", image).Output()
	if err != nil {
		t.Fatalf("docker image inspect %s: %v", image, err)
	}
	var config map[string]any
	if err := json.Unmarshal(out, &config); err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(config, func(field string, value any) bool {
		return field == "Labels" || field == "Image" || value == nil || reflect.ValueOf(value).IsZero()
	})
	return config
}
