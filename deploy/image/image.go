package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/monarch-msn/monarch/deploy/image/archive"
)

// image is ready to be saved.
type image struct {
	id       string // SHA-256 of config, by which engines know the image
	config   []byte
	layer    []byte // compressed
	unpacked int    // bytes of the layer when it is not
	age      time.Time
}

// config is the description of an image by the specification of the Open
// Container Initiative; Healthcheck is Docker's addition.
type config struct {
	Created      time.Time `json:"created"`
	Architecture string    `json:"architecture"`
	OS           string    `json:"os"`
	Config       settings  `json:"config"`
	RootFS       struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
	History []history `json:"history"`
}

type history struct {
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
}

// settings are those of containers that run the image. deploy/Dockerfile says
// the same in its own words, and a test compares them.
type settings struct {
	User         string
	ExposedPorts map[string]struct{}
	Env          []string
	Entrypoint   []string
	WorkingDir   string
	Labels       map[string]string
	StopSignal   string
	Healthcheck  healthcheck
}

type healthcheck struct {
	Test        []string
	Interval    time.Duration
	Timeout     time.Duration
	StartPeriod time.Duration
	Retries     int
}

func settingsOf(b build) settings {
	labels := map[string]string{
		"org.opencontainers.image.title":       "Monarch",
		"org.opencontainers.image.description": "A horizontally scaled MSN Messenger server, MSNP2 to MSNP7.",
		"org.opencontainers.image.source":      "https://github.com/monarch-msn/monarch",
		"org.opencontainers.image.licenses":    "MIT",
		"org.opencontainers.image.version":     b.version,
		"org.opencontainers.image.revision":    b.revision(),
		"org.opencontainers.image.created":     b.time.Format(time.RFC3339),
	}
	ports := make(map[string]struct{})
	for _, port := range []int{
		1863, 1864, 1964, // clients: every role, and the first nodes of monarch all
		7863, // directory
		8080, // operator
		9863, // telemetry
	} {
		ports[strconv.Itoa(port)+"/tcp"] = struct{}{}
	}
	return settings{
		User:         fmt.Sprintf("%d:%d", user, user),
		ExposedPorts: ports,
		Env: []string{
			"PATH=/usr/local/bin",
			// What is served to the machine itself would be served to nobody,
			// in a container. Which ports others reach is said by whoever
			// runs it.
			"MONARCH_BIND=0.0.0.0",
			"MONARCH_OPERATOR_LISTEN=:8080",
			"MONARCH_TELEMETRY_LISTEN=:9863",
			// What is kept lies in one place, by a path that does not depend
			// on where a process works.
			"MONARCH_DATA_DIR=/data",
			"MONARCH_KEY_FILE=/data/password.keys",
			"MONARCH_TOKEN_FILE=/data/operator.token",
		},
		Entrypoint: []string{"/usr/local/bin/monarch"},
		// SQLite puts its temporary files here when there is no /tmp.
		WorkingDir: "/data",
		Labels:     labels,
		StopSignal: "SIGTERM",
		Healthcheck: healthcheck{
			Test:        []string{"CMD", "/usr/local/bin/monarch", "health"},
			Interval:    10 * time.Second,
			Timeout:     5 * time.Second,
			StartPeriod: 10 * time.Second,
			Retries:     3,
		},
	}
}

// pack makes an image of one layer.
func pack(all files, arch string, b build) (*image, error) {
	var layer, packed bytes.Buffer
	if err := all.archive(&layer, b.time); err != nil {
		return nil, err
	}
	zip, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := zip.Write(layer.Bytes()); err != nil {
		return nil, fmt.Errorf("compress the layer: %w", err)
	}
	if err := zip.Close(); err != nil {
		return nil, fmt.Errorf("compress the layer: %w", err)
	}
	c := config{
		Created:      b.time,
		Architecture: arch,
		OS:           "linux",
		Config:       settingsOf(b),
		History:      []history{{Created: b.time, CreatedBy: "deploy/image"}},
	}
	c.RootFS.Type = "layers"
	c.RootFS.DiffIDs = []string{"sha256:" + archive.Digest(layer.Bytes())}
	text, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("describe the image: %w", err)
	}
	return &image{id: archive.Digest(text), config: text, layer: packed.Bytes(), unpacked: layer.Len(), age: b.time}, nil
}

// save writes the image with its tags as an archive that engines load.
func (img *image) save(path string, tags []string) error {
	return archive.Save(path, img.config, img.layer, tags, img.age)
}
