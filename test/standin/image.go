package standin

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/monarch-msn/monarch/deploy/image/archive"
)

// An Image is what a stand-in consists of.
type Image struct {
	Tag      string
	Paths    []string          // programs, libraries and directories, by their path on this machine and in the image
	Links    map[string]string // symbolic links, by their paths without a leading slash
	Dirs     []string          // made for User, likewise
	Files    map[string]string // programs by their text, likewise
	User     int               // also its group
	Settings Settings
}

// Settings are those of containers, by their names in the specification of the
// Open Container Initiative.
type Settings struct {
	User       string   `json:",omitempty"`
	Env        []string `json:",omitempty"`
	Entrypoint []string `json:",omitempty"`
	WorkingDir string   `json:",omitempty"`
	StopSignal string   `json:",omitempty"`
}

// Save writes the image to path, as an archive that engines load.
func (i Image) Save(ctx context.Context, path string) error {
	layer, err := i.layer(ctx)
	if err != nil {
		return fmt.Errorf("pack %s: %w", i.Tag, err)
	}
	var compressed bytes.Buffer
	zip, err := gzip.NewWriterLevel(&compressed, gzip.BestSpeed)
	if err != nil {
		return err
	}
	_, err = zip.Write(layer)
	if err = errors.Join(err, zip.Close()); err != nil {
		return fmt.Errorf("pack %s: %w", i.Tag, err)
	}
	description, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       i.Settings,
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + archive.Digest(layer)}},
	})
	if err != nil {
		return fmt.Errorf("describe %s: %w", i.Tag, err)
	}
	return archive.Save(path, description, compressed.Bytes(), []string{i.Tag}, time.Time{})
}

func (i Image) layer(ctx context.Context) ([]byte, error) {
	var layer bytes.Buffer
	out := tar.NewWriter(&layer)
	packed := packed{out: out, done: map[string]bool{}}
	for _, path := range i.Paths {
		packed.tree(ctx, path)
	}
	for name, target := range i.Links {
		packed.header(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}, nil)
	}
	for _, dir := range i.Dirs {
		packed.header(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755, Uid: i.User, Gid: i.User}, nil)
	}
	passwd := fmt.Sprintf("root:x:0:0:root:/:\nstandin:x:%d:%d::/:\n", i.User, i.User)
	packed.header(&tar.Header{Typeflag: tar.TypeReg, Name: "etc/passwd", Mode: 0o644}, []byte(passwd))
	for name, content := range i.Files {
		packed.header(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755}, []byte(content))
	}
	return layer.Bytes(), errors.Join(packed.err, out.Close())
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
