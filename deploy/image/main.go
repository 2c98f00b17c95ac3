// Command image builds Monarch's container image without a container engine:
//
//	go run ./deploy/image                    bin/images/monarch-amd64.tar, or what this machine is
//	go run ./deploy/image -arch arm64        for another one
//	go run ./deploy/image -root DIR          only the files of the image, for deploy/Dockerfile
//
// The archive is what "docker load" and "ctr image import" take. It depends on
// the commit and on the version of Go alone: built twice from a clean checkout
// it is the same to the byte, wherever that was. What is not committed is built
// too, and marked as -dirty.
package main

import (
	"context"
	"debug/buildinfo"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

func main() {
	var (
		arch = flag.String("arch", runtime.GOARCH, "processor that the image is for")
		name = flag.String("name", "monarch", "name of the image; its tags are latest and the version")
		out  = flag.String("o", "bin/images", "directory for the archive")
		root = flag.String("root", "", "put the files of the image there, and make no archive")
	)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *arch, *name, *out, *root)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "image: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arch, name, out, root string) error {
	dir, err := os.MkdirTemp("", "monarch-image-")
	if err != nil {
		return fmt.Errorf("make a directory for the binaries: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := compile(ctx, arch, dir); err != nil {
		return err
	}
	files, err := tree(dir)
	if err != nil {
		return err
	}
	if root != "" {
		return files.write(root)
	}
	build, err := readBuild(filepath.Join(dir, "monarch"))
	if err != nil {
		return err
	}
	img, err := pack(files, arch, build)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("make a directory for the image: %w", err)
	}
	path := filepath.Join(out, "monarch-"+arch+".tar")
	tags := []string{name + ":latest", name + ":" + build.tag()}
	if err := img.save(path, tags); err != nil {
		return err
	}
	const mib = 1 << 20
	fmt.Printf("%s: %s\nsha256:%s, %.1f MiB, unpacked %.1f MiB\n",
		path, strings.Join(tags, " "), img.id, float64(len(img.layer))/mib, float64(img.unpacked)/mib)
	return nil
}

// programs are what the image holds.
var programs = []string{"monarch", "monarchctl"}

// compile builds the programs into dir. Whatever the environment says about
// the build is overruled: Go notes it in the binary.
func compile(ctx context.Context, arch, dir string) error {
	args := []string{"build", "-trimpath", "-buildvcs=auto", "-ldflags=-s -w", "-o", dir + string(filepath.Separator)}
	for _, p := range programs {
		args = append(args, "github.com/monarch-msn/monarch/cmd/"+p)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch,
		"GOFLAGS=", "GOEXPERIMENT=", "GOAMD64=", "GOARM64=", "GODEBUG=")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build: %w", err)
	}
	return nil
}

// build is what a binary says of itself.
type build struct {
	version string // "v1.2.3" or a pseudo-version; "devel" without a repository
	commit  string // "" without a repository
	dirty   bool
	time    time.Time // of the commit; 1970 without one
}

func readBuild(path string) (build, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return build{}, fmt.Errorf("read what was built: %w", err)
	}
	b := build{version: info.Main.Version, time: time.Unix(0, 0).UTC()}
	if b.version == "" || b.version == "(devel)" {
		b.version = "devel"
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.commit = s.Value
		case "vcs.modified":
			b.dirty = s.Value == "true"
		case "vcs.time":
			if b.time, err = time.Parse(time.RFC3339, s.Value); err != nil {
				return build{}, fmt.Errorf("read what was built: %w", err)
			}
		}
	}
	return b, nil
}

// revision is the commit, and whether more than that was built.
func (b build) revision() string {
	if b.commit != "" && b.dirty {
		return b.commit + "-dirty"
	}
	return b.commit
}

// tag is the version in the characters that a tag may have.
func (b build) tag() string { return strings.ReplaceAll(b.version, "+", "-") }
