package main

import (
	"bufio"
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// deployed is where units and manifests lie.
const deployed = "../../deploy"

// model is the command line as kong sees it, without what the environment says.
func model(t *testing.T) map[string]*kong.Node {
	t.Helper()
	clearEnv(t)
	parser, err := kong.New(new(commandLine), options()...)
	if err != nil {
		t.Fatal(err)
	}
	roles := make(map[string]*kong.Node)
	for _, cmd := range parser.Model.Children {
		roles[cmd.Name] = cmd
	}
	return roles
}

// variables are those that a role reads, and what each is by default.
func variables(cmd *kong.Node) map[string]*kong.Flag {
	all := make(map[string]*kong.Flag)
	for _, flag := range cmd.Flags {
		for _, name := range flag.Envs {
			all[name] = flag
			if isSecret(flag) {
				all[name+"_FILE"] = flag
			}
		}
	}
	return all
}

var (
	assignment = regexp.MustCompile(`^#?(?:Environment=)?(MONARCH_[A-Z0-9_]+)=(.*)$`)
	variable   = regexp.MustCompile(`\bMONARCH_[A-Z0-9_]+\b`)
	execStart  = regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/monarch (\w+)(.*)$`)
	timeout    = regexp.MustCompile(`(?m)^TimeoutStopSec=(\S+)$`)
	envFile    = regexp.MustCompile(`(?m)^EnvironmentFile=/etc/monarch/(\S+)$`)
	credential = regexp.MustCompile(`(?m)^LoadCredential=(\w+):`)
	given      = regexp.MustCompile(`%d/(\w+)`)
)

// beyondDrain is what a process may still take after its drain.
const beyondDrain = 10 * time.Second

// Units and what they read name flags that exist, with values that they take,
// and wait for drains.
func TestUnits(t *testing.T) {
	roles := model(t)
	units, err := filepath.Glob(deployed + "/systemd/*.service")
	if err != nil || len(units) == 0 {
		t.Fatalf("no units: %v", err)
	}
	unread, err := filepath.Glob(deployed + "/systemd/*.env")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range units {
		unit, text := filepath.Base(path), read(t, path)
		start := execStart.FindStringSubmatch(text)
		if start == nil || roles[start[1]] == nil {
			t.Errorf("%s: want a role of monarch's in ExecStart, got %q", unit, start)
			continue
		}
		if start[2] != "" {
			t.Errorf("%s: want flags in variables, where their file says what they are for, got %q", unit, start[2])
		}
		role := variables(roles[start[1]])
		sources := map[string]string{unit: text}
		for _, m := range envFile.FindAllStringSubmatch(text, -1) {
			name := strings.ReplaceAll(m[1], "%i", "1")
			path := filepath.Join(deployed, "systemd", name)
			sources[name] = read(t, path)
			unread = slices.DeleteFunc(unread, func(p string) bool { return filepath.Base(p) == name })
		}
		args := map[string]string{}
		for name, source := range sources {
			lines := bufio.NewScanner(strings.NewReader(source))
			for lines.Scan() {
				m := assignment.FindStringSubmatch(lines.Text())
				if m == nil {
					continue
				}
				flag := role[m[1]]
				if flag == nil {
					t.Errorf("%s: monarch %s reads no variable %s", name, start[1], m[1])
					continue
				}
				if !strings.HasSuffix(m[1], "_FILE") || flag.Envs[0] == m[1] {
					args["--"+flag.Name] = m[2]
				}
			}
		}
		// What is said in files is said on a command line here.
		line := []string{start[1]}
		for _, flag := range roles[start[1]].Flags {
			if value, ok := args["--"+flag.Name]; ok {
				line = append(line, "--"+flag.Name+"="+value)
			} else if flag.Required {
				line = append(line, "--"+flag.Name+"="+cmp.Or(map[string]string{"redis": "redis://x", "database": "sqlite:///x"}[flag.Name], "x"))
				if !strings.Contains(text, flag.Envs[0]+"_FILE=") {
					t.Errorf("%s: --%s is required and not given", unit, flag.Name)
				}
			}
		}
		if _, err := parse(t, line...); err != nil {
			t.Errorf("%s: %v", unit, err)
		}
		checkGrace(t, unit, roles[start[1]], timeout.FindStringSubmatch(text))

		loaded, used := names(credential, text), names(given, text)
		if !slices.Equal(loaded, used) {
			t.Errorf("%s: want each credential that is loaded to be used, got %v and %v", unit, loaded, used)
		}
	}
	if len(unread) > 0 {
		t.Errorf("no unit reads %v", unread)
	}
}

var (
	composeRole  = regexp.MustCompile(`^ +command: \[(\w+)\]$`)
	composeGrace = regexp.MustCompile(`^ +stop_grace_period: (\S+)$`)
)

// Compose waits for drains too.
func TestComposeWaitsForDrains(t *testing.T) {
	roles := model(t)
	role, checked := "", 0
	for line := range strings.Lines(read(t, deployed+"/compose/compose.yaml")) {
		line = strings.TrimRight(line, "\n")
		if m := composeRole.FindStringSubmatch(line); m != nil {
			if role = m[1]; roles[role] == nil {
				t.Errorf("monarch has no role %s", role)
			}
		}
		if m := composeGrace.FindStringSubmatch(line); m != nil && roles[role] != nil {
			checkGrace(t, "compose.yaml, "+role, roles[role], m)
			role, checked = "", checked+1
		}
	}
	if checked != 5 {
		t.Errorf("want five roles with a grace period, got %d", checked)
	}
}

// checkGrace holds that whoever kills a process waits for its drain.
func checkGrace(t *testing.T, where string, role *kong.Node, found []string) {
	t.Helper()
	if found == nil {
		t.Errorf("%s: want to be told how long it may take to stop", where)
		return
	}
	grace, err := time.ParseDuration(found[1])
	if err != nil {
		t.Errorf("%s: %v", where, err)
		return
	}
	for _, flag := range role.Flags {
		if flag.Name != "drain.timeout" {
			continue
		}
		drain, err := time.ParseDuration(flag.Default)
		if err != nil || grace < drain+beyondDrain {
			t.Errorf("%s: want at least %s for a drain of %s, got %s (%v)", where, drain+beyondDrain, drain, grace, err)
		}
	}
}

// Whatever is deployed names no variable that nothing reads.
func TestDeployedVariablesExist(t *testing.T) {
	known := map[string]bool{
		// Of this project's make and tests.
		"MONARCH_TEST_REDIS": true, "MONARCH_TEST_POSTGRES": true,
	}
	for _, cmd := range model(t) {
		for name := range variables(cmd) {
			known[name] = true
		}
	}
	seen := 0
	err := filepath.WalkDir(deployed, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "image.go") {
			return err
		}
		for _, name := range variable.FindAllString(read(t, path), -1) {
			if seen++; !known[name] {
				t.Errorf("%s: no role of monarch's reads %s", path, name)
			}
		}
		return nil
	})
	if err != nil || seen == 0 {
		t.Errorf("want variables in %s, got %d, %v", deployed, seen, err)
	}
}

func names(pattern *regexp.Regexp, text string) (all []string) {
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
