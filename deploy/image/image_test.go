package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/deploy/image/archive"
)

// sample is an image of two small programs.
func sample(t *testing.T) *image {
	t.Helper()
	dir := t.TempDir()
	for _, p := range programs {
		if err := os.WriteFile(filepath.Join(dir, p), []byte("the program "+p), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, err := tree(dir)
	if err != nil {
		t.Fatal(err)
	}
	img, err := pack(all, "arm64", build{version: "v1.2.3+dirty", commit: "abc", dirty: true, time: time.Unix(1763800000, 0).UTC()})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// Two builds of one commit are the same to the byte, and what an engine is told
// about the files is so.
func TestArchive(t *testing.T) {
	var saved [2][]byte
	for i := range saved {
		path := filepath.Join(t.TempDir(), "image.tar")
		if err := sample(t).save(path, []string{"monarch:latest"}); err != nil {
			t.Fatal(err)
		}
		var err error
		if saved[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(saved[0], saved[1]) {
		t.Error("want the same archive of the same files, got another one")
	}
	outer := untar(t, saved[0])
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal(outer["manifest.json"].content, &manifest); err != nil || len(manifest) != 1 || len(manifest[0].Layers) != 1 {
		t.Fatalf("want a manifest of one image of one layer, got %+v, %v", manifest, err)
	}
	var c config
	if err := json.Unmarshal(outer[manifest[0].Config].content, &c); err != nil {
		t.Fatal(err)
	}
	if want := archive.Digest(outer[manifest[0].Config].content) + ".json"; manifest[0].Config != want {
		t.Errorf("want the description under its digest, %s, got %s", want, manifest[0].Config)
	}
	unzip, err := gzip.NewReader(bytes.NewReader(outer[manifest[0].Layers[0]].content))
	if err != nil {
		t.Fatal(err)
	}
	layer, err := io.ReadAll(unzip)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"sha256:" + archive.Digest(layer)}; !slices.Equal(c.RootFS.DiffIDs, want) {
		t.Errorf("want the digest of the layer, %v, got %v", want, c.RootFS.DiffIDs)
	}
	inner := untar(t, layer)
	for path, want := range map[string]file{
		"data/":                    {mode: 0o755, owner: user},
		"usr/local/bin/monarch":    {mode: 0o755, content: []byte("the program monarch")},
		"usr/local/bin/monarchctl": {mode: 0o755, content: []byte("the program monarchctl")},
	} {
		got := inner[path]
		if got.mode != want.mode || got.owner != want.owner || !bytes.Equal(got.content, want.content) {
			t.Errorf("%s: want %+v, got %+v", path, want, got)
		}
	}
	if got := c.Config.Labels["org.opencontainers.image.revision"]; c.Architecture != "arm64" || got != "abc-dirty" {
		t.Errorf("want the processor and the revision, got %s and %s", c.Architecture, got)
	}
}

func untar(t *testing.T, b []byte) map[string]file {
	t.Helper()
	all := make(map[string]file)
	in := tar.NewReader(bytes.NewReader(b))
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		all[h.Name] = file{path: h.Name, mode: h.Mode, owner: h.Uid, content: content}
	}
}

func TestTag(t *testing.T) {
	if got := (build{version: "v0.0.0-2026-abc+dirty"}).tag(); got != "v0.0.0-2026-abc-dirty" {
		t.Errorf("want a tag without what tags may not have, got %s", got)
	}
}

// Both ways to build say the same about containers.
func TestDockerfileSaysTheSame(t *testing.T) {
	text, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, final, ok := strings.Cut(strings.ReplaceAll(string(text), "\\\n", " "), "\nFROM scratch\n")
	if !ok {
		t.Fatal("deploy/Dockerfile: want a last stage FROM scratch")
	}
	got := settings{ExposedPorts: map[string]struct{}{}, Labels: map[string]string{}}
	values := regexp.MustCompile(`([\w.]+)=("[^"]*"|\S+)`)
	for line := range strings.Lines(final) {
		instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest = strings.TrimSpace(rest)
		switch instruction {
		case "ENV":
			got.Env = append(got.Env, strings.Fields(rest)...)
		case "WORKDIR":
			got.WorkingDir = rest
		case "USER":
			got.User = rest
		case "STOPSIGNAL":
			got.StopSignal = rest
		case "EXPOSE":
			for _, port := range strings.Fields(rest) {
				got.ExposedPorts[port+"/tcp"] = struct{}{}
			}
		case "ENTRYPOINT":
			if err := json.Unmarshal([]byte(rest), &got.Entrypoint); err != nil {
				t.Error(err)
			}
		case "LABEL":
			for _, m := range values.FindAllStringSubmatch(rest, -1) {
				got.Labels[m[1]] = strings.Trim(m[2], `"`)
			}
		case "HEALTHCHECK":
			options, command, _ := strings.Cut(rest, " CMD ")
			if err := json.Unmarshal([]byte(command), &got.Healthcheck.Test); err != nil {
				t.Error(err)
			}
			got.Healthcheck.Test = append([]string{"CMD"}, got.Healthcheck.Test...)
			for option := range strings.FieldsSeq(options) {
				name, value, _ := strings.Cut(option, "=")
				d, _ := time.ParseDuration(value) // 0 differs from what is wanted
				switch name {
				case "--interval":
					got.Healthcheck.Interval = d
				case "--timeout":
					got.Healthcheck.Timeout = d
				case "--start-period":
					got.Healthcheck.StartPeriod = d
				case "--retries":
					got.Healthcheck.Retries, _ = strconv.Atoi(value)
				}
			}
		}
	}
	want := settingsOf(build{})
	// These are known to whoever builds.
	for label, variable := range map[string]string{"version": "VERSION", "revision": "REVISION", "created": "CREATED"} {
		want.Labels["org.opencontainers.image."+label] = "${" + variable + "}"
	}
	if !maps.Equal(want.Labels, got.Labels) {
		t.Errorf("labels:\nwant %v\ngot  %v", want.Labels, got.Labels)
	}
	want.Labels, got.Labels = nil, nil
	if !reflect.DeepEqual(want, got) {
		t.Errorf("deploy/Dockerfile:\nwant %+v\ngot  %+v", want, got)
	}
}
