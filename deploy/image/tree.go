package main

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// user is who the image runs as: no name on the host has this number, and
// Kubernetes sees that it is not root.
const user = 65532

// file is a file or directory of the image.
type file struct {
	path    string // without a leading slash; of a directory with one at the end
	mode    int64
	owner   int // user and group
	content []byte
}

// files are in the order in which they are archived: directories first.
type files []file

// tree returns all files of the image, with the programs from dir. Certificates
// and time zones are within the programs.
func tree(dir string) (files, error) {
	all := files{
		{path: "data/", mode: 0o755, owner: user},
		{path: "etc/", mode: 0o755},
		{path: "etc/group", mode: 0o644, content: fmt.Appendf(nil, "root:x:0:\nmonarch:x:%d:\n", user)},
		{path: "etc/passwd", mode: 0o644, content: fmt.Appendf(nil, "root:x:0:0:root:/:/none\nmonarch:x:%d:%d:Monarch:/data:/none\n", user, user)},
		{path: "usr/", mode: 0o755},
		{path: "usr/local/", mode: 0o755},
		{path: "usr/local/bin/", mode: 0o755},
	}
	for _, p := range programs {
		content, err := os.ReadFile(filepath.Join(dir, p))
		if err != nil {
			return nil, fmt.Errorf("read what was built: %w", err)
		}
		all = append(all, file{path: "usr/local/bin/" + p, mode: 0o755, content: content})
	}
	return all, nil
}

func (f file) isDir() bool { return f.path[len(f.path)-1] == '/' }

// write puts the files into the directory root. Owners are left to whoever
// copies them into an image.
func (all files) write(root string) error {
	for _, f := range all {
		path := filepath.Join(root, filepath.FromSlash(f.path))
		var err error
		if f.isDir() {
			err = os.MkdirAll(path, os.FileMode(f.mode))
		} else {
			err = os.WriteFile(path, f.content, os.FileMode(f.mode))
		}
		if err != nil {
			return fmt.Errorf("write the files of the image: %w", err)
		}
	}
	return nil
}

// archive writes the files to w as a layer, all of the same age.
func (all files) archive(w io.Writer, age time.Time) error {
	out := tar.NewWriter(w)
	for _, f := range all {
		header := &tar.Header{
			Format: tar.FormatUSTAR, Typeflag: tar.TypeReg, Name: f.path, Mode: f.mode,
			Uid: f.owner, Gid: f.owner, Size: int64(len(f.content)), ModTime: age,
		}
		if f.isDir() {
			header.Typeflag = tar.TypeDir
		}
		if err := out.WriteHeader(header); err != nil {
			return fmt.Errorf("archive %s: %w", f.path, err)
		}
		if _, err := out.Write(f.content); err != nil {
			return fmt.Errorf("archive %s: %w", f.path, err)
		}
	}
	return out.Close()
}
