// Package archive saves container images as files that engines load, "docker
// load" and "ctr image import" among them.
package archive

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// Save writes an image of one layer to path, with tags such as monarch:latest.
// The description is that of the Open Container Initiative, as JSON; layer is a
// compressed archive of files. The same image of the same age gives the same
// file to the byte. A file that is there is replaced.
func Save(path string, description, layer []byte, tags []string, age time.Time) error {
	configName, layerName := Digest(description)+".json", Digest(layer)+".tar.gz"
	manifest, err := json.Marshal([]struct {
		Config   string
		RepoTags []string
		Layers   []string
	}{{configName, tags, []string{layerName}}})
	if err != nil {
		return fmt.Errorf("describe the archive: %w", err)
	}
	out, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("save the image: %w", err)
	}
	packed := tar.NewWriter(out)
	for _, f := range []struct {
		name    string
		content []byte
	}{{layerName, layer}, {configName, description}, {"manifest.json", manifest}} {
		header := &tar.Header{
			Format: tar.FormatUSTAR, Typeflag: tar.TypeReg, Name: f.name, Mode: 0o644, Size: int64(len(f.content)), ModTime: age,
		}
		if err = packed.WriteHeader(header); err != nil {
			break
		}
		if _, err = packed.Write(f.content); err != nil {
			break
		}
	}
	if err == nil {
		err = packed.Close()
	}
	if closed := out.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("save the image: %w", err)
	}
	return nil
}

// Digest is the SHA-256 of a part of an image in hexadecimal digits. That of the
// description is what engines know the image by.
func Digest(part []byte) string {
	sum := sha256.Sum256(part)
	return hex.EncodeToString(sum[:])
}
