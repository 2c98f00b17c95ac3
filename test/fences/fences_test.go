// Package fences holds what the compiler does not: who may import whom, and
// that every package says what it is for. docs/design.md has the whole picture.
package fences

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"strings"
	"testing"
)

const module = "github.com/monarch-msn/monarch/"

// pkg is what is needed of "go list -json".
type pkg struct {
	ImportPath string
	Dir        string
	Doc        string
	Imports    []string // without those of tests
	GoFiles    []string
	Error      *struct{ Err string }
}

// name is the import path within the project.
func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, module) }

// listed lists the packages of all modules of the workspace.
func listed(t *testing.T) []pkg {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,Doc,Imports,GoFiles,Error", "work")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("list packages: %v\n%s", err, stderr.String())
	}
	var pkgs []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			if len(pkgs) == 0 {
				t.Fatal("no packages found")
			}
			return pkgs
		case err != nil:
			t.Fatalf("list packages: %v", err)
		case p.Error != nil:
			t.Fatalf("list package %s: %s", p.ImportPath, p.Error.Err)
		}
		pkgs = append(pkgs, p)
	}
}

// A fence forbids imports. Patterns are those of path.Match on import paths,
// within the project where they begin with none of a host; "x/..." is x and
// everything below. An import is forbidden to packages that match in and not
// except, if it matches imports and not allowed.
type fence struct {
	in, except       []string
	imports, allowed []string
	reason           string
}

var fences = []fence{
	{
		in:      []string{"msnp/...", "proto/..."},
		imports: []string{"internal/...", "services/...", "cmd/...", "test/..."},
		reason:  "the protocol and the contracts stand below everything, so that others can import them without the rest",
	},
	{
		in:      []string{"msnp/..."},
		imports: []string{"proto/..."},
		reason:  "the wire protocol knows nothing of how our processes speak to each other",
	},
	{
		in:      []string{"proto/..."},
		imports: []string{"msnp/..."},
		reason:  "the contracts can be used without the wire protocol",
	},
	{
		in:      []string{"internal/..."},
		imports: []string{"internal/...", "services/...", "cmd/...", "test/..."},
		reason:  "a room of internal does one thing; services put them together",
	},
	{
		in:      []string{"services/dispatch/..."},
		imports: []string{"services/..."}, allowed: []string{"services/dispatch/..."},
		reason: "a service speaks to another one over the network, or they cannot run apart",
	},
	{
		in:      []string{"services/notification/..."},
		imports: []string{"services/..."}, allowed: []string{"services/notification/..."},
		reason: "a service speaks to another one over the network, or they cannot run apart",
	},
	{
		in:      []string{"services/switchboard/..."},
		imports: []string{"services/..."}, allowed: []string{"services/switchboard/..."},
		reason: "a service speaks to another one over the network, or they cannot run apart",
	},
	{
		in:      []string{"services/directory/..."},
		imports: []string{"services/..."}, allowed: []string{"services/directory/..."},
		reason: "a service speaks to another one over the network, or they cannot run apart",
	},
	{
		in:      []string{"services/operator/..."},
		imports: []string{"services/..."}, allowed: []string{"services/operator/..."},
		reason: "a service speaks to another one over the network, or they cannot run apart",
	},
	{
		in: []string{"..."}, except: []string{"cmd/...", "test/..."},
		imports: []string{"cmd/...", "test/..."},
		reason:  "commands and tests are on top; nothing rests on them",
	},
	{
		in: []string{"..."}, except: []string{"internal/cluster", "test/..."},
		imports: []string{"github.com/redis/..."},
		reason:  "every key and every script of Redis stands in internal/cluster, where their rules are kept",
	},
	{
		in: []string{"..."}, except: []string{"services/directory/store", "services/allinone", "test/..."},
		imports: []string{"modernc.org/sqlite/...", "github.com/jackc/pgx/...", "github.com/pressly/goose/...", "database/sql/..."},
		reason:  "the database is the store's own; everybody else asks the directory",
	},
	{
		in: []string{"..."}, except: []string{"services/allinone", "test/..."},
		imports: []string{"github.com/alicebob/miniredis/..."},
		reason:  "only the network in one process brings a Redis along",
	},
	{
		in:      []string{"services/directory/..."},
		imports: []string{"internal/cluster"},
		reason:  "durable truth knows no Redis, which may be lost",
	},
	{
		in:      []string{"services/..."},
		imports: []string{"internal/node"},
		reason:  "a service is given its config, logger, meter and clients; it does not find them",
	},
	{
		in: []string{"..."}, except: []string{"cmd/...", "test/..."},
		imports: []string{"msnp/client"},
		reason:  "the client is for tests and tools; no server speaks to another as a client does",
	},
	{
		in: []string{"..."}, except: []string{"internal/node", "test/..."},
		imports: []string{"go.opentelemetry.io/otel/sdk/...", "go.opentelemetry.io/otel/exporters/...", "go.opentelemetry.io/contrib/exporters/...", "github.com/prometheus/..."},
		reason:  "packages record through the API that they are handed; where it goes is the process's business",
	},
	{
		in: []string{"..."}, except: []string{"cmd/...", "test/..."},
		imports: []string{"github.com/alecthomas/kong/..."},
		reason:  "configuration is plain structs with tags; only commands know who reads them",
	},
}

