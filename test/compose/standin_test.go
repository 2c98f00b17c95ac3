//go:build compose

package compose

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A standIn takes the place of an image that cannot be pulled here: programs of
// this machine, with the libraries that they name.
type standIn struct {
	tag     string
	paths   []string // programs, libraries and directories, by their path here
	links   map[string]string
	dirs    []string // made for user
	files   map[string]string
	user    int
	changes []string // settings, as in a Dockerfile
}

// redisImage stands for redis:7.0.
func redisImage(t *testing.T) standIn {
	return standIn{
		tag:     "monarch-test-redis",
		paths:   []string{program(t, "redis-server"), program(t, "redis-cli")},
		dirs:    []string{"data/"},
		user:    999,
		changes: []string{"WORKDIR /data"},
	}
}

// postgresScript does what the entry point of the image of PostgreSQL does on a
// volume that is empty.
const postgresScript = `#!/bin/sh
set -e
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	initdb --no-sync -D "$PGDATA" -U "$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" \
		--encoding=UTF8 --locale=C --auth-local=trust --auth-host=scram-sha-256
	echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
	echo "CREATE DATABASE $POSTGRES_DB" | postgres --single -D "$PGDATA" postgres
fi
exec postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=
`

// postgresImage stands for postgres:15.
func postgresImage(t *testing.T) standIn {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		t.Fatalf("no PostgreSQL of Debian's on this machine: %v", err)
	}
	bin := filepath.Dir(found[len(found)-1])
	version := filepath.Base(filepath.Dir(bin))
	lib := filepath.Join(filepath.Dir(bin), "lib")
	return standIn{
		tag: "monarch-test-postgres",
		paths: []string{
			filepath.Join(bin, "postgres"), filepath.Join(bin, "initdb"), filepath.Join(bin, "pg_isready"), "/bin/sh",
			filepath.Join(lib, "plpgsql.so"), filepath.Join(lib, "dict_snowball.so"),
			"/usr/share/postgresql/" + version, "/usr/share/zoneinfo",
		},
		dirs:  []string{"var/lib/postgresql/data/", "tmp/"},
		files: map[string]string{"entrypoint": postgresScript},
		user:  999,
		changes: []string{
			"ENV PATH=" + bin + ":/usr/bin:/bin", "ENV PGDATA=/var/lib/postgresql/data/pgdata",
			"USER 999:999", "ENTRYPOINT [\"/entrypoint\"]",
		},
	}
}

// prometheusImage stands for prom/prometheus. Debian's package is unpacked, not
// installed: that would start a server.
func prometheusImage(ctx context.Context, t *testing.T) standIn {
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
	return standIn{
		tag:     "monarch-test-prometheus",
		paths:   []string{path},
		links:   map[string]string{"bin/prometheus": path},
		dirs:    []string{"prometheus/"},
		user:    65534,
		changes: []string{"USER 65534:65534", "WORKDIR /prometheus", "ENTRYPOINT [\"/bin/prometheus\"]"},
	}
}

func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// load gives the engine the image.
func (s standIn) load(ctx context.Context, t *testing.T) {
	t.Helper()
	var layer bytes.Buffer
	out := tar.NewWriter(&layer)
	packed := packed{out: out, done: map[string]bool{}}
	for _, path := range s.paths {
		packed.tree(ctx, path)
	}
	for name, target := range s.links {
		packed.header(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}, nil)
	}
	for _, dir := range s.dirs {
		packed.header(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755, Uid: s.user, Gid: s.user}, nil)
	}
	passwd := fmt.Sprintf("root:x:0:0:root:/:\nstandin:x:%d:%d::/:\n", s.user, s.user)
	packed.header(&tar.Header{Typeflag: tar.TypeReg, Name: "etc/passwd", Mode: 0o644}, []byte(passwd))
	for name, content := range s.files {
		packed.header(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755}, []byte(content))
	}
	if err := errors.Join(packed.err, out.Close()); err != nil {
		t.Fatalf("pack %s: %v", s.tag, err)
	}
	args := []string{"import"}
	for _, change := range s.changes {
		args = append(args, "--change", change)
	}
	cmd := exec.CommandContext(ctx, "docker", append(args, "-", s.tag)...)
	cmd.Stdin = &layer
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("docker import %s: %v\n%s", s.tag, err, text)
	}
	t.Cleanup(func() {
		if err := silently(context.WithoutCancel(ctx), "", "docker", "image", "rm", s.tag); err != nil {
			t.Error(err)
		}
	})
}

// packed is a layer while it is being packed. The first error stays.
type packed struct {
	out  *tar.Writer
	done map[string]bool
	err  error
}

func (p *packed) header(h *tar.Header, content []byte) {
	if p.err != nil || p.done[h.Name] {
		return
	}
	p.done[h.Name] = true
	h.Size = int64(len(content))
	if p.err = p.out.WriteHeader(h); p.err == nil {
		_, p.err = p.out.Write(content)
	}
}

// tree packs a file or a directory under its own path, as what links lead to,
// and the libraries of programs.
func (p *packed) tree(ctx context.Context, root string) {
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		// A link may lead out of the tree: the file takes its place. Those to
		// directories are second names.
		info, err := os.Stat(path)
		if err != nil || info.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		p.header(&tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(path, "/"), Mode: int64(info.Mode().Perm())}, content)
		if bytes.HasPrefix(content, []byte("\x7fELF")) {
			return p.libraries(ctx, path)
		}
		return nil
	})
	p.err = errors.Join(p.err, err)
}

// library finds the paths in what ldd prints.
var library = regexp.MustCompile(`(?m)(?:=> |^\s+)(/\S+) \(0x`)

func (p *packed) libraries(ctx context.Context, path string) error {
	// It fails for what is linked statically.
	out, err := exec.CommandContext(ctx, "ldd", path).Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return err
	}
	for _, m := range library.FindAllSubmatch(out, -1) {
		name := string(m[1])
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		p.header(&tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(name, "/"), Mode: 0o755}, content)
	}
	return nil
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
