package lab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// What a level of tests needs, for [Main] and [Build]. The names are those of
// programs, and of files with objects for a cluster.
var (
	// ControlPlane has what [Start] starts, what people speak to it with, and the
	// definitions of what Monarch's chart uses besides Kubernetes' own objects.
	ControlPlane = []string{
		"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "helm",
		"gateway-api.yaml", "prometheus-operator.yaml",
	}
	// Simulated adds nodes and pods that only say that they run.
	Simulated = append(slices.Clip(ControlPlane), "kwok", "kwok-stages.yaml")
	// Real adds what runs containers.
	Real = append(slices.Clip(ControlPlane), "kubelet", "kube-proxy", "containerd", "containerd-shim-runc-v2", "ctr",
		"coredns", "ptp", "loopback", "host-local")
)

// programs has the package of each, and its build tags. What the tags leave
// out of containerd needs C.
var programs = map[string]struct{ path, tags string }{
	"etcd":                    {"go.etcd.io/etcd/server/v3", ""},
	"kube-apiserver":          {"k8s.io/kubernetes/cmd/kube-apiserver", ""},
	"kube-controller-manager": {"k8s.io/kubernetes/cmd/kube-controller-manager", ""},
	"kube-scheduler":          {"k8s.io/kubernetes/cmd/kube-scheduler", ""},
	"kubectl":                 {"k8s.io/kubernetes/cmd/kubectl", ""},
	"helm":                    {"helm.sh/helm/v4/cmd/helm", ""},
	"kwok":                    {"sigs.k8s.io/kwok/cmd/kwok", ""},
	"kubelet":                 {"k8s.io/kubernetes/cmd/kubelet", ""},
	"kube-proxy":              {"k8s.io/kubernetes/cmd/kube-proxy", ""},
	"containerd":              {"github.com/containerd/containerd/v2/cmd/containerd", "no_btrfs no_zfs no_devmapper"},
	"containerd-shim-runc-v2": {"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2", "no_btrfs no_zfs no_devmapper"},
	"ctr":                     {"github.com/containerd/containerd/v2/cmd/ctr", "no_btrfs no_zfs no_devmapper"},
	"coredns":                 {"github.com/coredns/coredns", ""},
	"ptp":                     {"github.com/containernetworking/plugins/plugins/main/ptp", ""},
	"loopback":                {"github.com/containernetworking/plugins/plugins/main/loopback", ""},
	"host-local":              {"github.com/containernetworking/plugins/plugins/ipam/host-local", ""},
}

// definitions has where each file of objects comes from: those in a module that
// match the patterns. by is the folder of the module that requires it, seen from
// that of the programs.
var definitions = map[string]struct {
	by, module string
	patterns   []string
}{
	"gateway-api.yaml": {"..", "sigs.k8s.io/gateway-api", []string{
		"config/crd/standard/*_gateways.yaml", "config/crd/experimental/*_tcproutes.yaml", // which has v1alpha2 too
	}},
	"prometheus-operator.yaml": {".", "github.com/prometheus-operator/prometheus-operator", []string{"example/prometheus-operator-crd/*_podmonitors.yaml"}},
	"kwok-stages.yaml": {".", "sigs.k8s.io/kwok", []string{
		"kustomize/stage/node/fast/node-*.yaml", "kustomize/stage/node/heartbeat-with-lease/node-*.yaml", "kustomize/stage/pod/fast/pod-*.yaml",
	}},
}

// binEnv names the folder with all of it, once it is built: in the namespaces of
// the tests nothing can be downloaded.
const binEnv = "MONARCH_LAB_PROGRAMS"

// Program returns the path of a program, or of a file, that [Main] was asked for.
func Program(name string) string { return filepath.Join(os.Getenv(binEnv), name) }

// Build makes what is not in the user's cache, says on standard error what it
// does, and returns the folder that it is in. It takes a quarter of an hour when
// nothing is there yet. Of several that build at the same time one does it and
// the others wait.
func Build(ctx context.Context, names []string) (dir string, err error) {
	module, err := moduleDir(ctx)
	if err != nil {
		return "", err
	}
	dir, err = cacheDir(module)
	if err != nil {
		return "", err
	}
	unlock, err := lock(dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	var missing []string
	for _, name := range names {
		if _, ok := definitions[name]; ok {
			if err := collect(ctx, module, name, filepath.Join(dir, name)); err != nil {
				return "", err
			}
		} else if _, err := os.Stat(filepath.Join(dir, name)); errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, name)
		} else if err != nil {
			return "", fmt.Errorf("look for %s: %w", name, err)
		}
	}
	if len(missing) == 0 {
		return dir, nil
	}
	flags, err := versionFlags(ctx, module)
	if err != nil {
		return "", err
	}
	for i, name := range missing {
		fmt.Fprintf(os.Stderr, "lab: building %s (%d of %d), once for these versions\n", name, i+1, len(missing))
		begin := time.Now()
		if err := build(ctx, module, name, flags, filepath.Join(dir, name)); err != nil {
			return "", err
		}
		fmt.Fprintf(os.Stderr, "lab: built %s in %.0f s\n", name, time.Since(begin).Seconds())
	}
	return dir, nil
}

