package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
)

// program is something that the tests need on the machine.
type program struct {
	what    string // as a sentence names it
	pkg     string // the package of Debian that has it
	present func() bool
}

// needs is what has to be there, and what has to be started.
type needs struct {
	programs []program
	stores   []store
}

// others are the programs that may be asked for, by name.
var others = map[string]program{
	"runc": {"the program runc", "runc", func() bool { return find("runc") != "" }},
	"nft":  {"the program nft", "nftables", func() bool { return find("nft") != "" }},
}

// neededPrograms leaves out the stores that the environment names. It adds those
// of the others that are asked for.
func neededPrograms(asked []string) (needs, error) {
	n := needs{programs: []program{{
		// The race detector links with it.
		"a C compiler", "gcc libc6-dev", func() bool {
			return os.Getenv("CC") != "" || find("gcc") != "" || find("clang") != ""
		},
	}, {
		// Tests wire processes to networks that they can cut.
		"the program ip", "iproute2", func() bool { return find("ip") != "" },
	}}}
	for _, s := range []store{redis, postgres} {
		if os.Getenv(s.variable) == "" {
			n.stores = append(n.stores, s)
			n.programs = append(n.programs, s.program)
		}
	}
	for _, name := range asked {
		p, ok := others[name]
		if !ok {
			return needs{}, fmt.Errorf("nothing is known of a program %s", name)
		}
		n.programs = append(n.programs, p)
	}
	return n, nil
}

func (n needs) missing() []program {
	var missing []program
	for _, p := range n.programs {
		if !p.present() {
			missing = append(missing, p)
		}
	}
	return missing
}

// find returns the path of a program in PATH, or where Debian keeps the servers
// of PostgreSQL, newest version first; "" if there is none.
func find(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	paths, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name) // the pattern is good
	sort.Slice(paths, func(i, j int) bool {
		return len(paths[i]) > len(paths[j]) || len(paths[i]) == len(paths[j]) && paths[i] > paths[j]
	})
	for _, path := range paths {
		if _, err := exec.LookPath(path); err == nil {
			return path
		}
	}
	return ""
}

//go:embed install.sh
var installScript string

// install installs what is missing.
func install(ctx context.Context, missing []program) error {
	if len(missing) == 0 {
		return nil
	}
	var whats, pkgs []string
	for _, p := range missing {
		whats = append(whats, p.what)
		pkgs = append(pkgs, strings.Fields(p.pkg)...)
	}
	what := join(whats)
	fail := func(why string) error {
		return fmt.Errorf("%s missing and %s: install what is missing by hand, or name running stores in %s and %s",
			what, why, redis.variable, postgres.variable)
	}
	if find("apt-get") == "" {
		return fail("there is no apt-get here")
	}
	command := append([]string{"sh", "-c", installScript, "install.sh"}, pkgs...)
	if os.Geteuid() != 0 {
		if exec.CommandContext(ctx, "sudo", "-n", "true").Run() != nil {
			return fail("apt-get needs root, or a sudo that asks no password")
		}
		command = append([]string{"sudo", "-n"}, command...)
	}
	fmt.Fprintf(os.Stderr, "stores: installs %s\n", strings.Join(pkgs, ", "))
	out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	if err != nil {
		os.Stderr.Write(tail(out, 4<<10))
		return fail("apt-get could not install " + strings.Join(pkgs, ", "))
	}
	for _, p := range missing {
		if !p.present() {
			return fail("apt-get installed " + p.pkg + " without bringing it")
		}
	}
	return nil
}

// join makes "a, b and c is" or "a is": the beginning of a sentence.
func join(list []string) string {
	if len(list) == 1 {
		return list[0] + " is"
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1] + " are"
}

// tail returns whole lines from the end of b, at most n bytes.
func tail(b []byte, n int) []byte {
	if len(b) <= n {
		return b
	}
	b = b[len(b)-n:]
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		b = b[i+1:]
	}
	return b
}
