package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	directoryv1 "github.com/monarch-msn/monarch/proto/directory/v1"
	"github.com/monarch-msn/monarch/test/cluster/network"
)

// Every secret of a network is changed under a crowd, in the steps that the
// documents give: a second one beside the old one, the second one first, the
// second one alone. In each step every process is given its files in a moment of
// its own, and the next step comes when all have taken them up.
func TestSecretsAreChanged(t *testing.T) {
	t.Parallel()
	t.Log("promise: no login and no edit is refused, nothing is restarted, and what was taken away opens nothing any more")
	database := network.StartPostgres(t)
	s := newDamage(t, database.URL, 2, 60)
	ctx, cancel := context.WithTimeout(t.Context(), network.Patience)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	redis := func(args ...any) {
		t.Helper()
		_, err := s.Redis.Do(ctx, args...)
		must(err)
	}
	// One store takes two passwords, the other two users with one role.
	redis("ACL", "SETUSER", "chat", "on", ">first", ">second", "~*", "&*", "+@all")
	must(database.AskForPasswords())
	for _, user := range []string{"first", "second"} {
		must(database.Execute("CREATE ROLE " + user + " LOGIN PASSWORD '" + user + "' IN ROLE monarch"))
		must(database.Execute("ALTER ROLE " + user + " SET role TO monarch"))
	}
	tokens := []network.Secret{network.ClusterToken, network.AccountsToken, network.OperatorToken}
	ring, key := s.Secret(network.Keys), network.KeyLine("second")
	was := map[network.Secret]string{}
	for _, name := range tokens {
		was[name] = s.Secret(name)
	}
	next := func(name network.Secret) string { return was[name] + "-to-come" }

	before, begun := s.crowd.Figures(), time.Now()
	s.logins.take()
	s.edits.take()
	s.change(ctx, t, func(name network.Secret) string {
		switch name {
		case network.Keys:
			return ring + "\n" + key
		case network.RedisURL:
			return withUser(t, s.RedisURL, "chat", "first")
		case network.DatabaseURL:
			return withUser(t, s.DatabaseURL, "first", "first")
		}
		return was[name] + "\n" + next(name)
	})
	s.change(ctx, t, func(name network.Secret) string {
		switch name {
		case network.Keys:
			return key + "\n" + ring
		case network.RedisURL:
			return withUser(t, s.RedisURL, "chat", "second")
		case network.DatabaseURL:
			return withUser(t, s.DatabaseURL, "second", "second")
		}
		return next(name) + "\n" + was[name]
	})
	// What the stores were asked for first goes, and so do the connections that
	// began with it.
	redis("ACL", "SETUSER", "chat", "<first")
	redis("CLIENT", "KILL", "USER", "default")
	must(database.Execute("ALTER ROLE first NOLOGIN"))
	eventually(ctx, t, func() error {
		const older = " FROM pg_stat_activity WHERE application_name = 'monarch directory' AND usename <> 'second'"
		must(database.Execute("SELECT pg_terminate_backend(pid)" + older + " AND state = 'idle'"))
		var left int
		if err := database.Query(ctx, &left, "SELECT count(*)"+older); err != nil || left > 0 {
			return fmt.Errorf("%d connections to the database are another user's, %v", left, err)
		}
		return nil
	})
	for _, name := range tokens {
		must(s.Rewrite(name, next(name)))
	}
	s.change(ctx, t, func(name network.Secret) string {
		switch name {
		case network.Keys:
			return key
		case network.RedisURL, network.DatabaseURL:
			return ""
		}
		return next(name)
	})
	elapsed := time.Since(begun)
	work(t, s.scene)
	took, err := s.crowd.Converge(ctx)
	if err != nil {
		t.Error(err)
	}
	f := s.crowd.Figures().Since(before)
	if f.Refused+f.Failed+f.Unknown+f.Lost+f.Away+f.Broken+f.Missing > 0 {
		t.Errorf("%v\n%s\n%s", f, s.crowd.Refusals(), s.crowd.Losses())
	}
	logins, edits := s.served(ctx, t, begun)
	t.Logf("figure: all secrets changed in %.0f s, %d logins and %d edits meanwhile, refused: 0; %.1f s to converge",
		elapsed.Seconds(), logins, edits, took.Seconds())

	// Everything is with the second ones now.
	clients, err := s.Redis.Do(ctx, "CLIENT", "LIST")
	must(err)
	if nodes := len(s.Roles.Notifications) + len(s.Roles.Switchboards); strings.Count(fmt.Sprint(clients), "user=chat ") < nodes {
		t.Errorf("want connections of %d nodes to Redis with the second password, got\n%s", nodes, clients)
	}
	for _, name := range tokens {
		must(s.Rewrite(name, was[name]))
	}
	if _, err := s.Directory().Versions(ctx, new(directoryv1.VersionsRequest)); status.Code(err) != codes.Unauthenticated {
		t.Errorf("the old cluster token: want it refused, got %v", err)
	}
	if _, err := s.Accounts().ListAccounts(ctx, new(directoryv1.ListAccountsRequest)); status.Code(err) != codes.Unauthenticated {
		t.Errorf("the old accounts token: want it refused, got %v", err)
	}
	if got := s.operatorAnswers(ctx, t); got != http.StatusUnauthorized {
		t.Errorf("the old operator token: want status 401, got %d", got)
	}
	for _, name := range tokens {
		must(s.Rewrite(name, next(name)))
	}
	if got := s.operatorAnswers(ctx, t); got != http.StatusOK {
		t.Errorf("the new operator token: want status 200, got %d", got)
	}
	s.refuseRing(ctx, t, s.Roles.Directories[0], key)
}

