package network

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Secret names one of the files with secrets that every process of a network
// has for itself, those that it does not need among them.
type Secret string

// The secrets of a network.
const (
	ClusterToken  Secret = "cluster.token"
	AccountsToken Secret = "accounts.token"
	OperatorToken Secret = "operator.token"
	Keys          Secret = "password.keys"
	RedisURL      Secret = "redis.url"
	DatabaseURL   Secret = "database.url"
)

// variables are those by which a process finds its secrets.
var variables = map[Secret]string{
	ClusterToken:  "MONARCH_CLUSTER_TOKEN_FILE",
	AccountsToken: "MONARCH_ACCOUNTS_TOKEN_FILE",
	OperatorToken: "MONARCH_TOKEN_FILE",
	Keys:          "MONARCH_KEY_FILE",
	RedisURL:      "MONARCH_REDIS_FILE",
	DatabaseURL:   "MONARCH_DATABASE_FILE",
}

// KeyLine makes a line of a key ring, with a new key.
func KeyLine(name string) string {
	key := make([]byte, 32)
	rand.Read(key)
	return name + ":" + base64.StdEncoding.EncodeToString(key)
}

// secrets is a directory with the files of one process.
type secrets string

// newSecrets makes the directory.
func newSecrets(t testing.TB, contents map[Secret]string) secrets {
	t.Helper()
	s := secrets(t.TempDir())
	for name, content := range contents {
		if err := s.rewrite(name, content); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s secrets) path(name Secret) string { return filepath.Join(string(s), string(name)) }

func (s secrets) env() (env []string) {
	for name, variable := range variables {
		env = append(env, variable+"="+s.path(name))
	}
	return env
}

// rewrite puts another file in the place of the one that there is.
func (s secrets) rewrite(name Secret, content string) error {
	next := s.path(name) + ".new"
	if err := os.WriteFile(next, []byte(content+"\n"), 0o600); err != nil {
		return fmt.Errorf("rewrite %s: %w", name, err)
	}
	return os.Rename(next, s.path(name))
}

// read returns what a file holds; nothing if it cannot be read, which whoever is
// called with it will say.
func (s secrets) read(name Secret) string {
	content, _ := os.ReadFile(s.path(name))
	return strings.TrimSpace(string(content))
}

// Rewrite gives the process another secret, while it runs.
func (p *Process) Rewrite(name Secret, content string) error { return p.secrets.rewrite(name, content) }

// Rewrite gives another secret to what the test itself calls the network with:
// see [Network.Accounts], [Network.Directory] and [Network.Operator].
func (n *Network) Rewrite(name Secret, content string) error { return n.secrets.rewrite(name, content) }

// Secret returns what the test itself has: what all processes were started with,
// until Rewrite.
func (n *Network) Secret(name Secret) string { return n.secrets.read(name) }
