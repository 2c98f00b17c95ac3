package cluster

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	for _, test := range []struct {
		url        string
		addrs      []string
		user, pass string
		db         int
		master     string
		sentinel   string // password
		cluster    bool
		tls        bool
	}{
		{url: "redis://localhost", addrs: []string{"localhost:6379"}},
		{url: "redis://10.0.0.1:7000/3", addrs: []string{"10.0.0.1:7000"}, db: 3},
		{url: "redis://u:p%40ss@db.example.com/", addrs: []string{"db.example.com:6379"}, user: "u", pass: "p@ss"},
		{url: "redis://:secret@[::1]", addrs: []string{"[::1]:6379"}, pass: "secret"},
		{url: "rediss://:secret@[::1]:7000", addrs: []string{"[::1]:7000"}, pass: "secret", tls: true},
		{url: "redis+sentinel://a,b:7,[::1]/main", addrs: []string{"a:26379", "b:7", "[::1]:26379"}, master: "main"},
		{
			url:   "rediss+sentinel://u:p@a,b/main/2?sentinel_username=s&sentinel_password=t",
			addrs: []string{"a:26379", "b:26379"}, user: "u", pass: "p", master: "main", db: 2, sentinel: "t", tls: true,
		},
		{url: "redis+cluster://a", addrs: []string{"a:6379"}, cluster: true},
		{url: "redis+cluster://:p@a,b:7000,c", addrs: []string{"a:6379", "b:7000", "c:6379"}, pass: "p", cluster: true},
		{url: "rediss+cluster://a,b", addrs: []string{"a:6379", "b:6379"}, cluster: true, tls: true},
	} {
		o, err := parseURL(test.url)
		if err != nil || CheckURL(test.url) != nil {
			t.Errorf("%s: %v", test.url, err)
			continue
		}
		if !slices.Equal(o.Addrs, test.addrs) || o.Username != test.user || o.Password != test.pass || o.DB != test.db ||
			o.MasterName != test.master || o.SentinelPassword != test.sentinel || o.IsClusterMode != test.cluster ||
			(o.TLSConfig != nil) != test.tls {
			t.Errorf("%s: %+v", test.url, o)
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	for url, want := range map[string]string{
		"":                                  "want redis://",
		"localhost:6379":                    "want redis://",
		"http://localhost":                  "unknown scheme",
		"redis+sentinels://a/b":             "unknown scheme",
		"redis://":                          "host missing",
		"redis://a,b":                       "several hosts",
		"redis://a/x":                       "no number",
		"redis://a/-1":                      "no number",
		"redis://a/1/2":                     "more path",
		"redis://a#x":                       "more path",
		"redis://a:port":                    "no port",
		"redis://a:0":                       "no port",
		"redis://a:70000":                   "no port",
		"redis://::1":                       "brackets",
		"redis://[::1":                      "no host",
		"redis://[x]":                       "no address",
		"redis://a?pool=1":                  "unknown option",
		"redis+sentinel://a":                "master's name",
		"redis+cluster://a,,b":              "host missing",
		"redis+cluster://a/1":               "more path",
		"redis+cluster://a?db=1":            "unknown option",
		"redis://user:hunter2%zz@localhost": "percent-encoded",
		"redis://user:hunter2@[x]":          "no address",
		"redis://user:hunter2@a/x":          "no number",
	} {
		err := CheckURL(url)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", url, err, want)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error tells the password: %v", url, err)
		}
	}
	if _, err := Open("redis://localhost", Options{Prefix: "a{b}"}); err == nil {
		t.Error("a prefix with braces was taken")
	}
}

// A URL that names a Redis that is there, and says of it what is not so, is told
// from one whose Redis is away.
func TestPingTellsAMisnamedRedis(t *testing.T) {
	clustered(t) // or skip
	plain := strings.TrimSuffix(os.Getenv("MONARCH_TEST_REDIS"), "/")
	for url, want := range map[string]bool{
		plain + "/99": true,
		strings.Replace(plain, "redis://", "redis+cluster://", 1): true,
		"redis://" + redisCluster.servers[0].addr + "/1":          true,
		"redis://" + redisCluster.servers[0].addr:                 false,
		"redis://127.0.0.1:1/99":                                  false,
		"redis+cluster://127.0.0.1:1":                             false,
	} {
		c, err := Open(url, Options{})
		if err != nil {
			t.Fatal(err)
		}
		err = c.Ping(t.Context())
		if errors.Is(err, ErrMisnamed) != want || want && !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: want it misnamed: %v, got %v", url, want, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("redis://u:p@[::1]:6379/1?x=y#z")
	f.Add("redis+sentinel://a,b:1/m/2?sentinel_password=x")
	f.Fuzz(func(_ *testing.T, url string) { _, _ = parseURL(url) })
}
