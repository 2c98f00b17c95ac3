package node

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// secretBytes bounds a file with a secret: the wrong file should be an error
// and not a password.
const secretBytes = 16 << 10

// ReadSecret returns the one line that a file holds, without the line break
// and blanks around it. An empty file, one of several lines, or one of more
// than 16 KiB is an error, which never quotes the content.
func ReadSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, secretBytes+1))
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	secret := strings.TrimSpace(string(b))
	switch {
	case len(b) > secretBytes:
		return "", fmt.Errorf("read secret %s: more than %d bytes", path, secretBytes)
	case secret == "":
		return "", fmt.Errorf("read secret %s: the file is empty", path)
	case strings.ContainsAny(secret, "\r\n"):
		return "", fmt.Errorf("read secret %s: more than one line", path)
	}
	return secret, nil
}