// build leaves a whole program at path, or none.
func build(ctx context.Context, module, name, flags, path string) error {
	// The compiler takes what it is given: others share the machine.
	cmd := goCommand(ctx, "nice", "-n", "5", "go", "build", "-C", module, "-p", "2", "-trimpath",
		"-ldflags", flags, "-tags", programs[name].tags, "-o", path+".new", programs[name].path)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("build %s: %w", name, err)
	}
	return nil
}

// collect leaves a file with objects at path, or none. It is made anew each time:
// unlike a program it takes no time.
func collect(ctx context.Context, module, name, path string) error {
	source := definitions[name]
	from, err := downloaded(ctx, filepath.Join(module, source.by), source.module)
	if err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	var text bytes.Buffer
	for _, pattern := range source.patterns {
		paths, err := filepath.Glob(filepath.Join(from, pattern))
		if err != nil || len(paths) == 0 {
			return fmt.Errorf("make %s: nothing in %s is like %s (%v)", name, source.module, pattern, err)
		}
		for _, path := range paths {
			document, err := os.ReadFile(path)
			if err != nil {
				return fmt.Errorf("make %s: %w", name, err)
			}
			text.WriteString("---\n")
			text.Write(document)
			text.WriteString("\n")
		}
	}
	err = os.WriteFile(path+".new", text.Bytes(), 0o644)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	return nil
}

// downloaded returns where the files of a module are that the module in dir
// requires.
func downloaded(ctx context.Context, dir, path string) (string, error) {
	var module struct{ Dir, Error string }
	out, err := goCommand(ctx, "go", "mod", "download", "-C", dir, "-json", path).Output()
	if err == nil {
		err = json.Unmarshal(out, &module)
	}
	if err == nil && module.Error != "" {
		err = errors.New(module.Error)
	}
	if err != nil {
		return "", fmt.Errorf("download %s: %w", path, err)
	}
	return module.Dir, nil
}

// moduleDir returns the folder of the module that pins the programs.
func moduleDir(ctx context.Context) (string, error) {
	out, err := goCommand(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module of the tests: go env GOMOD: %w", err)
	}
	module := filepath.Join(filepath.Dir(strings.TrimSpace(string(out))), "tools")
	if _, err := os.Stat(filepath.Join(module, "go.mod")); err != nil {
		return "", fmt.Errorf("find the versions of the programs: %w", err)
	}
	return module, nil
}

// cacheDir returns a folder that belongs to just the versions in module.
func cacheDir(module string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a place for the programs: %w", err)
	}
	sum := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			return "", fmt.Errorf("read the versions of the programs: %w", err)
		}
		sum.Write(text)
	}
	return filepath.Join(cache, "monarch", "kubernetes", fmt.Sprintf("%x", sum.Sum(nil)[:6])), nil
}

// versionFlags has the linker write into Kubernetes which version it is. It
// would say v0.0.0, by which clients and Helm judge what it can do.
func versionFlags(ctx context.Context, module string) (string, error) {
	out, err := goCommand(ctx, "go", "list", "-C", module, "-m", "-f", "{{.Version}}", "k8s.io/kubernetes").Output()
	if err != nil {
		return "", fmt.Errorf("read the version of Kubernetes: %w", err)
	}
	version := strings.TrimSpace(string(out))
	parts := strings.Split(strings.TrimPrefix(version, "v"), ".")
	if len(parts) < 3 {
		return "", fmt.Errorf("read the version of Kubernetes: %q is none", version)
	}
	const variables = "k8s.io/component-base/version."
	return fmt.Sprintf("-s -w -X %[1]sgitVersion=%[2]s -X %[1]sgitMajor=%[3]s -X %[1]sgitMinor=%[4]s", variables, version, parts[0], parts[1]), nil
}

// goCommand is outside of the workspace, as the module is, and needs no C.
func goCommand(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	return cmd
}

// lock waits until this process is the only one that builds into dir, and makes
// the folder if it is missing.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a place for the programs: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == syscall.EWOULDBLOCK {
		fmt.Fprintf(os.Stderr, "lab: waiting for another run that builds into %s\n", dir)
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err != nil {
			_ = f.Close() // nothing was written
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
	} else if err != nil {
		_ = f.Close() // nothing was written
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return func() { _ = f.Close() }, nil // the lock goes with it
}