// matches reports whether an import path matches one of patterns.
func matches(patterns []string, importPath string) bool {
	name := strings.TrimPrefix(importPath, module)
	for _, pattern := range patterns {
		if pattern == "..." {
			return true
		}
		if below, ok := strings.CutSuffix(pattern, "/..."); ok {
			if name == below || strings.HasPrefix(name, below+"/") {
				return true
			}
			continue
		}
		if ok, err := path.Match(pattern, name); err != nil {
			panic(err)
		} else if ok {
			return true
		}
	}
	return false
}

// breaches returns what p imports against the fence.
func (f fence) breaches(p pkg) []string {
	if !matches(f.in, p.ImportPath) || matches(f.except, p.ImportPath) {
		return nil
	}
	var found []string
	for _, i := range p.Imports {
		if i != p.ImportPath && matches(f.imports, i) && !matches(f.allowed, i) {
			found = append(found, i)
		}
	}
	return found
}

func TestImports(t *testing.T) {
	for _, p := range listed(t) {
		for _, f := range fences {
			for _, i := range f.breaches(p) {
				t.Errorf("%s imports %s: %s", p.name(), strings.TrimPrefix(i, module), f.reason)
			}
		}
	}
}

// TestProtocolNeedsTheStandardLibraryOnly repeats what the empty go.mod of msnp
// says, because a workspace build accepts an import that go.mod lacks.
func TestProtocolNeedsTheStandardLibraryOnly(t *testing.T) {
	for _, p := range listed(t) {
		if !matches([]string{"msnp/..."}, p.ImportPath) {
			continue
		}
		for _, i := range p.Imports {
			host, _, _ := strings.Cut(i, "/")
			if strings.Contains(host, ".") && !strings.HasPrefix(i, module+"msnp") {
				t.Errorf("%s imports %s: bots and clients get the codec without anything else", p.name(), i)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range listed(t) {
		generated := true // then the .proto file says it
		for _, f := range p.GoFiles {
			generated = generated && strings.HasSuffix(f, ".pb.go")
		}
		if p.Doc == "" && !generated {
			t.Errorf("%s has no package comment", p.name())
		}
	}
}

// TestServicesHaveTheirFence finds a new service that the table forgot.
func TestServicesHaveTheirFence(t *testing.T) {
	fenced := map[string]bool{"allinone": true}
	for _, f := range fences {
		for _, in := range f.in {
			if service, ok := strings.CutPrefix(in, "services/"); ok {
				fenced[strings.TrimSuffix(service, "/...")] = true
			}
		}
	}
	for _, p := range listed(t) {
		rest, ok := strings.CutPrefix(p.name(), "services/")
		if service, _, _ := strings.Cut(rest, "/"); ok && !fenced[service] {
			t.Errorf("services/%s may import other services: add its fence", service)
		}
	}
}

// TestFencesCatch breaks each fence on purpose: a rule that catches nothing
// looks like one that is kept.
func TestFencesCatch(t *testing.T) {
	for _, c := range []struct {
		pkg, imports string
		caught       bool
	}{
		{"msnp", module + "internal/front", true},
		{"msnp/client", module + "msnp", false},
		{"msnp", "github.com/redis/go-redis/v9", true},
		{"proto/cluster/v1", module + "msnp", true},
		{"internal/front", module + "internal/cluster", true},
		{"internal/front", module + "msnp", false},
		{"internal/front", module + "msnp/client", true},
		{"internal/cluster", "github.com/redis/go-redis/v9", false},
		{"internal/rpc", "github.com/redis/go-redis/v9", true},
		{"internal/node", "go.opentelemetry.io/otel/sdk/metric", false},
		{"internal/front", "go.opentelemetry.io/otel/sdk/metric", true},
		{"internal/front", "go.opentelemetry.io/otel/metric", false},
		{"services/notification", module + "services/directory", true},
		{"services/operator", module + "services/operator/api", false},
		{"services/allinone", module + "services/directory", false},
		{"services/allinone", module + "internal/node", true},
		{"services/allinone", module + "cmd/monarch", true},
		{"services/directory", module + "internal/cluster", true},
		{"services/directory", "database/sql", true},
		{"services/directory/store", "database/sql", false},
		{"services/notification", "github.com/alecthomas/kong", true},
		{"cmd/monarch", "github.com/alecthomas/kong", false},
		{"cmd/monarchload", module + "msnp/client", false},
		{"test/script", "github.com/redis/go-redis/v9", false},
	} {
		p := pkg{ImportPath: module + c.pkg, Imports: []string{c.imports}}
		caught := false
		for _, f := range fences {
			caught = caught || len(f.breaches(p)) > 0
		}
		if caught != c.caught {
			t.Error(fmt.Sprintf("%s imports %s: ", c.pkg, c.imports), map[bool]string{true: "want it refused", false: "want it allowed"}[c.caught])
		}
	}
}
