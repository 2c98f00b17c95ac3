package cluster

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// CheckURL says what is wrong with a URL for Open, as far as can be said without
// reaching for Redis; nil if nothing is. The error holds no password.
func CheckURL(url string) error {
	_, err := parseURL(url)
	return err
}

// parseURL reads the forms that Open documents. The list of hosts is cut out
// before net/url sees the rest, because it takes one host only. No error quotes
// more than a harmless part, since the URL may hold a password.
func parseURL(raw string) (*redis.UniversalOptions, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return nil, errors.New("redis URL: want redis://, rediss://, redis+sentinel:// or redis+cluster://")
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, tail := rest[:end], rest[end:]
	credentials, hosts := "", authority
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		credentials, hosts = authority[:at+1], authority[at+1:]
	}
	u, err := url.Parse("redis://" + credentials + "host" + tail)
	if err != nil {
		return nil, errors.New("redis URL: malformed; a password with special characters must be percent-encoded")
	}

	opt := &redis.UniversalOptions{Username: u.User.Username()}
	opt.Password, _ = u.User.Password()
	kind := strings.TrimPrefix(strings.TrimPrefix(scheme, "rediss"), "redis")
	switch scheme {
	case "redis", "redis+sentinel", "redis+cluster":
	case "rediss", "rediss+sentinel", "rediss+cluster":
		opt.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	default:
		return nil, fmt.Errorf("redis URL: unknown scheme %q", scheme)
	}

	port := "6379"
	if kind == "+sentinel" {
		port = "26379"
	}
	if opt.Addrs, err = parseHosts(hosts, port); err != nil {
		return nil, err
	}
	path := strings.FieldsFunc(u.Path, func(r rune) bool { return r == '/' })
	query := u.Query()
	database := ""
	switch kind {
	case "":
		if len(opt.Addrs) > 1 {
			return nil, errors.New("redis URL: several hosts need redis+sentinel:// or redis+cluster://")
		}
		if len(path) > 0 {
			database, path = path[0], path[1:]
		}
	case "+sentinel":
		if len(path) == 0 {
			return nil, errors.New("redis URL: redis+sentinel:// needs the master's name as its path")
		}
		opt.MasterName, path = path[0], path[1:]
		if len(path) > 0 {
			database, path = path[0], path[1:]
		}
		opt.SentinelUsername = query.Get("sentinel_username")
		opt.SentinelPassword = query.Get("sentinel_password")
		query.Del("sentinel_username")
		query.Del("sentinel_password")
	case "+cluster":
		opt.IsClusterMode = true
	}
	if database != "" {
		if opt.DB, err = strconv.Atoi(database); err != nil || opt.DB < 0 {
			return nil, fmt.Errorf("redis URL: database %q is no number", database)
		}
	}
	if len(path) > 0 || u.Fragment != "" {
		return nil, errors.New("redis URL: more path than this scheme takes")
	}
	for name := range query {
		return nil, fmt.Errorf("redis URL: unknown option %q", name)
	}
	return opt, nil
}

func parseHosts(list, port string) ([]string, error) {
	var addrs []string
	for h := range strings.SplitSeq(list, ",") {
		host, p := h, port
		if i := strings.LastIndexByte(h, ':'); i >= 0 && !strings.HasSuffix(h, "]") {
			host, p = h[:i], h[i+1:]
			if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
				return nil, fmt.Errorf("redis URL: %q is no port", p)
			}
		}
		if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
			host = host[1 : len(host)-1]
			if net.ParseIP(host) == nil {
				return nil, fmt.Errorf("redis URL: %q is no address", host)
			}
		} else if strings.ContainsAny(host, ":[]%") {
			return nil, fmt.Errorf("redis URL: %q is no host; IPv6 addresses stand in brackets", host)
		}
		if host == "" {
			return nil, errors.New("redis URL: host missing")
		}
		addrs = append(addrs, net.JoinHostPort(host, p))
	}
	return addrs, nil
}
