//go:build compose

package compose

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/monarch-msn/monarch/internal/rpc"
	"github.com/monarch-msn/monarch/msnp/client"
	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/test/cluster/crowd"
)

func TestMain(m *testing.M) {
	if err := silently(context.Background(), "", "docker", "version"); err != nil {
		fmt.Fprintln(os.Stderr, "test-compose: no Docker engine runs here, and this test is about nothing else")
		os.Exit(1)
	}
	if composeCommand() == nil {
		fmt.Fprintln(os.Stderr, "test-compose: neither docker compose nor docker-compose is installed here")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// composeCommand is the Compose of this machine, the plugin or the program
// before it; nil if there is none.
func composeCommand() []string {
	if silently(context.Background(), "", "docker", "compose", "version") == nil {
		return []string{"docker", "compose"}
	}
	if _, err := exec.LookPath("docker-compose"); err == nil {
		return []string{"docker-compose"}
	}
	return nil
}

const (
	host = "127.0.0.1"
	// patience is how long anything may take on a slow machine before the test
	// gives up; a switchboard may drain for more than a minute.
	patience = 4 * time.Minute
)

// project is a started compose.yaml.
type project struct {
	t       *testing.T
	name    string
	dir     string // deploy/compose in a copy
	command []string
	ports   map[string]string // by their names in .env
}

// portNames are those in .env.
var portNames = []string{
	"DISPATCH_PORT", "NOTIFICATION_1_PORT", "NOTIFICATION_2_PORT", "NOTIFICATION_3_PORT",
	"SWITCHBOARD_1_PORT", "SWITCHBOARD_2_PORT", "OPERATOR", "PROMETHEUS",
}

// override is what the test changes: the crowd renames itself more often than
// the servers let others.
func override() string {
	var env strings.Builder
	for _, arg := range crowd.Args()["notification"] {
		name, value, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		variable := "MONARCH_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(name))
		fmt.Fprintf(&env, "      %s: %q\n", variable, value)
	}
	text := "services:\n"
	for i := range 3 {
		text += fmt.Sprintf("  notification-%d:\n    environment:\n%s", i+1, env.String())
	}
	return text
}

// newProject does what docs/deployment.md tells an operator to do, up to the
// start. When the test ends nothing is left of it.
func newProject(ctx context.Context, t *testing.T) *project {
	t.Helper()
	p := &project{t: t, name: "monarch-test-" + strconv.Itoa(os.Getpid()), command: composeCommand(), ports: map[string]string{}}
	root := t.TempDir()
	p.dir = filepath.Join(root, "compose")
	for _, part := range []string{"compose", "prometheus", "grafana"} {
		if err := os.CopyFS(filepath.Join(root, part), os.DirFS(filepath.Join("../../deploy", part))); err != nil {
			t.Fatal(err)
		}
	}
	// What somebody has set up in the checkout is not the test's.
	for _, own := range []string{".env", "secrets"} {
		if err := os.RemoveAll(filepath.Join(p.dir, own)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(p.dir, "prepare"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := silently(ctx, p.dir, "./prepare", host); err != nil {
		t.Fatal(err)
	}
	env := []string{
		"COMPOSE_PROJECT_NAME=" + p.name, "COMPOSE_FILE=compose.yaml:override.yaml", "PUBLIC_BIND=" + host,
		"REDIS_IMAGE=monarch-test-redis:debian", "DATABASE_IMAGE=monarch-test-postgres:debian", "PROMETHEUS_IMAGE=monarch-test-prometheus:debian",
	}
	for _, name := range portNames {
		p.ports[name] = freePort(ctx, t)
		value := p.ports[name]
		if !strings.HasSuffix(name, "_PORT") {
			value = net.JoinHostPort(host, value)
		}
		env = append(env, name+"="+value)
	}
	p.edit(env)
	if err := os.WriteFile(filepath.Join(p.dir, "override.yaml"), []byte(override()), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		if t.Failed() {
			t.Logf("%s", p.output(ctx, "logs", "--no-color", "--tail", "40"))
		}
		p.output(ctx, "--profile", "observability", "down", "--volumes", "--timeout", "5")
		p.checkNothingIsLeft(ctx)
	})
	return p
}

// edit sets variables in .env.
func (p *project) edit(variables []string) {
	p.t.Helper()
	path := filepath.Join(p.dir, ".env")
	text, err := os.ReadFile(path)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, v := range variables {
		name, _, _ := strings.Cut(v, "=")
		line := regexp.MustCompile(`(?m)^` + name + `=.*$`)
		if line.Match(text) {
			text = line.ReplaceAll(text, []byte(v))
		} else {
			text = append(text, v+"\n"...)
		}
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// freePort returns a port of the host that nobody has at this moment.
func freePort(ctx context.Context, t *testing.T) string {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// run runs a command of Compose's and returns its standard output.
func (p *project) run(ctx context.Context, stdin string, args ...string) string {
	p.t.Helper()
	var said bytes.Buffer
	cmd := p.compose(ctx, args...)
	cmd.Stdin, cmd.Stderr = strings.NewReader(stdin), &said
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("compose %s: %v\n%s%s", strings.Join(args, " "), err, out, said.String())
	}
	return string(out)
}

// output is run for what may fail.
func (p *project) output(ctx context.Context, args ...string) string {
	out, err := p.compose(ctx, args...).CombinedOutput()
	if err != nil {
		p.t.Errorf("compose %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (p *project) compose(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.command[0], append(slices.Clone(p.command[1:]), args...)...)
	cmd.Dir = p.dir
	return cmd
}

// container is what the engine says of one.
type container struct {
	State struct {
		Status   string
		ExitCode int
		Health   struct{ Status string }
	}
	RestartCount    int
	NetworkSettings struct {
		Networks map[string]struct{ IPAddress string }
	}
}

// inspect asks the engine about the container of a service.
func (p *project) inspect(ctx context.Context, service string) container {
	p.t.Helper()
	ids := strings.Fields(p.ask(ctx, "ps", "--all", "--quiet", "--no-trunc",
		"--filter", "label=com.docker.compose.project="+p.name, "--filter", "label=com.docker.compose.service="+service))
	if len(ids) != 1 {
		p.t.Fatalf("%s: want one container, got %v", service, ids)
	}
	var all []container
	if err := json.Unmarshal([]byte(p.ask(ctx, "inspect", ids[0])), &all); err != nil || len(all) != 1 {
		p.t.Fatalf("inspect %s: %v", service, err)
	}
	return all[0]
}

func (p *project) ask(ctx context.Context, args ...string) string {
	p.t.Helper()
	out, err := exec.CommandContext(ctx, "docker", args...).Output()
	if err != nil {
		p.t.Fatalf("docker %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}

// address is where a container listens, as seen from this machine.
func (p *project) address(ctx context.Context, service, port string) string {
	p.t.Helper()
	for _, n := range p.inspect(ctx, service).NetworkSettings.Networks {
		return net.JoinHostPort(n.IPAddress, port)
	}
	p.t.Fatalf("%s is on no network", service)
	return ""
}

// awaitHealthy waits until the containers answer that they are ready.
func (p *project) awaitHealthy(ctx context.Context, services ...string) {
	p.t.Helper()
	p.await(ctx, func() error {
		for _, s := range services {
			if c := p.inspect(ctx, s); c.State.Health.Status != "healthy" {
				return fmt.Errorf("%s is %s, %s", s, c.State.Status, c.State.Health.Status)
			}
		}
		return nil
	})
}

// await waits until check returns nil.
func (p *project) await(ctx context.Context, check func() error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			p.t.Fatal(err)
		}
	}
}

func (p *project) checkNothingIsLeft(ctx context.Context) {
	label := "label=com.docker.compose.project=" + p.name
	for _, args := range [][]string{
		{"ps", "--all", "--quiet"}, {"volume", "ls", "--quiet"}, {"network", "ls", "--quiet"},
	} {
		if left := p.ask(ctx, append(args, "--filter", label)...); left != "" {
			p.t.Errorf("docker %s: want nothing left, got %s", args[0], left)
		}
	}
}

// roles are the services that are up and healthy once the network is.
var roles = []string{
	"dispatch", "notification-1", "notification-2", "notification-3", "switchboard-1", "switchboard-2",
	"directory-1", "directory-2", "operator", "redis", "database",
}

func TestCompose(t *testing.T) {
	ctx := t.Context()
	loadStandIns(ctx, t)
	p := newProject(ctx, t)

	begun := time.Now()
	p.run(ctx, "", "up", "--detach")
	p.awaitHealthy(ctx, roles...)
	t.Logf("figure: %d containers healthy %.0f s after up", len(roles), time.Since(begun).Seconds())
	if c := p.inspect(ctx, "migrate"); c.State.Status != "exited" || c.State.ExitCode != 0 {
		t.Errorf("migrate: want a clean end, got %s with %d", c.State.Status, c.State.ExitCode)
	}

	t.Run("two people talk", func(t *testing.T) { p.talk(ctx, t) })
	t.Run("nodes are stopped and started under a crowd", func(t *testing.T) { p.restart(ctx, t) })
	t.Run("Prometheus", func(t *testing.T) { p.observe(ctx, t) })

	for _, s := range roles {
		if n := p.inspect(ctx, s).RestartCount; n != 0 {
			t.Errorf("%s: want no restart by the engine, got %d", s, n)
		}
	}
	for line := range strings.Lines(p.output(ctx, "logs", "--no-color")) {
		if strings.Contains(line, "level=ERROR") || strings.Contains(line, "panic") {
			t.Errorf("in a log: %s", line)
		}
	}
}

// talk takes the first steps of the documentation: two accounts by monarchctl,
// two clients that come by dispatch, a conversation.
func (p *project) talk(ctx context.Context, t *testing.T) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	log := func(name string) *client.Client {
		t.Helper()
		email := name + "@example.com"
		p.run(ctx, "secret of "+name+"\n", "exec", "-T", "operator", "monarchctl", "user", "create", email, "--name", name, "--password-stdin")
		c, err := client.Login(ctx, client.Options{
			Dispatch: net.JoinHostPort(host, p.ports["DISPATCH_PORT"]), Email: email, Password: "secret of " + name,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if len(c.Referrals) != 1 || !slices.Contains(p.notifications(), c.Referrals[0]) {
			t.Errorf("%s: want one referral, to one of %v, got %v", name, p.notifications(), c.Referrals)
		}
		if _, err := c.Do(ctx, "CHG", "NLN"); err != nil {
			t.Fatal(err)
		}
		return c
	}
	ann, bob := log("ann"), log("bob")
	chat, err := ann.OpenChat(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer chat.Close()
	if err := chat.Call(ctx, bob.Email); err != nil {
		t.Fatal(err)
	}
	ring := await(ctx, t, bob.Next, "RNG")
	r, ok := client.ParseRing(ring)
	if !ok || !slices.Contains(p.switchboards(), r.Address) {
		t.Fatalf("want a call to one of %v, got %v", p.switchboards(), ring)
	}
	answered, err := bob.EnterChat(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	defer answered.Close()
	await(ctx, t, chat.Next, "JOI")
	if err := chat.Deliver(ctx, client.TextMessage("hello")); err != nil {
		t.Fatal(err)
	}
	_, said := client.ParseMessage(await(ctx, t, answered.Next, "MSG").Payload)
	if string(said) != "hello" {
		t.Errorf("want hello, got %q", said)
	}
	if got := p.run(ctx, "", "exec", "-T", "operator", "monarchctl", "session", "list"); !strings.Contains(got, "ann@example.com") || !strings.Contains(got, "bob@example.com") {
		t.Errorf("want both in the list of sessions, got:\n%s", got)
	}
}

// await reads until a message with that verb comes.
func await(ctx context.Context, t *testing.T, next func(context.Context) (client.Message, error), verb string) client.Message {
	t.Helper()
	for {
		m, err := next(ctx)
		if err != nil {
			t.Fatalf("await %s: %v", verb, err)
		}
		if m.Verb == verb {
			return m
		}
	}
}

func (p *project) notifications() []string {
	return p.addresses("NOTIFICATION_1_PORT", "NOTIFICATION_2_PORT", "NOTIFICATION_3_PORT")
}

func (p *project) switchboards() []string {
	return p.addresses("SWITCHBOARD_1_PORT", "SWITCHBOARD_2_PORT")
}

func (p *project) addresses(names ...string) (all []string) {
	for _, name := range names {
		all = append(all, net.JoinHostPort(host, p.ports[name]))
	}
	return all
}

// restart stops and starts one node of each kind while users are at work, as
// an operator does who upgrades.
func (p *project) restart(ctx context.Context, t *testing.T) {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	token, err := os.ReadFile(filepath.Join(p.dir, "secrets", "accounts_token"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := rpc.Dial(p.address(ctx, "directory-1", "7863"), rpc.DialOptions{Tokens: rpc.Tokens{Accounts: rpc.Fixed(string(token))}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	users, err := crowd.Start(ctx, crowd.Options{
		Users: 60, Dispatch: p.addresses("DISPATCH_PORT"), Accounts: directoryv1.NewAccountsClient(conn), Seed: uint64(os.Getpid()),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer users.Stop()
	for _, node := range p.notifications() {
		if len(users.At(node)) == 0 {
			t.Errorf("want somebody on %s, got nobody", node)
		}
	}

	t.Log("promise: a node of each kind is stopped and started, and nobody is refused, nothing acknowledged is lost, no view is wrong")
	before, moved := users.Figures(), len(users.At(p.notifications()[1]))
	for _, service := range []string{"notification-2", "switchboard-1"} {
		begun := time.Now()
		p.run(ctx, "", "stop", service)
		drained := time.Since(begun)
		if c := p.inspect(ctx, service); c.State.ExitCode != 0 {
			t.Errorf("%s: want a clean end, got %d", service, c.State.ExitCode)
		}
		p.run(ctx, "", "start", service)
		p.awaitHealthy(ctx, service)
		t.Logf("figure: %s stopped in %.0f s, healthy again after %.0f s", service, drained.Seconds(), time.Since(begun).Seconds())
	}
	took, err := users.Converge(ctx)
	if err != nil {
		t.Fatal(err)
	}
	f := users.Figures().Since(before)
	if f.Refused+f.Lost+f.Broken+f.Missing > 0 {
		t.Errorf("%v\n%s\n%s", f, users.Refusals(), users.Losses())
	}
	if f.Away == 0 {
		t.Errorf("%d users were on the node that was stopped, and nobody was moved", moved)
	}
	for _, s := range []string{"switchboard-1", "switchboard-2"} {
		if p.metric(ctx, s, `monarch_commands_total{.*verb="MSG".*}`) == 0 {
			t.Errorf("nothing was said on %s", s)
		}
	}
	t.Logf("figure: %.1f s to converge; %v", took.Seconds(), f)
}

// metric adds up the values of a process's metric whose line begins with a
// pattern.
func (p *project) metric(ctx context.Context, service, pattern string) (sum float64) {
	p.t.Helper()
	body := p.get(ctx, "http://"+p.address(ctx, service, "9863")+"/metrics")
	for _, m := range regexp.MustCompile(`(?m)^`+pattern+` (\S+)`).FindAllSubmatch(body, -1) {
		value, err := strconv.ParseFloat(string(m[len(m)-1]), 64)
		if err != nil {
			p.t.Fatal(err)
		}
		sum += value
	}
	return sum
}

func (p *project) get(ctx context.Context, url string) []byte {
	p.t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(response.Body); err != nil {
		p.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		p.t.Errorf("%s: %s: %s", url, response.Status, body.String())
	}
	return body.Bytes()
}

// observe starts Prometheus: it reaches every process, and understands every
// rule, alert and dashboard.
func (p *project) observe(ctx context.Context, t *testing.T) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p.run(ctx, "", "--profile", "observability", "up", "--detach", "--no-deps", "prometheus")
	base := "http://" + net.JoinHostPort(host, p.ports["PROMETHEUS"]) + "/api/v1/"
	query := func(path string, answer any) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		var body struct {
			Status, Error string
			Data          json.RawMessage
		}
		if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
			return err
		}
		if body.Status != "success" {
			return fmt.Errorf("%s: %s", path, body.Error)
		}
		return json.Unmarshal(body.Data, answer)
	}
	p.await(ctx, func() error {
		var targets struct {
			ActiveTargets []struct {
				Labels            map[string]string
				Health, LastError string
			}
		}
		if err := query("targets?state=active", &targets); err != nil {
			return err
		}
		if len(targets.ActiveTargets) != 9 {
			return fmt.Errorf("want 9 processes, got %d", len(targets.ActiveTargets))
		}
		for _, target := range targets.ActiveTargets {
			if target.Health != "up" {
				return fmt.Errorf("%s is %s: %s", target.Labels["instance"], target.Health, target.LastError)
			}
		}
		return nil
	})
	p.await(ctx, func() error {
		var rules struct {
			Groups []struct {
				Name  string
				Rules []struct{ Name, Health, LastError string }
			}
		}
		if err := query("rules", &rules); err != nil {
			return err
		}
		if len(rules.Groups) == 0 {
			return fmt.Errorf("no rules")
		}
		for _, g := range rules.Groups {
			for _, r := range g.Rules {
				if r.Health != "ok" {
					return fmt.Errorf("%s, %s: %s: %s", g.Name, r.Name, r.Health, r.LastError)
				}
			}
		}
		return nil
	})
	dashboards, err := filepath.Glob("../../deploy/grafana/*.json")
	if err != nil || len(dashboards) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	for _, path := range dashboards {
		var dashboard any
		text, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(text, &dashboard)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, expr := range expressions(dashboard) {
			var answer any
			q := url.Values{"query": {strings.ReplaceAll(expr, "$__rate_interval", "1m")}}
			if err := query("query?"+q.Encode(), &answer); err != nil {
				t.Errorf("%s: %s: %v", filepath.Base(path), expr, err)
			}
		}
	}
}

// expressions are the queries of a dashboard.
func expressions(v any) (all []string) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if text, ok := value.(string); ok && key == "expr" {
				all = append(all, text)
			} else {
				all = append(all, expressions(value)...)
			}
		}
	case []any:
		for _, value := range v {
			all = append(all, expressions(value)...)
		}
	}
	return all
}