// change gives every process its secrets anew, one process after the other, and
// returns when they have been taken up. An empty one is left as it is.
func (s *damage) change(ctx context.Context, t *testing.T, content func(network.Secret) string) {
	t.Helper()
	type due struct {
		p     *network.Process
		lines int // of the log, when all is taken up
	}
	var all []due
	for _, of := range []struct {
		processes []*network.Process
		secrets   []network.Secret
	}{
		{s.Roles.Directories, []network.Secret{network.ClusterToken, network.AccountsToken, network.Keys, network.DatabaseURL}},
		{s.Roles.Notifications, []network.Secret{network.ClusterToken, network.RedisURL}},
		{s.Roles.Switchboards, []network.Secret{network.RedisURL}},
		{s.Roles.Dispatches, []network.Secret{network.RedisURL}},
		{[]*network.Process{s.Roles.Operator}, []network.Secret{network.ClusterToken, network.AccountsToken, network.OperatorToken, network.RedisURL}},
	} {
		for _, p := range of.processes {
			lines := takenUp(p)
			for _, name := range of.secrets {
				if text := content(name); text != "" {
					if err := p.Rewrite(name, text); err != nil {
						t.Fatal(err)
					}
					lines++
				}
			}
			all = append(all, due{p, lines})
			pause(ctx, 200*time.Millisecond)
		}
	}
	for _, d := range all {
		eventually(ctx, t, func() error {
			if got := takenUp(d.p); got != d.lines {
				return fmt.Errorf("%s has taken up %d secrets, want %d", d.p.Name, got, d.lines)
			}
			return nil
		})
	}
}

// takenUp returns how many secrets a process has taken up since its start.
func takenUp(p *network.Process) int {
	log, _ := p.Output()
	return strings.Count(log, `msg="a changed secret is taken up"`)
}

// refuseRing gives a directory a ring in which another key has the name of the
// one that sealed the passwords.
func (s *damage) refuseRing(ctx context.Context, t *testing.T, p *network.Process, right string) {
	t.Helper()
	name, _, _ := strings.Cut(right, ":")
	if err := p.Rewrite(network.Keys, network.KeyLine(name)); err != nil {
		t.Fatal(err)
	}
	const sentence = "the key second in the key file"
	eventually(ctx, t, func() error {
		ready, text, err := p.Readiness(ctx)
		if err == nil && (!ready || !strings.Contains(text, "--key-file: is not taken up") || !strings.Contains(text, sentence)) {
			err = errors.New(text)
		}
		return err
	})
	if log, _ := p.Output(); strings.Count(log, sentence) != 1 {
		t.Errorf("want the log to say once why the ring is refused, got\n%s", log)
	}
	s.served(ctx, t, time.Now())
	if err := p.Rewrite(network.Keys, right); err != nil {
		t.Fatal(err)
	}
	eventually(ctx, t, func() error {
		_, text, err := p.Readiness(ctx)
		if err == nil && !strings.Contains(text, "--key-file: is as it was") {
			err = errors.New(text)
		}
		return err
	})
}

// served waits until a login and an edit that were begun after a moment have been
// served, sees that none was refused since the last time, and returns how many
// there were.
func (s *damage) served(ctx context.Context, t *testing.T, moment time.Time) (logins, edits int) {
	t.Helper()
	count := func(what string, p *probe) int {
		if _, err := p.servedSince(ctx, moment); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		tally := p.take()
		if tally.refusals() > 0 {
			t.Errorf("%s that were refused: %v", what, tally.refused)
		}
		return tally.served
	}
	return count("logins", s.logins), count("edits", s.edits)
}

// operatorAnswers returns the status of a request with the token that the test
// has.
func (s *damage) operatorAnswers(ctx context.Context, t *testing.T) int {
	t.Helper()
	url, token := s.Operator()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/v1/nodes", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// withUser is a URL with another user and password.
func withUser(t *testing.T, text, user, password string) string {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal("no URL") // it may hold a password
	}
	u.User = url.UserPassword(user, password)
	return u.String()
}
