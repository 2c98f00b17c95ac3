package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
)

// profiles says which are wanted.
type profiles struct {
	dir     string
	seconds int // of CPU time
}

// fetch fetches profiles of all servers: of the CPU for some seconds, and of the
// heap behind that. Files are called ROW-SETUP-PROCESS.cpu.pprof. A nil profiles
// wants none.
func (want *profiles) fetch(ctx context.Context, s *servers, r row, on setup) error {
	if want == nil {
		return nil
	}
	var fetching errgroup.Group
	for _, p := range s.processes {
		fetching.Go(func() error {
			file := filepath.Join(want.dir, strings.ReplaceAll(fmt.Sprintf("%s-%s-%s", r.name, on, p.name), " ", "-"))
			if err := p.save(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%d", want.seconds), file+".cpu.pprof"); err != nil {
				return fmt.Errorf("fetch a profile of %s: %w", p.name, err)
			}
			return p.save(ctx, "/debug/pprof/heap", file+".heap.pprof")
		})
	}
	return fetching.Wait()
}

// save writes what the telemetry listener has at path to a file.
func (p *process) save(ctx context.Context, path, file string) error {
	body, err := p.get(ctx, path)
	if err != nil {
		return err
	}
	defer body.Close()
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, body)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
