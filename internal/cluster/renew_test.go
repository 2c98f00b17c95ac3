package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// The password in the URL becomes another: the connections that there are go on,
// new ones begin with the new one, and a node on them notices nothing.
func TestPasswordIsRenewed(t *testing.T) {
	t.Parallel()
	for kind, start := range map[string]func(t *testing.T) (servers []*server, url func(password string) string){
		"one server": func(t *testing.T) ([]*server, func(string) string) {
			s := own(t)
			return []*server{s}, func(password string) string { return "redis://renewed:" + password + "@" + s.addr }
		},
		"Redis Cluster": func(t *testing.T) ([]*server, func(string) string) {
			clustered(t)
			var addrs []string
			for _, s := range redisCluster.servers {
				addrs = append(addrs, s.addr)
			}
			return redisCluster.servers, func(password string) string {
				return "redis+cluster://renewed:" + password + "@" + strings.Join(addrs, ",")
			}
		},
	} {
		t.Run(kind, func(t *testing.T) {
			servers, url := start(t)
			acl := func(rules ...any) {
				t.Helper()
				for _, s := range servers {
					if err := s.rdb.Do(t.Context(), append([]any{"acl", "setuser", "renewed"}, rules...)...).Err(); err != nil {
						t.Fatal(err)
					}
				}
			}
			acl("on", ">old", "~*", "&*", "+@all")
			c, err := Open(url("old"), Options{Prefix: "renewed:"})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			// On Redis Cluster these are on all servers.
			var emails []string
			for i := range 32 {
				emails = append(emails, fmt.Sprintf("user%d@example.com", i))
			}
			// use makes a connection to each server, or takes one that there is.
			use := func() error {
				_, err := c.Lookup(context.Background(), emails)
				return err
			}
			if err := use(); err != nil {
				t.Fatalf("with the first password: %v", err)
			}
			acl("resetpass", ">new")
			if err := use(); err != nil {
				t.Errorf("a connection that there is: want it to go on, got %v", err)
			}
			part := func() {
				t.Helper()
				for _, s := range servers {
					if err := s.rdb.Do(t.Context(), "client", "kill", "user", "renewed").Err(); err != nil {
						t.Fatal(err)
					}
				}
			}
			part()
			if err := use(); err == nil {
				t.Error("a new connection with the old password: want it refused, got an answer")
			}
			if err := c.Renew(url("new")); err != nil {
				t.Fatal(err)
			}
			if err := use(); err != nil {
				t.Errorf("a new connection with the new password: %v", err)
			}
		})
	}
}

func TestRenewTakesNothingButUserAndPassword(t *testing.T) {
	for _, c := range []struct{ opened, now, want string }{
		{"redis://:a@one", "redis://:b@one", ""},
		{"redis://:a@one:6379/0", "redis://me:b@one", ""},
		{"redis+sentinel://:a@s1,s2/main", "redis+sentinel://:b@s1,s2/main", ""},
		{"redis://:a@one", "redis://:b@two", "its hosts changed"},
		{"redis://:a@one", "redis://:b@one/1", "the number of the database changed"},
		{"redis://:a@one", "rediss://:b@two", "TLS and its hosts changed"},
		{"redis://:a@one", "redis+cluster://:b@one", "its kind changed"},
		{"redis+sentinel://:a@s1/main", "redis+sentinel://:a@s1/other", "the name of the master changed"},
		{
			"redis+sentinel://:a@s1/main?sentinel_password=x", "redis+sentinel://:a@s1/main?sentinel_password=y",
			"the user or the password of the Sentinels changed",
		},
		{"redis://:a@one", "hunter2", "redis URL: want redis://"},
	} {
		client, err := Open(c.opened, Options{})
		if err != nil {
			t.Fatal(err)
		}
		before := *client.credentials.Load()
		err = client.Renew(c.now)
		switch {
		case c.want == "" && (err != nil || client.credentials.Load().password != "b"):
			t.Errorf("%s: want its password taken up, got %v", c.now, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || *client.credentials.Load() != before):
			t.Errorf("%s: want nothing taken up and %q, got %v", c.now, c.want, err)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}
}
