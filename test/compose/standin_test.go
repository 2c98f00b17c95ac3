//go:build compose

package compose

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/monarch-msn/monarch/test/standin"
)

// loadStandIns gives the engine what takes the place of images that cannot be
// pulled here, until the test ends.
func loadStandIns(ctx context.Context, t *testing.T) {
	t.Helper()
	redis, err := standin.Redis()
	if err != nil {
		t.Fatal(err)
	}
	postgres, err := standin.Postgres()
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range []standin.Image{redis, postgres, prometheusImage(ctx, t)} {
		path := filepath.Join(t.TempDir(), "image.tar")
		if err := image.Save(ctx, path); err != nil {
			t.Fatal(err)
		}
		if err := silently(ctx, "", "docker", "load", "--input", path); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := silently(context.WithoutCancel(ctx), "", "docker", "image", "rm", image.Tag); err != nil {
				t.Error(err)
			}
		})
	}
}

// prometheusImage stands for prom/prometheus. Debian's package is unpacked, not
// installed: that would start a server.
func prometheusImage(ctx context.Context, t *testing.T) standin.Image {
	dir := t.TempDir()
	fetch := func() error { return silently(ctx, dir, "apt-get", "download", "-qq", "prometheus") }
	if fetch() != nil {
		if err := errors.Join(silently(ctx, dir, "apt-get", "update", "-qq"), fetch()); err != nil {
			t.Fatal(err)
		}
	}
	packages, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(packages) != 1 {
		t.Fatalf("want one package, got %v, %v", packages, err)
	}
	if err := silently(ctx, dir, "dpkg-deb", "-x", packages[0], dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "usr/bin/prometheus")
	return standin.Image{
		Tag:      "monarch-test-prometheus:debian",
		Paths:    []string{path},
		Links:    map[string]string{"bin/prometheus": path},
		Dirs:     []string{"prometheus/"},
		User:     65534,
		Settings: standin.Settings{User: "65534:65534", WorkingDir: "/prometheus", Entrypoint: []string{"/bin/prometheus"}},
	}
}

// silently runs a command; its output is in the error.
func silently(ctx context.Context, dir, name string, args ...string) error {
	var said strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, io.Discard, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, said.String())
	}
	return nil
}
